"""Structured output: forms of answers, how they are asked for, how answers are read, and how wrong ones are mended."""

"""Prompt caching: which prefixes come again, and where marks for them pay."""

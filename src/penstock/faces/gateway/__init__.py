"""The gateway face: an Anthropic-compatible HTTP endpoint in front of the core."""

"""What is looked for in texts, and what is done where it is found: personal data, credentials, injected instructions.

Pure: no clock, no network, no files. `finding` looks through a whole text, `stream` through one that comes in chunks.
"""

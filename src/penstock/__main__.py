"""`python -m penstock` is the command line."""

from .faces.command import main

main()

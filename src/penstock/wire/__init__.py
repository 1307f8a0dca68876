"""The Claude API as data: what goes over the wire and what it costs. Pure; imports nothing else of ours."""

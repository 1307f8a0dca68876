"""Prompts as files: versions that cannot change once released, and untrusted text kept apart from instructions.

prompts = open_prompts(open_config())
ready = prompts.render("support", {"tone": "warm", "ticket": text}, user="u1")
client.messages.create(system=ready.system, messages=ready.messages, ...)
"""

from __future__ import annotations

from .documents import Span, Wrapped, wrap_documents
from .folder import open_prompts
from .prompt import Prompt
from .registry import Prompts, registry
from .rendering import Rendered, render
from .splitting import split

__all__ = [
    "Prompt",
    "Prompts",
    "Rendered",
    "Span",
    "Wrapped",
    "open_prompts",
    "registry",
    "render",
    "split",
    "wrap_documents",
]

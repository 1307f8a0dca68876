"""Asking a model whether there is something in an answer that is not to be in it."""

from __future__ import annotations

import re
from typing import Any

from ..prompts.documents import wrap_documents

#: A word is enough, and so are a few words around it.
_TOKENS_MAX = 16
_SAID = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)
_SYSTEM = (
    "You check texts that another program has written, before anybody reads them. You are given one text between tags, "
    "and a question about it. Answer with one word, yes or no, and nothing else. Where you cannot tell, answer yes."
)


def judgement(model: str, question: str, text: str) -> dict[str, Any]:
    """The request that asks `model` a question about a text from outside."""
    wrapped = wrap_documents({"answer": text})
    return {
        "model": model,
        "max_tokens": _TOKENS_MAX,
        "system": _SYSTEM,
        "messages": [{"role": "user", "content": f"{wrapped.text}\n\nThe question: {question}\nYes or no?"}],
    }


def verdict(said: str) -> bool | None:
    """Whether it was yes; None where it was neither yes nor no."""
    word = _SAID.match(said)
    return None if word is None else word[1].lower() == "yes"

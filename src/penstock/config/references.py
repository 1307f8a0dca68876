"""References to secrets, as the config writes them: their forms, and what is wrong with one.

Pure; `secrets` follows them.
"""

from __future__ import annotations

import difflib
import re

from .keys import Fault, is_secret_like

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

#: Each scheme, what follows it, and the pattern of that.
FORMS: dict[str, tuple[str, re.Pattern[str]]] = {
    "env": ("env:NAME", _VARIABLE),
    "file": ("file:PATH", re.compile(r"[^\0\n]+")),
    "keyring": ("keyring:SERVICE/NAME", re.compile(r"[^/\n]+/[^\n]+")),
    "aws": ("aws:SECRET-ID or aws:SECRET-ID#FIELD", re.compile(r"[^#\n]+(#[^#\n]+)?")),
    "google": (
        "google:projects/PROJECT/secrets/NAME, optionally with /versions/VERSION",
        re.compile(r"projects/[^/\n]+/secrets/[^/\n]+(/versions/[^/\n]+)?"),
    ),
    "vault": ("vault:MOUNT/PATH#FIELD", re.compile(r"[^/#\n]+/[^#\n]+#[^#\n]+")),
}

NO_LITERALS = (
    'Put the key itself in the environment or a .env file and write its name here, such as "env:ANTHROPIC_API_KEY".'
)


def split(reference: str) -> tuple[str, str]:
    """A sound reference's scheme, and what follows it."""
    scheme, _, rest = reference.partition(":")
    return scheme, rest


def fault_of_reference(reference: str) -> Fault | None:
    """What is wrong with a reference. What is none may be a key, and is never repeated."""
    scheme, rest = split(reference)
    if scheme in FORMS:
        form, pattern = FORMS[scheme]
        is_literal = "sk-ant-" in rest or (scheme == "env" and is_secret_like(rest))
        if is_literal:
            return f"holds a literal key behind {scheme}:", NO_LITERALS
        if not pattern.fullmatch(rest):
            return f"is not a whole {scheme}: reference", f"Write {form}."
        return None
    near = difflib.get_close_matches(scheme, FORMS, n=1, cutoff=0.6) if rest and scheme.isalpha() else []
    if near and len(scheme) <= 10 and "sk-ant-" not in rest:
        return f"has the unknown scheme {scheme}:", f"Did you mean {near[0]}:? Write {FORMS[near[0]][0]}."
    if _VARIABLE.fullmatch(reference) and reference.isupper() and "_" in reference and len(reference) <= 60:
        return "names a variable without saying so", 'Put env: before the name, such as "env:ANTHROPIC_API_KEY".'
    return "holds a literal key, and secrets stand in the config by reference only", NO_LITERALS

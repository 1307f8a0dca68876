"""What is wrong with a value of the config, where limits and choices cannot say it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ..wire.models import pico
from .keys import Fault, shown
from .references import fault_of_reference

DATABASE = "sqlite:penstock.db"
COUNTERS = "sqlite:counters.db"

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,6})?")
_PROMPT = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}(@[1-9][0-9]{0,8})?")
_CANDIDATE = re.compile(r"[A-Za-z0-9][\w.:/-]{0,199}(@[a-z0-9][a-z0-9-]{0,63})?|@[a-z0-9][a-z0-9-]{0,63}")


def of_prompt(named: str | None) -> Fault | None:
    if named is None or _PROMPT.fullmatch(named):
        return None
    return (
        f"is {shown(named)}, which names no prompt",
        'Write its name, such as "support", or one version: "support@3".',
    )


def of_endpoint(url: str | None) -> Fault | None:
    fault = None if url is None else of_url(url)
    return fault if fault is None or "/v1" not in fault[0] else (fault[0], "Leave the /v1 and what follows out.")


def of_log(place: str | None) -> Fault | None:
    if place is None or place == "stderr" or (place.startswith("file:") and place != "file:"):
        return None
    return f"is {shown(place)}", 'Write "stderr", or a file such as "file:calls.jsonl".'


def of_url(url: str) -> Fault | None:
    fix = 'Give scheme, host, optional port and optional path prefix, such as "https://api.anthropic.com".'
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not a URL", fix
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        return "is not an http or https URL", fix
    if parts.username is not None or parts.password is not None:
        return (
            "holds a credential",
            'Name the key under `keys`, such as keys = ["env:ANTHROPIC_API_KEY"], not in the URL.',
        )
    if parts.query or parts.fragment or "?" in url or "#" in url:
        return "has a query or a fragment", fix
    if parts.path.rstrip("/").endswith("/v1"):
        return "ends in /v1, which every call's own path begins with", "Leave the /v1 out."
    return None


def of_keys(references: tuple[str, ...]) -> Fault | None:
    if len(set(references)) < len(references):
        return "lists a key twice", "List each once."
    for reference in references:
        fault = fault_of_reference(reference)
        if fault is not None:
            return fault
    return None


def of_key(reference: str | None) -> Fault | None:
    return None if reference is None else fault_of_reference(reference)


def of_ledger(place: str) -> Fault | None:
    return _of_store(place, DATABASE)


def of_counters(place: str) -> Fault | None:
    return _of_store(place, COUNTERS)


def _of_store(place: str, usual: str) -> Fault | None:
    fix = f'Give "{usual}", kept in the data folder, or "memory".'
    if place in (usual, "memory"):
        return None
    if place.startswith(("postgresql:", "postgres:")):
        return "names PostgreSQL, which comes with a later version", fix
    if place.startswith(("redis:", "rediss:")):
        return "names Redis, which comes with a later version and never holds the ledger", fix
    if place.startswith("sqlite:"):
        return f"names another file than {usual.partition(':')[2]}", f'Give "{usual}"; to move it, set `data`.'
    return f"is {shown(place)}", fix


def of_price(usd: str) -> Fault | None:
    try:
        is_price = _DECIMAL.fullmatch(usd) is not None and pico(usd, "") >= 0
    except ValueError:
        is_price = False
    if is_price:
        return None
    return f"is {shown(usd)}", 'Give dollars per million tokens in steps of 0.00002, as a string such as "3.75".'


def of_fallback(entries: tuple[str, ...]) -> Fault | None:
    """The last entries alone may be what is given without a model."""
    for place, entry in enumerate(entries):
        fault = _of_entry(entry)
        if fault is not None:
            return fault
        kind = entry.partition(":")[0]
        if kind == "static" and place < len(entries) - 1:
            return f"goes on after {shown(entry)}, which never fails", "Make it the last."
        if kind == "cached" and any(is_candidate(later) for later in entries[place:]):
            return f"asks a model after {shown(entry)}", "Put models and upstreams first."
    return None


def is_candidate(entry: str) -> bool:
    """Whether an entry of a fallback names someone to ask, rather than something to say instead."""
    return not entry.startswith(("cached:", "static:"))


def _of_entry(entry: str) -> Fault | None:
    kind, _, rest = entry.partition(":")
    if kind == "cached":
        is_span = rest.isascii() and rest.isdigit() and 0 < int(rest) <= 31_536_000
        return None if is_span else (f"has {shown(entry)}", 'Write "cached:" and a number of seconds.')
    if kind == "static":
        return None if rest else (f"has {shown(entry)}", 'Write "static:" and the path of a text file.')
    if not _CANDIDATE.fullmatch(entry):
        return (
            f"has {shown(entry)}",
            'Write a "MODEL", "@UPSTREAM" or "MODEL@UPSTREAM", "cached:SECONDS" or "static:FILE".',
        )
    return None

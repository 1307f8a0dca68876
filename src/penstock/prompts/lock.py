"""What was released: the lock file `prompts.lock`, JSON to be kept in version control beside the prompts.

    {"prompts": {"support": {"released": 2, "versions": {"1": {"hash": …, "parts": {…}}, …}, "history": […]}}}

A version that is in `versions` may not change any more. `history` is only added to.
"""

from __future__ import annotations

import msgspec

from ..errors import ConfigError

LOCK_NAME = "prompts.lock"


class Released(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A version as it was when it was released: its hash, and those of the parts it includes."""

    hash: str
    parts: dict[str, str] = {}


class Step(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One change of what is released. `at` is UTC, ISO 8601."""

    at: str
    action: str
    version: int
    before: int | None = None


class History(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one prompt: the version in use, all that were ever released, and how it came about."""

    released: int
    versions: dict[int, Released]
    history: list[Step]


class Lock(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lock file, by prompt."""

    prompts: dict[str, History] = {}


def parsed_lock(text: str, file: str) -> Lock:
    """A lock from its file's text. Raises ConfigError, code `bad_prompt_lock`."""
    try:
        lock = msgspec.json.decode(text, type=Lock)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConfigError(
            f"The lock file cannot be read: {error}.",
            code="bad_prompt_lock",
            fix="Take it from version control; where that marks a conflict, keep both sides' versions.",
            place=file,
        ) from None
    for name, one in lock.prompts.items():
        if one.released not in one.versions:
            raise ConfigError(
                f"The lock file releases {name} {one.released}, whose hash it lacks.",
                code="bad_prompt_lock",
                fix="Take it from version control.",
                place=file,
            )
    return lock


def lock_text(lock: Lock) -> str:
    """The lock as its file holds it: a key to a line, so that version control shows what a release changed."""
    raw = msgspec.json.encode(lock)
    return msgspec.json.format(raw, indent=2).decode() + "\n"


def moved(lock: Lock, name: str, version: int, sealed: Released, action: str, at: str) -> Lock:
    """The lock with `name` released at `version`; what was released before stays sealed as it was."""
    before = lock.prompts.get(name)
    step = Step(at, action, version, before.released if before else None)
    versions = {**(before.versions if before else {})}
    versions.setdefault(version, sealed)
    told = History(version, dict(sorted(versions.items())), [*(before.history if before else []), step])
    return Lock(dict(sorted({**lock.prompts, name: told}.items())))

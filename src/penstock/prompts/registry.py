"""All prompts of a folder: which versions there are, which is released, and that those released are as they were.

Made from texts, without touching a file; see `folder` for that. Nothing here changes once made.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..errors import ConfigError
from .lock import LOCK_NAME, Lock, Released, parsed_lock
from .prompt import Prompt, parsed, unused
from .rendering import Rendered, render
from .splitting import split
from .template import NAME, Node, parsed_part, source

PARTS = "parts"
RELEASED, LATEST = "released", "latest"

_FILE = re.compile(r"([^/]+)/([^/]+)\.md")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Version:
    """One file: its prompt, or what is wrong with it."""

    file: str
    prompt: Prompt | None
    faults: tuple[ConfigError, ...]


@dataclass(frozen=True, slots=True)
class Prompts:
    """Prompts by name and version. `shares` are the weights of versions where users are split among them.

    `strays` are files that are none of a prompt's; `parts` the hashes of parts; `where` begins the places in errors.
    """

    versions: Mapping[str, Mapping[int, Version]]
    lock: Lock
    parts: Mapping[str, str]
    shares: Mapping[str, Mapping[int, int]]
    strays: tuple[ConfigError, ...] = ()
    where: str = ""

    def render(
        self,
        name: str,
        values: Mapping[str, object],
        *,
        version: str | int | None = None,
        user: str | None = None,
    ) -> Rendered:
        """A prompt ready to send: `version`, else the one of `user` where users are split, else the released one.

        Raises ConfigError: `no_such_prompt`, `prompt_changed`, `bad_variable`, or what is wrong with its file.
        """
        return render(self.get(name, self.version_for(name, user) if version is None else version), values)

    def version_for(self, name: str, user: str | None) -> int:
        """The version that a user gets; the released one where nobody is named or nothing is split.

        Raises ConfigError, code `no_such_prompt`, also for a version that was never released: it could change any time.
        """
        shares = self.shares.get(name)
        if not shares or user is None:
            return self.number(name, RELEASED)
        number = split(name, shares, user)
        if not self.is_sealed(name, number):
            raise _unsealed(name, number)
        return number

    def is_sealed(self, name: str, number: int) -> bool:
        """Whether a version was ever released."""
        history = self.lock.prompts.get(name)
        return history is not None and number in history.versions

    def number(self, name: str, wanted: str | int) -> int:
        """The version that a number, `released` or `latest` means. Raises ConfigError, code `no_such_prompt`."""
        found = self.versions.get(name, {})
        released = self.lock.prompts.get(name)
        if not found and released is None:
            raise _missing(f"There is no prompt {name!r}.", f"There are: {', '.join(sorted(self.versions)) or 'none'}.")
        if wanted == RELEASED:
            if released is None:
                raise _missing(f"No version of {name} is released.", f"Run `penstock prompts release {name}`.")
            return released.released
        if wanted == LATEST and found:
            return max(found)
        said = str(wanted)
        if _VERSION.fullmatch(said) and int(said) in found:
            return int(said)
        if _VERSION.fullmatch(said) and released is not None and int(said) in released.versions:
            return int(said)
        known = ", ".join(str(number) for number in sorted(found)) or "none"
        raise _missing(f"There is no version {said!r} of {name}.", f"There are: {known}; or say released or latest.")

    def get(self, name: str, wanted: str | int = RELEASED) -> Prompt:
        """A prompt that may be used: sound, and if it was ever released, unchanged since. Raises ConfigError."""
        number = self.number(name, wanted)
        changed = self.change(name, number)
        if changed is not None:
            raise changed
        version = self.versions[name][number]
        if version.prompt is None:
            raise version.faults[0]
        return version.prompt

    def change(self, name: str, number: int) -> ConfigError | None:
        """What was done to a version after its release, if anything."""
        history = self.lock.prompts.get(name)
        sealed = history.versions.get(number) if history is not None else None
        if sealed is None:
            return None
        version = self.versions.get(name, {}).get(number)
        if version is None:
            file = f"{self.where}{name}/{number}.md"
            return _changed(f"{name} {number} is released, and its file is gone.", "Restore the file.", file)
        if version.prompt is not None and version.prompt.hash == sealed.hash:
            return None
        for part, digest in sorted(sealed.parts.items()):
            if self.parts.get(part) != digest:
                fix = "Restore it, and put the change into a part of another name for a new version to include."
                file = f"{self.where}{PARTS}/{part}.md"
                return _changed(f"The part {part} changed, and {name} {number}, which has it, is released.", fix, file)
        new = max(self.versions[name]) + 1
        fix = f"Restore it, put the change into {name}/{new}.md and release that."
        return _changed(f"{name} {number} is released, and was edited since.", fix, version.file)

    def sealed(self, prompt: Prompt) -> Released:
        """What the lock file is to remember of a prompt."""
        return Released(prompt.hash, {part: self.parts[part] for part in sorted(prompt.parts)})

    def findings(self, name: str | None = None, number: int | None = None) -> list[ConfigError]:
        """All that is wrong, in all prompts, in one, or in one version of it."""
        names = sorted({*self.versions, *self.lock.prompts}) if name is None else [name]
        found = [] if name is not None else [*self.strays, *self._split_faults()]
        for one in names:
            history = self.lock.prompts.get(one)
            numbers = {*self.versions.get(one, ()), *(history.versions if history is not None else ())}
            for at in sorted(numbers if number is None else {number}):
                found += self._faults(one, at)
        seen = {(fault.place, fault.message): fault for fault in found}
        return list(seen.values())

    def _faults(self, name: str, number: int) -> Iterator[ConfigError]:
        changed = self.change(name, number)
        if changed is not None:
            yield changed
        version = self.versions.get(name, {}).get(number)
        if version is None:
            return
        yield from version.faults
        for variable in unused(version.prompt) if version.prompt is not None else ():
            yield ConfigError(
                f"The variable {variable.name} of {name} {number} is not used.",
                code="bad_prompt",
                fix=f"Write {{{{{variable.name}}}}} where it belongs, or take it out.",
                place=variable.place,
            )

    def _split_faults(self) -> Iterator[ConfigError]:
        for name, shares in sorted(self.shares.items()):
            for number in sorted(shares):
                if not self.is_sealed(name, number):
                    yield _unsealed(name, number)


def registry(
    texts: Mapping[str, str], shares: Mapping[str, Mapping[int, int]] | None = None, where: str = ""
) -> Prompts:
    """The prompts of a folder, from the texts of its files by path within it: `NAME/VERSION.md`, `parts/NAME.md`.

    Faults of single files are kept until they matter. Raises ConfigError for a lock file that cannot be read.
    """
    strays: list[ConfigError] = []
    parts: dict[str, tuple[Node, ...]] = {}
    prompts: list[tuple[str, int, str]] = []
    for path in sorted(texts):
        found = _FILE.fullmatch(path)
        if path == LOCK_NAME:
            continue
        if found is None or not NAME.fullmatch(found[1]):
            strays.append(_stray(where + path))
        elif found[1] == PARTS and NAME.fullmatch(found[2]):
            try:
                parts[found[2]] = parsed_part(texts[path], where + path)
            except ConfigError as fault:
                strays.append(fault)
        elif found[1] != PARTS and _VERSION.fullmatch(found[2]):
            prompts.append((found[1], int(found[2]), path))
        else:
            strays.append(_stray(where + path))
    versions: dict[str, dict[int, Version]] = {}
    for name, number, path in prompts:
        prompt, faults = parsed(texts[path], name, number, where + path, parts)
        versions.setdefault(name, {})[number] = Version(where + path, prompt, tuple(faults))
    lock = parsed_lock(texts[LOCK_NAME], where + LOCK_NAME) if LOCK_NAME in texts else Lock()
    hashes = {name: hashlib.sha256(source(nodes).encode()).hexdigest() for name, nodes in parts.items()}
    return Prompts(versions, lock, hashes, shares or {}, tuple(strays), where)


def _stray(file: str) -> ConfigError:
    return ConfigError(
        "This is neither NAME/VERSION.md nor parts/NAME.md.",
        code="bad_prompt",
        fix="Name prompts in lower-case letters, digits, `_` and `-`, and versions 1, 2, 3 and so on.",
        place=file,
    )


def _missing(message: str, fix: str) -> ConfigError:
    return ConfigError(message, code="no_such_prompt", fix=fix)


def _unsealed(name: str, number: int) -> ConfigError:
    return _missing(
        f"`prompts.named.{name}.split` has version {number}, which was never released.",
        f"Run `penstock prompts release {name} {number}`, or take it out.",
    )


def _changed(message: str, fix: str, file: str) -> ConfigError:
    return ConfigError(message, code="prompt_changed", fix=fix, place=file)

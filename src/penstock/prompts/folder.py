"""The folder of prompts: reading it, and writing down what is released."""

from __future__ import annotations

import os
from pathlib import Path

from ..config.load import Loaded
from ..config.prompts import PromptsConfig
from ..errors import ConfigError
from .lock import LOCK_NAME, Lock, Released, lock_text, moved
from .registry import LATEST, Prompts, registry


def folder_of(loaded: Loaded) -> Path:
    """Where the config says that prompts are; beside the config file unless absolute."""
    return loaded.secrets.folder / loaded.config.prompts.folder


def open_prompts(loaded: Loaded) -> Prompts:
    """The prompts of a config, read once. A folder that is not there holds none. Raises ConfigError."""
    return read_prompts(loaded.config.prompts, folder_of(loaded))


def read_prompts(config: PromptsConfig, folder: Path) -> Prompts:
    """The prompts of a folder, as `open_prompts`. Raises ConfigError."""
    shares = {name: one.shares for name, one in config.named.items() if one.split}
    return registry(_texts(folder), shares, f"{folder}{os.sep}")


def release(loaded: Loaded, name: str, wanted: str, at: str) -> tuple[int, list[ConfigError]]:
    """Release a version, from now on unchangeable, at a time in ISO 8601; its number, and what was wrong if it was not.

    Raises ConfigError where there is no such version, or it was released before and edited since.
    """
    prompts = open_prompts(loaded)
    number = prompts.number(name, wanted or LATEST)
    changed = prompts.change(name, number)
    if changed is not None:
        raise changed
    findings = prompts.findings(name, number)
    if not findings:
        prompt = prompts.get(name, number)
        _move(loaded, prompts, name, number, prompts.sealed(prompt), "release", at)
    return number, findings


def rollback(loaded: Loaded, name: str, wanted: str, at: str) -> int:
    """Put a version in use that was released before; its number. History is kept. Raises ConfigError."""
    prompts = open_prompts(loaded)
    number = prompts.number(name, wanted)
    history = prompts.lock.prompts.get(name)
    if history is None or number not in history.versions:
        known = ", ".join(str(one) for one in sorted(history.versions)) if history is not None else "none"
        raise ConfigError(
            f"{name} {number} was never released.",
            code="no_such_prompt",
            fix=f"Released were: {known}. A first release is `penstock prompts release {name} {number}`.",
        )
    prompts.get(name, number)  # raises where it is no longer what was released
    _move(loaded, prompts, name, number, history.versions[number], "rollback", at)
    return number


def _move(loaded: Loaded, prompts: Prompts, name: str, number: int, sealed: Released, action: str, at: str) -> None:
    history = prompts.lock.prompts.get(name)
    if history is None or history.released != number:
        _write(folder_of(loaded) / LOCK_NAME, moved(prompts.lock, name, number, sealed, action, at))


def _texts(folder: Path) -> dict[str, str]:
    """The texts of all Markdown below a folder and of its lock, by path within it, line ends made one."""
    if not folder.is_dir():
        return {}
    texts: dict[str, str] = {}
    for path in [*folder.glob("*/*.md"), folder / LOCK_NAME]:
        try:
            texts[path.relative_to(folder).as_posix()] = path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise ConfigError(
                f"The file cannot be read: {said}.",
                code="prompts_unreadable",
                fix="Correct its mode or its encoding, or take it away.",
                place=str(path),
            ) from None
    return texts


def _write(file: Path, lock: Lock) -> None:
    """Replace the lock in one step, so that who reads sees the old or the new one."""
    text = lock_text(lock)
    beside = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        with beside.open("w", encoding="utf-8") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise ConfigError(
            f"The lock file cannot be written: {error.strerror}.",
            code="prompts_unreadable",
            fix="Make the folder of prompts writable.",
            place=str(file),
        ) from None

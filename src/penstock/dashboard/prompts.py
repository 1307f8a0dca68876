"""Prompts kept as files: versions, what is in use, what each was used for and what it cost, what tells two apart."""

from __future__ import annotations

import difflib
import re
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from ..errors import ConfigError
from ..prompts.folder import read_prompts
from ..prompts.prompt import Prompt, shown
from ..prompts.registry import Prompts
from .desk import Desk
from .view import View

#: A tag of a call is NAME@VERSION, and where it was rendered by the registry the beginning of the hash behind it.
_TAG = re.compile(r"(?P<name>[^@]+)@(?P<version>[0-9]{1,9})(?::[0-9a-f]*)?")

_MEASURES = ("calls", "errors", "cost_nano", "unpriced", "output_tokens")


def prompts(desk: Desk, view: View) -> dict[str, Any]:
    """What the template shows: each prompt with its versions, tags of prompts that are no file, and a difference."""
    folder = desk.folder / desk.config.prompts.folder
    with desk.totals() as totals:
        used, strays = _used({one.labels[0]: one.measures for one in totals.of(view.span, ("prompt",), view.where)})
    try:
        known = read_prompts(desk.config.prompts, folder)
    except ConfigError as error:
        return {"folder": folder, "fault": str(error), "prompts": [], "strays": [], "findings": [], "difference": None}
    names = sorted({*known.versions, *known.lock.prompts})
    strays += [
        {"tag": f"{name}@{version}", **measures}
        for (name, version), measures in sorted(used.items())
        if name not in names
    ]
    return {
        "folder": folder,
        "fault": None,
        "prompts": [_prompt(known, name, used) for name in names],
        "strays": sorted(strays, key=lambda one: (-one["cost_nano"], one["tag"])),
        "findings": [{"said": str(one)} for one in known.findings()],
        "difference": _difference(known, view.asked),
    }


def _used(
    tagged: Mapping[str, Mapping[str, int]],
) -> tuple[dict[tuple[str, int], dict[str, int]], list[dict[str, Any]]]:
    """Sums by name and version, and those of tags that name no version."""
    found: dict[tuple[str, int], dict[str, int]] = defaultdict(lambda: dict.fromkeys(_MEASURES, 0))
    strays = []
    for tag, measures in tagged.items():
        parts = _TAG.fullmatch(tag)
        if parts is not None:
            own = found[parts["name"], int(parts["version"])]
            for name in _MEASURES:
                own[name] += measures[name]
        elif tag:
            strays.append({"tag": tag, **{name: measures[name] for name in _MEASURES}})
    return dict(found), strays


def _prompt(known: Prompts, name: str, used: Mapping[tuple[str, int], Mapping[str, int]]) -> dict[str, Any]:
    versions, history, shares = known.versions.get(name, {}), known.lock.prompts.get(name), known.shares.get(name, {})
    sealed = history.versions if history is not None else {}
    numbers = {*versions, *sealed, *(version for one, version in used if one == name)}
    rows = []
    for number in sorted(numbers, reverse=True):
        version, own = versions.get(number), used.get((name, number))
        prompt = version.prompt if version is not None else None
        rows.append(
            {
                "number": number,
                "hash": prompt.hash[:12] if prompt is not None else None,
                "is_released": history is not None and history.released == number,
                "is_sealed": number in sealed,
                "is_changed": known.change(name, number) is not None,
                "is_sound": prompt is not None,
                "share": shares.get(number),
                "before": max((one for one in versions if one < number), default=None) if prompt is not None else None,
                **(own or dict.fromkeys(_MEASURES, 0)),
            }
        )
    latest = versions[max(versions)].prompt if versions else None
    return {
        "name": name,
        "description": latest.description if latest is not None else "",
        "released": history.released if history is not None else None,
        "whole": sum(shares.values()),
        "versions": rows,
        "readable": [one["number"] for one in rows if one["is_sound"]],
        "history": list(reversed(history.history))[:5] if history is not None else [],
        "back": max((one for one in sealed if history is not None and one < history.released), default=None),
    }


def _difference(known: Prompts, asked: Mapping[str, str]) -> dict[str, Any] | None:
    """What the address asks to be compared: `name`, and the versions `a` and `b`. None where it asks for nothing."""
    if "name" not in asked:
        return None
    name = asked["name"]
    made: dict[str, Any] = {"name": name, "a": asked.get("a", "released"), "b": asked.get("b", "latest"), "lines": []}
    try:
        before, after = (_readable(known, name, made[side]) for side in ("a", "b"))
    except ConfigError as error:
        return {**made, "fault": str(error)}
    lines = difflib.unified_diff(shown(before).splitlines(), shown(after).splitlines(), lineterm="", n=3)
    told = [{"kind": _KINDS.get(line[:1], ""), "text": line} for line in list(lines)[2:]]
    return {**made, "a": before.version, "b": after.version, "lines": told, "fault": None}


_KINDS = {"+": "added", "-": "removed", "@": "place"}


def _readable(known: Prompts, name: str, wanted: str) -> Prompt:
    """A version to be looked at, though it was edited since its release. Raises ConfigError."""
    number = known.number(name, wanted)
    version = known.versions.get(name, {}).get(number)
    if version is None or version.prompt is None:
        return known.get(name, number)  # raises
    return version.prompt

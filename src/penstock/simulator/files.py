"""Uploaded files, kept in memory."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from .catalogue import page
from .dice import Dice
from .headers import stamp_us
from .problems import invalid, missing

_BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.I)
_FIELD = re.compile(r'\bname="([^"]*)"')
_FILENAME = re.compile(r'\bfilename="([^"]*)"')


class Files:
    """All files of one simulator: what the API shows of each, and its bytes."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._files: dict[str, tuple[dict[str, Any], bytes]] = {}

    def upload(self, content_type: str, body: bytes, dice: Dice) -> dict[str, Any]:
        """Raises Problem 400 where the form has no part named `file`."""
        name, kind, content = _file_part(content_type, body)
        id = dice.id("file")
        shown = {
            "type": "file",
            "id": id,
            "size_bytes": len(content),
            "created_at": stamp_us(self._clock()),
            "filename": name,
            "mime_type": kind,
            "downloadable": True,
        }
        self._files[id] = (shown, content)
        return shown

    def list(self, query: dict[str, str]) -> dict[str, Any]:
        return page([shown for shown, _ in reversed(self._files.values())], query)

    def get(self, id: str) -> tuple[dict[str, Any], bytes]:
        """Raises Problem 404."""
        if id not in self._files:
            raise missing(f"File not found: {id}")
        return self._files[id]

    def delete(self, id: str) -> dict[str, Any]:
        self.get(id)
        del self._files[id]
        return {"id": id, "type": "file_deleted"}


def _file_part(content_type: str, body: bytes) -> tuple[str, str, bytes]:
    """Name, type and bytes of the form's `file` part."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        raise invalid("content-type: must be multipart/form-data with a boundary")
    for part in (b"\r\n" + body).split(b"\r\n--" + found.group(1).encode()):
        head, divider, content = part.partition(b"\r\n\r\n")
        fields = head.decode("utf-8", "replace")
        name = _FIELD.search(fields)
        if divider and name is not None and name.group(1) == "file":
            filename = _FILENAME.search(fields)
            kind = re.search(r"(?im)^content-type:\s*(\S+)", fields)
            return (
                filename.group(1) if filename else "unnamed",
                kind.group(1) if kind else "application/octet-stream",
                content,
            )
    raise invalid("file: Field required")

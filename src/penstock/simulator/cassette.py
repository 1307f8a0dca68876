"""Recorded traffic from files: HAR, as browsers and proxies export it, or one exchange per JSON line."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from ..errors import ConfigError
from .replay import Recorded


def read_cassette(place: Path) -> list[Recorded]:
    """The recorded answers to `POST /v1/messages` in a file, in their order, each kept for the request it answered.

    A HAR file is one JSON object with `log.entries`. Otherwise each line is one exchange: `{"request": {"method",
    "path", "body"}, "response": {"status", "headers", "body"}}`, bodies as text or JSON. Raises ConfigError, naming
    the file and the place in it.
    """
    try:
        text = place.read_bytes()
    except OSError as error:
        raise _bad(place, error.strerror or str(error), "Name a readable file.") from error
    try:
        whole = msgspec.json.decode(text)
    except msgspec.DecodeError:
        whole = None
    if isinstance(whole, dict) and isinstance(whole.get("log"), dict):
        return list(_from_har(place, whole["log"].get("entries")))
    return list(_from_lines(place, text))


def _from_har(place: Path, entries: Any) -> Iterator[Recorded]:
    if not isinstance(entries, list):
        raise _bad(place, "log.entries is no list", "Export it again as HAR 1.2.")
    for number, entry in enumerate(entries):
        try:
            request, response = entry["request"], entry["response"]
            if request["method"] != "POST" or not _is_messages(request["url"]):
                continue
            content = response["content"]
            body = str(content.get("text", ""))
            data = base64.b64decode(body) if content.get("encoding") == "base64" else body.encode()
            headers = [(str(one["name"]).lower(), str(one["value"])) for one in response["headers"]]
            asked = (request.get("postData") or {}).get("text")
            yield _recorded(int(response["status"]), headers, data, None if asked is None else str(asked).encode())
        except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
            raise _bad(place, f"log.entries.{number}: {error!r}", "Export it again as HAR 1.2.") from error


def _from_lines(place: Path, text: bytes) -> Iterator[Recorded]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            exchange = msgspec.json.decode(line)
            request, response = exchange["request"], exchange["response"]
            if request.get("method", "POST") != "POST" or not _is_messages(str(request.get("path", "/v1/messages"))):
                continue
            headers = [(str(name).lower(), str(value)) for name, value in (response.get("headers") or {}).items()]
            asked = request.get("body")
            data = _body(response["body"])
            yield _recorded(int(response["status"]), headers, data, None if asked is None else _body(asked))
        except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            fix = 'Write one {"request": …, "response": …} a line, or a HAR file.'
            raise _bad(place, f"line {number}: {error!r}", fix) from error


def _recorded(status: int, headers: list[tuple[str, str]], body: bytes, asked: bytes | None) -> Recorded:
    """A stream comes in pieces of one event, as it does from the API; recorders keep bodies decompressed."""
    kept = [field for field in headers if field[0] != "content-encoding"]
    if not any(name == "content-type" for name, _ in kept):
        kept.append(("content-type", "text/event-stream" if body.startswith(b"event:") else "application/json"))
    is_stream = any(name == "content-type" and "event-stream" in value for name, value in kept)
    pieces = tuple(len(piece) + 2 for piece in body.split(b"\n\n")[:-1]) if is_stream else ()
    return Recorded(status, tuple(kept), body, pieces, asked)


def _is_messages(url: str) -> bool:
    return url.partition("?")[0].endswith("/v1/messages")


def _body(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else msgspec.json.encode(value)


def _bad(place: Path, fault: str, fix: str) -> ConfigError:
    return ConfigError(f"{place}: {fault}.", code="bad_cassette", fix=fix)

"""What a request's head must be beyond what the parser enforces. Raises Refused; pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote

import httptools

from . import refusals

Fields = Sequence[tuple[bytes, bytes]]

_HOST = re.compile(rb"[A-Za-z0-9._~%!$&'()*+;=:\[\]-]*")
_CHECKED = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_UPGRADE = frozenset({b"connection", b"upgrade", b"http2-settings"})


def read_fields(headers: Fields, version: str) -> tuple[int, bool, bool]:
    """The announced content length (0 if none), whether the body is chunked, whether 100-continue is awaited."""
    is_current = version == "1.1"
    if not is_current and version != "1.0":
        raise refusals.malformed(f"the version HTTP/{version} is not served")
    hosts, codings, lengths, length, wants_continue = 0, 0, 0, 0, False
    for name, value in headers:
        if name not in _CHECKED:
            continue
        if name == b"host":
            hosts += 1
            if not _HOST.fullmatch(value):
                raise refusals.malformed("the Host header is not a host")
        elif name == b"content-length":
            lengths += 1
            length = int(value)
        elif name == b"transfer-encoding":
            codings += 1
            if not is_current or value.strip().lower() != b"chunked":
                raise refusals.malformed("the only transfer coding is chunked, and only in HTTP/1.1")
        elif is_current:
            wants_continue = value.strip().lower() == b"100-continue"
            if not wants_continue:
                raise refusals.expectation_failed()
    if hosts != 1 and (is_current or hosts):
        raise refusals.malformed("it needs exactly one Host header")
    if codings + lengths > 1:
        raise refusals.malformed("its framing is given twice", "Send one Content-Length or one Transfer-Encoding.")
    return length, bool(codings), wants_continue


def read_target(url: bytes) -> tuple[str, bytes, bytes]:
    """A request target as path (percent-decoded), raw path and query, in origin or absolute form."""
    if not url.isascii() or b"#" in url:
        raise refusals.malformed("the request target has characters that need percent-encoding")
    if url.startswith(b"/"):
        raw_path, _, query = url.partition(b"?")
    elif url == b"*":
        raw_path, query = url, b""
    else:
        try:
            parsed = httptools.parse_url(url)
        except httptools.HttpParserInvalidURLError:
            raise refusals.malformed("the request target is neither a path nor a URL") from None
        raw_path, query = parsed.path or b"/", parsed.query or b""
    path = raw_path.decode("ascii")
    return unquote(path) if "%" in path else path, raw_path, query


def plain_head(method: bytes, url: bytes, version: str, headers: Fields) -> bytes:
    """The same head without its offer to upgrade the protocol."""
    lines = [b"%b %b HTTP/%b\r\n" % (method, url, version.encode())]
    lines += (b"%b: %b\r\n" % field for field in headers if field[0] not in _UPGRADE)
    if any(name == b"connection" and b"close" in value.lower() for name, value in headers):
        lines.append(b"connection: close\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)

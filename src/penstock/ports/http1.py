"""HTTP/1.1 as an upstream leg needs it: one request out, one answer in, no sockets.

The grammar is llhttp's (httptools), strict as it comes: a Content-Length beside Transfer-Encoding, a repeated
Content-Length, folded or NUL-bearing fields and bad chunk sizes are refused. Added here: limits, endings, and
what makes a connection unfit for another request.
"""

from __future__ import annotations

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from ..call import Headers
from ..errors import Refused

#: The most bytes of an answer that may pass without any of its body: head, interim answers, chunk
#: extensions, trailers.
HEAD_MAX_BYTES = 65_536
FIELDS_MAX = 256

_OURS = frozenset((b"host", b"content-length", b"connection", b"transfer-encoding"))
_BODYLESS = frozenset(("GET", "HEAD", "DELETE", "OPTIONS"))


def serialise(method: str, path: str, headers: Headers, host: bytes, body_bytes: int) -> bytes:
    """The head of a request, its blank line included.

    Raises Refused where a value would end its line early, or a field is one that the port writes itself.
    """
    fields = b"\r\n".join([name + b": " + value for name, value in headers])
    breaks = len(headers) - 1 if headers else 0
    try:
        target = path.encode("ascii")
        is_clean = (
            fields.count(b"\n") == breaks
            and fields.count(b"\r") == breaks
            and b"\0" not in fields
            and path.startswith("/")
            and not _breaks_line(path)
            and _OURS.isdisjoint([name for name, _ in headers])
        )
    except UnicodeEncodeError:
        is_clean = False
    if not is_clean:
        raise unsendable()
    length = b"" if not body_bytes and method in _BODYLESS else b"content-length: %d\r\n" % body_bytes
    between = b"\r\n" if headers else b""
    return b"%b %b HTTP/1.1\r\nhost: %b\r\nconnection: keep-alive\r\n%b%b%b\r\n" % (
        method.encode("ascii"),
        target,
        host,
        length,
        fields,
        between,
    )


def unsendable() -> Refused:
    return Refused(
        "The request's path or a header field cannot be sent over HTTP/1.1.",
        layer="transport",
        code="bad_request_head",
        fix="Remove line breaks, spaces and control characters from the path and the header fields.",
        status=400,
        type="invalid_request_error",
    )


def _breaks_line(path: str) -> bool:
    return " " in path or not path.isprintable()


class Answers:
    """Reads the answers that come over one connection, one at a time.

    After `begin`, `feed` takes what was read and returns the body bytes in it, those of one read joined.
    `headers` is None until the final head is in. `fault` says why the answer cannot be trusted; bytes
    returned with it are still good.
    """

    __slots__ = (
        "_fields",
        "_is_settled",
        "_parser",
        "_pieces",
        "_silent_bytes",
        "fault",
        "headers",
        "is_bodyless",
        "is_by_eof",
        "is_interim",
        "is_kept",
        "is_whole",
        "status",
    )

    def __init__(self) -> None:
        self._parser = HttpResponseParser(self)
        self._fields: list[tuple[bytes, bytes]] = []
        self._pieces: list[bytes] = []
        self.begin(is_head=False)

    def begin(self, *, is_head: bool) -> None:
        """Expect the answer to a new request; `is_head` where its method was HEAD."""
        if self._fields:
            self._fields = []
        self._silent_bytes = 0
        self._is_settled = self.is_interim = self.is_whole = self.is_by_eof = False
        self.is_kept = True
        self.is_bodyless = is_head
        self.status = 0
        self.headers: Headers | None = None
        self.fault: str | None = None

    @property
    def is_begun(self) -> bool:
        """Whether any byte of the answer has come."""
        return self._silent_bytes > 0 or self.headers is not None

    @property
    def is_reusable(self) -> bool:
        """Whether the connection may carry another request."""
        return self._is_settled and self.is_kept and self.fault is None

    def feed(self, data: bytes) -> bytes:
        self._silent_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.is_kept = False
            if not self.is_whole and self.fault is None:
                self.fault = "protocol switched" if isinstance(error, HttpParserUpgrade) else str(error.args[0])
        pieces = self._pieces
        if pieces:
            self._silent_bytes = 0
            body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            return body
        if self._silent_bytes > HEAD_MAX_BYTES and not self.is_whole:
            self.fault = f"more than {HEAD_MAX_BYTES} bytes without a body"
        return b""

    def end(self) -> str | None:
        """The connection has ended: None where that is the answer's proper end, else `reset` or `cut`."""
        self.is_kept = False
        if self.is_by_eof or self.is_whole:
            self.is_whole = True
            return None
        return "reset" if self.headers is None else "cut"

    def on_message_begin(self) -> None:
        if self.is_whole:  # bytes nobody asked for: they must not become the next request's answer
            self.is_kept = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._fields.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.is_whole:
            return
        fields = self._fields
        parser = self._parser
        self.status = status = parser.get_status_code()
        if len(fields) > FIELDS_MAX:
            self._refuse(f"more than {FIELDS_MAX} header fields")
        if self._silent_bytes > HEAD_MAX_BYTES and sum(len(n) + len(v) + 4 for n, v in fields) > HEAD_MAX_BYTES:
            self._refuse(f"a head of more than {HEAD_MAX_BYTES} bytes")
        if status < 200:
            self.is_interim = True
            self._fields = []
            if status == 101 or status < 100:
                self._refuse(f"status {status}")
            return
        self._fields = []  # what is added from here on are trailers
        self.is_kept = parser.should_keep_alive()
        coding = dict(fields).get(b"transfer-encoding")
        if coding is not None and coding.lower() != b"chunked":
            self._refuse("unknown transfer encoding")
        if not self.is_kept:
            self._read_close(fields, is_chunked=coding is not None)
        self.headers = tuple(fields)
        if self.is_bodyless or status == 204 or status == 304:
            self.is_bodyless = self.is_whole = True

    def _read_close(self, fields: list[tuple[bytes, bytes]], *, is_chunked: bool) -> None:
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0") or (is_chunked and version == "1.0"):
            self._refuse(f"HTTP/{version}{' with chunks' if is_chunked else ''}")
        self.is_by_eof = not is_chunked and not any(name == b"content-length" for name, _ in fields)

    def _refuse(self, fault: str) -> None:
        self.fault = fault
        raise ValueError(fault)  # stops the parser; `feed` finds `fault` already set

    def on_body(self, piece: bytes) -> None:
        if self.is_bodyless:
            self.is_kept = False
        else:
            self._pieces.append(piece)

    def on_message_complete(self) -> None:
        if self.is_interim:
            self.is_interim = False
        elif not self._is_settled:
            if self._fields:  # httptools may carry an unfinished trailer over into the next answer's head
                self.is_kept = False
            self._is_settled = self.is_whole = True
        else:
            self.is_kept = False

"""Where a connection goes, how many there may be, and what its failures are called.

Shared by the three upstream ports, so that the same fault has the same code and words whichever is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ..errors import UpstreamFailed


@dataclass(frozen=True, slots=True)
class Origin:
    """A scheme, host and port. `field` is the value of the Host header, `shown` is safe to print."""

    host: str
    port: int
    is_tls: bool
    field: bytes
    shown: str


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """How a pool treats its connections; counts are per origin, times in seconds.

    An idle connection is closed after `keep_s`. A reused connection that dies within `stale_s` of being
    written to, without a byte of answer, is taken to have been closed while idle, and the request is sent once
    more on a fresh one; later than that the upstream may have done the work, and the failure is raised.
    """

    connections_max: int = 1000
    idle_max: int = 512
    keep_s: float = 15.0
    stale_s: float = 1.0


def read_origin(url: str) -> Origin:
    """The origin of `scheme://host[:port]`. Raises UpstreamFailed (connect_failed) where it is none."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, urlsplit("")
    if not host or parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query:
        raise UpstreamFailed(
            "The upstream's URL is not of the form https://host[:port].",
            code="connect_failed",
            fix="Correct the upstream's url.",
        )
    is_tls = parts.scheme == "https"
    if not host.isascii():
        host = host.encode("idna").decode("ascii")
    usual = 443 if is_tls else 80
    bracketed = f"[{host}]" if ":" in host else host
    field = bracketed if port in (None, usual) else f"{bracketed}:{port}"
    return Origin(host, port or usual, is_tls, field.encode("ascii"), f"{parts.scheme}://{field}")


_SAID = {
    "connect_failed": ("Could not connect to {}", "Check the upstream's url, the network and its certificate."),
    "connect_timeout": ("Connecting to {} took longer than {}", "Check the network, or raise connect_s."),
    "first_byte_timeout": ("{} did not begin to answer within {}", "Retry, or raise first_byte_s."),
    "idle_timeout": ("{} sent nothing for {} in the middle of an answer", "Retry, or raise idle_s."),
    "total_timeout": ("The call to {} was not done within {}", "Retry, or raise total_s."),
    "reset": ("{} closed the connection", "Retry the call."),
    "cut": ("{} ended its answer before it was complete", "Retry the call."),
    "bad_answer": ("{} did not answer in valid HTTP/1.1", "Check that the upstream's url names an HTTP API."),
    "closed": ("The connections to {} are shut down", "Send the call to a running Penstock."),
}


def failure(code: str, origin: Origin, detail: str = "", *, limit_s: float | None = None) -> UpstreamFailed:
    """An UpstreamFailed that names the origin; `detail` follows a colon, `limit_s` is the timeout that ran out."""
    said, fix = _SAID[code]
    message = said.format(origin.shown, "" if limit_s is None else f"{limit_s:g} s")
    return UpstreamFailed(f"{message}: {detail}." if detail else f"{message}.", code=code, fix=fix)


def reason(error: BaseException) -> str:
    """What an operating system or TLS error says, in one line."""
    verified = getattr(error, "verify_message", "")
    said = verified or getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(said).splitlines()[0].rstrip(".")

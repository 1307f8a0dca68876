"""What one listening gateway grants its callers before a call exists."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServerLimits:
    """Bounds on connections, heads and bodies. Deadlines are kept to within one `sweep_s`.

    The deadlines bound only what the caller owes: time in which Penstock itself holds the caller back
    (reading paused, `100 Continue` not sent yet) does not count.
    """

    #: Request line and header fields together; more is refused with 431.
    header_bytes_max: int = 64 * 1024
    #: Header fields of one request; more is refused with 431.
    header_count_max: int = 128
    #: From the first byte of a request (or from connecting) to the end of its head, else 408.
    header_read_s: float = 10.0
    #: Longest silence inside a body, else 408.
    body_idle_s: float = 15.0
    #: A body must average `body_rate_min` bytes per second over every `body_rate_window_s`, else 408.
    body_rate_min: int = 256
    body_rate_window_s: float = 20.0
    #: How long an idle connection is kept for the next request.
    keep_alive_s: float = 75.0
    #: How long a caller may take nothing at all of an answer that waits for it; then the connection is cut.
    write_stall_s: float = 60.0
    #: Open connections; one more is refused with 503.
    connections_max: int = 4096
    #: Requests sent ahead on one connection while an earlier one is being answered.
    pipeline_max: int = 100
    #: How long a refused caller may go on sending, so that it reads the refusal rather than a reset.
    linger_s: float = 3.0
    #: How often the deadlines are looked at.
    sweep_s: float = 1.0

    def ticks(self, seconds: float) -> int:
        """`seconds` in sweeps, rounded up, and one more because the first may come at once."""
        return int(-(-seconds // self.sweep_s)) + 1

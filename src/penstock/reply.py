"""What travels back. The only code in the package that iterates a response body.

A layer never wraps the body: it attaches a `Tap`, which watches, or the one `Gate`, which may hold back or
replace. `ended` runs exactly once for each tap, whether the body completes, fails, is cut short, or is
abandoned by its reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Literal, Protocol, Self

import msgspec

from .errors import PenstockError, UpstreamFailed, error_body
from .wire.messages import Answer, Reading, Unreadable

Headers = tuple[tuple[bytes, bytes], ...]


class Source(Protocol):
    """A response body, chunk by chunk as it came. `aclose` gives the connection up or back; twice is safe.

    Most have `within(seconds)` too: the next chunk, or None where none comes in that time, which loses nothing.
    """

    async def __anext__(self) -> bytes: ...
    async def aclose(self) -> None: ...


class _Over:
    """A `Source` that has nothing more, or only the failure that ended it."""

    __slots__ = ("_error",)

    def __init__(self, error: UpstreamFailed | None) -> None:
        self._error = error

    async def __anext__(self) -> bytes:
        if self._error is not None:
            raise self._error
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._error = None


class Ending(msgspec.Struct, frozen=True):
    """How a reply ended, and the error that ended it, if one did."""

    kind: Literal["complete", "refused", "failed", "truncated", "abandoned"]
    error: BaseException | None = None


class Tap:
    """Watches what the caller gets of one reply, but for the `error` event that closes a broken stream.

    `saw` never blocks; `ended` runs exactly once, however the body ends.
    """

    def saw(self, chunk: bytes) -> None: ...

    async def ended(self, ending: Ending) -> None: ...


class Gate:
    """May hold back or replace what the caller gets; of itself it does neither. At most one per reply.

    Of a stream, it lets whole events through. `shut` is why nothing more of it may pass, looked at after each chunk.
    """

    shut: PenstockError | None = None

    def passed(self, chunk: bytes) -> bytes:
        """What to let through now; empty to hold back."""
        return chunk

    def flushed(self, ending: Ending) -> bytes:
        """What was still held back. Called once, as the reply ends; where nobody reads on, it goes nowhere."""
        return b""


class Reply:
    """A status, header fields and one body.

    Iterate it to the end, or `aclose()` it: one of the two settles it. `reading` follows the bytes as they
    pass and knows the answer's usage, stop reason and whether it is whole.
    """

    __slots__ = (
        "_ahead",
        "_ending",
        "_gate",
        "_source",
        "_tail",
        "_taps",
        "headers",
        "reading",
        "request_id",
        "status",
    )

    def __init__(
        self,
        status: int,
        headers: Headers,
        source: Source,
        *,
        reading: Reading,
        request_id: str,
    ) -> None:
        self.status, self.headers, self.reading, self.request_id = status, headers, reading, request_id
        self._source = source
        self._taps: list[Tap] = []
        self._gate: Gate | None = None
        self._ahead: deque[bytes] = deque()
        self._ending: Ending | None = None
        self._tail = b""

    @property
    def answer(self) -> Answer:
        """What the body has shown so far."""
        return self.reading.answer

    @property
    def ending(self) -> Ending | None:
        """How it ended; None while it is open."""
        return self._ending

    def tap(self, tap: Tap) -> Self:
        self._taps.append(tap)
        return self

    def gate(self, gate: Gate) -> Self:
        if self._gate is not None:
            raise AssertionError("a reply has at most one gate")
        self._gate = gate
        return self

    async def look(self, within_s: float | None = None) -> bool:
        """Read one chunk ahead of the caller, for whom it is kept. False at the end, or where none came in time.

        Raises UpstreamFailed as the body did; the caller will meet it too, in its place. A source that cannot wait for
        a time waits for its chunk.
        """
        try:
            within = getattr(self._source, "within", None) if within_s is not None else None
            chunk = await (self._source.__anext__() if within is None else within(within_s))
        except StopAsyncIteration:
            if not self.is_all_ahead:
                self._source = _Over(None)
                self.reading.finish()
            return False
        except UpstreamFailed as error:
            self._source = _Over(error)
            raise
        except BaseException as error:
            await self._abandon(error)
            raise
        if chunk is None:
            return False
        try:
            self.reading.feed(chunk)
        except Unreadable as fault:
            failure = await self._given_up(fault)
            self._source = _Over(failure)
            raise failure from fault
        self._ahead.append(chunk)
        return True

    @property
    def is_all_ahead(self) -> bool:
        """Whether `look` has met the end of the body."""
        return type(self._source) is _Over

    @property
    def has_ahead(self) -> bool:
        """Whether `look` has read what the caller has not got yet."""
        return bool(self._ahead)

    async def looked(self) -> bytes:
        """All of the body, read ahead of the caller, for whom it is kept. Raises UpstreamFailed, as `look` does."""
        while await self.look():
            pass
        return b"".join(self._ahead)

    def put(self, body: bytes) -> None:
        """Let the caller have this body instead of the one that was `looked` at."""
        if not self.is_all_ahead:
            raise AssertionError("only a body that is all ahead can be replaced")
        self._ahead = deque([body])
        self.headers = tuple([field for field in self.headers if field[0] != b"content-length"])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while True:
            if self._ending is not None:
                raise StopAsyncIteration
            if self._ahead:
                chunk = self._ahead.popleft()
            else:
                try:
                    chunk = await self._source.__anext__()
                    self.reading.feed(chunk)
                except StopAsyncIteration:
                    await self._finish()
                    if self._tail:
                        return self._tail
                    raise
                except UpstreamFailed as error:
                    await self._finish(error)
                    if self._tail:
                        return self._tail
                    raise
                except Unreadable as fault:
                    failure = await self._given_up(fault)
                    await self._finish(failure)
                    if self._tail:
                        return self._tail
                    raise failure from fault
                except BaseException as error:  # the reader is being cancelled, or the source has a bug
                    await self._abandon(error)
                    raise
            gate = self._gate
            if gate is not None:
                chunk = gate.passed(chunk)
            if chunk:
                for tap in self._taps:
                    tap.saw(chunk)
            if gate is not None and gate.shut is not None:
                return chunk + await self._shut_off(gate, gate.shut)
            if chunk:
                return chunk

    async def _shut_off(self, gate: Gate, error: PenstockError) -> bytes:
        """Let the upstream go in the middle of a stream. What its caller is told of it, as the last event."""
        ending = Ending("refused", error)
        try:
            await self._source.aclose()
        finally:
            gate.flushed(ending)
            await self._end(ending)
        kind = getattr(error, "type", "api_error")
        return b"event: error\ndata: " + error_body(error, self.request_id, kind) + b"\n\n"

    async def _given_up(self, fault: Unreadable) -> UpstreamFailed:
        await self._source.aclose()
        return UpstreamFailed(str(fault), code="bad_answer", fix="Retry the call.")

    async def read(self) -> bytes:
        """The whole body. Raises UpstreamFailed where it ended early and nothing in it could say so."""
        first = await anext(self, b"")
        rest = [chunk async for chunk in self]
        if self._ending is not None and isinstance(self._ending.error, UpstreamFailed) and not self.answer.is_stream:
            raise self._ending.error
        return b"".join([first, *rest]) if rest else first

    async def aclose(self) -> None:
        """Give the body up. The upstream is let go first, then the taps settle."""
        if self._ending is None:
            await self._abandon(None)

    async def _abandon(self, error: BaseException | None) -> None:
        try:
            await self._source.aclose()
        finally:
            has_failed = isinstance(error, Exception) or self.answer.error_type is not None
            ending = Ending("failed" if has_failed else "abandoned", error)
            if self._gate is not None:
                self._gate.flushed(ending)
            await self._end(ending)

    async def _finish(self, error: UpstreamFailed | None = None) -> None:
        """The source has no more: settle, and leave in `_tail` what the caller must still be told.

        A stream the API did not finish gets an `error` event as its last, because clients take a clean
        end for success.
        """
        if not self.is_all_ahead:
            self.reading.finish()
        if error is None and self.answer.error_type is not None:
            ending = Ending("failed")
        elif error is None and not self.answer.is_whole:
            error = UpstreamFailed("The answer ended before it was complete.", code="cut", fix="Retry the call.")
            ending = Ending("truncated", error)
        elif error is not None:
            ending = Ending("truncated" if error.code == "cut" else "failed", error)
        else:
            ending = Ending("complete")
        tail = self._gate.flushed(ending) if self._gate is not None else b""
        if tail:
            for tap in self._taps:
                tap.saw(tail)
        if error is not None:
            tail += self.reading.closing(error_body(error, self.request_id, error.type))
        self._tail = tail
        await self._end(ending)

    async def _end(self, ending: Ending) -> None:
        self._ending = ending
        # Let go of the taps: one that holds this reply would be a cycle, which waits for the collector.
        taps, self._taps = self._taps, []
        failures: list[Exception] = []
        for tap in reversed(taps):  # one failing tap must not silence the next
            try:
                await tap.ended(ending)
            except Exception as failure:
                failures.append(failure)
        if failures:
            raise failures[0]


class Whole:
    """A `Source` of a body already at hand."""

    __slots__ = ("_chunks",)

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)

    async def __anext__(self) -> bytes:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._chunks = iter(())


def ending_of(error: BaseException) -> Ending:
    """The ending of a call that got no reply, from what was raised instead."""
    if isinstance(error, UpstreamFailed):
        return Ending("failed", error)
    if isinstance(error, PenstockError):
        return Ending("refused", error)
    return Ending("failed" if isinstance(error, Exception) else "abandoned", error)

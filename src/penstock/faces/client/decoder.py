"""A faster reader of server-sent events for the SDK's streams.

The SDK asks its client for a decoder (`_make_sse_decoder`, private, but overridden by the SDK's own cloud clients).
Its own splits every event into lines and parses each in Python; this one takes an event of the usual two lines in one
step and leaves everything unusual to the SDK's. Where the hook has another shape than known, nothing is replaced.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Iterator
from functools import cache
from itertools import chain
from typing import Any

import msgspec

from .kit import SdkClient

_loads = msgspec.json.Decoder().decode


def hasten(client: SdkClient) -> bool:
    """Give a client the fast decoder. False, and nothing done, where the SDK's hook is not the one known here."""
    try:
        usual = client._make_sse_decoder()
        event = type(usual).__module__.partition("._streaming")
        if type(usual).__name__ != "SSEDecoder" or event[1] == "":
            return False
        known: Any = type(usual)
        kind = _decoder_kind(known)
        if not _agrees(kind(), type(usual)()):
            return False
    except Exception:
        return False
    client._make_sse_decoder = kind
    return True


_SAMPLE = b'event: ping\ndata: {"type": "ping"}\n\n: note\n\nid: 7\nretry: 5\nevent: a\ndata: 1\ndata: 2\n\ndata: 3\n\n'


def _agrees(fast: Any, usual: Any) -> bool:
    """Whether both decoders make the same of a sample, in all that this SDK's events show."""
    made, expected = (list(decoder.iter_bytes(iter([_SAMPLE]))) for decoder in (fast, usual))
    shown = [name for name in ("event", "data", "id", "retry", "raw") if hasattr(expected[0], name)]
    return [[getattr(event, name) for name in shown] for event in made] == [
        [getattr(event, name) for name in shown] for event in expected
    ]


@cache
def _decoder_kind(usual: Any) -> Any:
    """The fast decoder for one SDK: a subclass of its own, which does what the fast path does not."""
    event = _event_kind(usual)

    class FastDecoder(usual):  # type: ignore[misc]
        def iter_bytes(self, iterator: Iterator[bytes]) -> Iterator[Any]:
            left = b""
            for chunk in iterator:
                if b"\r" in chunk:  # lines that end otherwise, from here on
                    yield from super().iter_bytes(chain((left + chunk,), iterator))
                    return
                *blocks, left = (left + chunk if left else chunk).split(b"\n\n")
                for block in blocks:
                    head, _, data = block.partition(b"\n")
                    if (
                        head[:7] == b"event: "
                        and data[:6] == b"data: "
                        and b"\n" not in data
                        and self._last_event_id is None
                    ):
                        yield event(head, data)
                    else:
                        yield from _by_lines(self, block + b"\n\n")
            yield from _by_lines(self, left)

        async def aiter_bytes(self, iterator: AsyncIterator[bytes]) -> AsyncIterator[Any]:
            left = b""
            async for chunk in iterator:
                if b"\r" in chunk:
                    async for made in super().aiter_bytes(_chained(left + chunk, iterator)):
                        yield made
                    return
                *blocks, left = (left + chunk if left else chunk).split(b"\n\n")
                for block in blocks:
                    head, _, data = block.partition(b"\n")
                    if (
                        head[:7] == b"event: "
                        and data[:6] == b"data: "
                        and b"\n" not in data
                        and self._last_event_id is None
                    ):
                        yield event(head, data)
                    else:
                        for made in _by_lines(self, block + b"\n\n"):
                            yield made
            for made in _by_lines(self, left):
                yield made

    return FastDecoder


def _by_lines(decoder: Any, text: bytes) -> list[Any]:
    found = (decoder.decode(line.decode("utf-8")) for line in text.splitlines())
    return [event for event in found if event]


async def _chained(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for chunk in rest:
        yield chunk


@cache
def _event_kind(usual: Any) -> Any:
    """An event that decodes its data only when asked, as a subclass of the SDK's."""
    plain = sys.modules[usual.__module__].ServerSentEvent

    class FastEvent(plain):  # type: ignore[misc, valid-type]
        event: str | None = None  # an attribute: the SDK asks four times for each event
        id = retry = None

        def __init__(self, head: bytes, data: bytes) -> None:
            self.event = head[7:].decode("utf-8") or None
            self._head, self._line = head, data

        @property
        def data(self) -> str:
            return self._line[6:].decode("utf-8")

        @property
        def raw(self) -> list[str]:
            return [self._head.decode("utf-8"), self._line.decode("utf-8")]

        def json(self) -> Any:
            try:
                return _loads(self._line[6:])
            except (msgspec.MsgspecError, ValueError):
                return json.loads(self.data)  # more lenient: NaN, lone surrogates; and its own error

    return FastEvent

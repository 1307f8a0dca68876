"""Sampling: requests and answers of calls that failed, and of some of the others, are kept for whoever looks into them.

Which calls are sampled is decided by a hash of the call's id. They are scrubbed, packed and written beside the calls.
"""

from __future__ import annotations

from zlib import crc32

from ...call import Call
from ...config.features import ByFeature
from ...config.schema import Config
from ...errors import UpstreamFailed
from ...layer import Next
from ...ports import Exchange, Ports
from ...reply import Ending, Reply, Tap

#: Of an answer that is kept only should it fail, so much is held on to meanwhile, in bytes.
FAILED_BYTES_MAX = 8 << 10
#: Of one that is sampled.
SAMPLED_BYTES_MAX = 1 << 20


class Sampling:
    """Hands on what is to be kept. Nothing is, where there is no store for it."""

    def __init__(self, config: Config, ports: Ports) -> None:
        own = config.records.bodies
        self._keeps_errors, self._ports = own.errors, ports
        self._percent = ByFeature(
            config.features,
            lambda _, feature: own.percent if feature.bodies_percent is None else feature.bodies_percent,
        )

    async def __call__(self, call: Call, onward: Next) -> Reply:
        store = self._ports.bodies
        if store is None or call.endpoint.name != "messages":
            return await onward(call)
        is_sampled = crc32(call.id.encode()) % 100 < self._percent(call.tags.feature)
        if not (is_sampled or self._keeps_errors):
            return await onward(call)
        try:
            reply = await onward(call)
        except UpstreamFailed:
            store.keep(Exchange(call.id, call.began_at_us, call.body, b""))
            raise
        return reply.tap(_Sample(call, reply, self._ports, is_sampled=is_sampled))


class _Sample(Tap):
    __slots__ = ("_call", "_chunks", "_is_sampled", "_left", "_ports", "_reply")

    def __init__(self, call: Call, reply: Reply, ports: Ports, *, is_sampled: bool) -> None:
        self._call, self._reply, self._ports, self._is_sampled = call, reply, ports, is_sampled
        self._chunks: list[bytes] = []
        self._left = SAMPLED_BYTES_MAX if is_sampled else FAILED_BYTES_MAX

    def saw(self, chunk: bytes) -> None:
        if self._left > 0:
            self._chunks.append(chunk[: self._left])
            self._left -= len(chunk)

    async def ended(self, ending: Ending) -> None:
        has_failed = self._reply.status >= 400 or ending.kind in ("failed", "truncated")
        store = self._ports.bodies
        if store is not None and (has_failed or self._is_sampled):
            call, answer = self._call, b"".join(self._chunks)
            store.keep(Exchange(call.id, call.began_at_us, call.body, answer, is_stream=self._reply.answer.is_stream))

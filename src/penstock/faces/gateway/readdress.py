"""The one edit the gateway makes to an answer: a batch's `results_url` leads through the gateway again.

The API names its own address there, and the SDKs follow it: results would be fetched past the gateway, with a key that
only the gateway knows.
"""

from __future__ import annotations

import re

from ...call import Call, Fact
from ...reply import Ending, Gate, Reply

_ADDRESS = re.compile(rb'("results_url"\s*:\s*")https?://[^"/]+[^"]*?(/v1/messages/batches/)')


class Readdressed(Fact, frozen=True):
    """How many `results_url` fields were made to lead here."""

    fields: int

    def told(self) -> str:
        return f"{self.fields} results_url fields of the answer were made to lead through the gateway."


class _Readdress(Gate):
    """A gate: holds the body back to its end, then lets it through with its addresses changed."""

    def __init__(self, call: Call, base: bytes) -> None:
        self._call, self._base = call, base
        self._held: list[bytes] = []

    def passed(self, chunk: bytes) -> bytes:
        self._held.append(chunk)
        return b""

    def flushed(self, ending: Ending) -> bytes:
        body, count = _ADDRESS.subn(rb"\g<1>" + self._base + rb"\g<2>", b"".join(self._held))
        if count:
            self._call.trail.append(Readdressed(count))
        return body


def readdress(call: Call, reply: Reply) -> None:
    """Let the batches in a reply lead back to the address the caller used."""
    host = call.fields.get(b"x-forwarded-host") or call.fields.get(b"host", b"")
    if call.endpoint.name == "batches" and reply.status == 200 and re.fullmatch(rb"[\w.:\[\]-]+", host):
        scheme = b"https" if call.fields.get(b"x-forwarded-proto", b"").lower() == b"https" else b"http"
        reply.gate(_Readdress(call, scheme + b"://" + host))

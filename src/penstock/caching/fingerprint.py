"""What a call's row keeps of its prompt, so that a miss of the cache can be explained later: salted hashes and counts.

`penstock cache doctor` compares them. No text is kept, and without the salt of the data folder no text that somebody
guesses can be tried against them.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from hashlib import blake2b

import msgspec

from ..call import Call, Fact
from ..wire.messages import Request
from ..wire.models import shipped
from ..wire.prefix import Prefix

#: Of a digest so many bytes are kept: two prompts taken for one would only mislead an explanation.
DIGEST_BYTES = 6
#: Of a prompt with more blocks than both, the first and the last are kept, every so many-th between, and marked ones.
_HEAD, _TAIL, _STRIDE = 32, 64, 32
#: Between head and tail at most so many, by a wider stride.
_BETWEEN_MAX = 32
_CACHEABLE_USUALLY = 1024
#: Estimates are this sure: a prompt that is shorter than what a model caches by more than that is not kept.
_SURE_PERCENT = 80
#: Settings whose values the wire part hashes without salt, as they come from prompts.
_SALTED = ("tool_choice", "web_search", "format")
_USUAL = {"", "standard", "False", "auto  False"}

_Tool = dict[str, msgspec.Raw]
_TOOLS = msgspec.json.Decoder(list[_Tool])


class Fingerprinted(Fact, frozen=True):
    """A prompt as it left: `blocks` in all, first so many `tools`, then so many of the `system` prompt, then those of
    so many `turns`.

    Of the blocks that are `kept`, in order: `digests` of all up to each, six bytes each, in base64; `tokens` since the
    one before, estimated. `marks` are places of blocks with their lifetimes, 5m or 1h. `settings` are those that decide
    besides the blocks and are not usual. `credential` and `toolset` are hashes, the latter of the tools in any order.
    """

    upstream: str
    blocks: int
    tools: int
    system: int
    turns: int
    digests: str
    tokens: list[int]
    marks: tuple[tuple[int, str], ...] = ()
    settings: Mapping[str, str] = msgspec.field(default_factory=dict)
    credential: str = ""
    toolset: str = ""

    def told(self) -> str:
        parts = f"{self.tools} of tools, {self.system} of the system prompt"
        where = ", ".join(f"{place + 1} for {lifetime}" for place, lifetime in self.marks)
        marked = f"marked for the cache at block {where}" if self.marks else "not marked for the cache"
        return f"Its prompt had {self.blocks:,} blocks ({parts}), about {sum(self.tokens):,} tokens, {marked}."


class TooShort(Fact, frozen=True):
    """The caller has marked a prompt that is far too short to be cached. Nothing else is kept of it."""

    def told(self) -> str:
        return "Its prompt is marked for the cache, and too short to be cached."


def kept(blocks: int, tools: int, system: int, marks: Iterable[int]) -> list[int]:
    """The places of the blocks that a fingerprint has, in order: all of them, unless there are very many."""
    if blocks <= _HEAD + _TAIL:
        return list(range(blocks))
    stride = _STRIDE
    while blocks > stride * _BETWEEN_MAX:
        stride *= 2  # multiples of the old one remain, so that prompts of different lengths can be compared
    ends = [end - 1 for end in (tools, tools + system) if end]
    return sorted(
        {*range(_HEAD), *range(0, blocks, stride), *range(blocks - _TAIL, blocks), *ends, *marks} & {*range(blocks)}
    )


def fingerprint(call: Call, prefix: Prefix, placed: Mapping[int, str], salt: bytes) -> Fingerprinted | None:
    """The fingerprint of a call about to leave. `prefix` was read with `salt`; `placed` are the marks set by us since,
    by the number of the block.

    None where nothing is to be kept: without a salt, and for prompts too short for any cache that nobody has marked.
    """
    blocks, request = prefix.blocks, call.request
    if not blocks or not salt or request is None:
        return None
    marks = _marks(prefix, placed)
    if not marks and blocks[-1].upto_tokens * 100 < _least_tokens(request) * _SURE_PERCENT:
        return None
    assert call.plan is not None, "routing stands above"
    target = call.plan.candidates[0].target
    tools = sum(block.segment == "tools" for block in blocks)
    system = sum(block.segment == "system" for block in blocks)
    places = kept(len(blocks), tools, system, marks)
    upto = [blocks[place].upto_tokens for place in places]
    return Fingerprinted(
        upstream=target.name,
        blocks=len(blocks),
        tools=tools,
        system=system,
        turns=len({block.place[1] for block in blocks if block.segment == "messages"}),
        digests=b64encode(b"".join([blocks[place].digest[:DIGEST_BYTES] for place in places])).decode(),
        tokens=[own - before for before, own in zip([0, *upto], upto, strict=False)],
        marks=tuple(sorted(marks.items())),
        settings=_settings(prefix, salt),
        credential=_short(salt, (target.key.reveal() if target.key is not None else _own_key(call)).encode()),
        toolset=_toolset(request, salt),
    )


def _marks(prefix: Prefix, placed: Mapping[int, str]) -> dict[int, str]:
    """The lifetime that each marked block is marked for; the mark of the whole stands on the last that may bear one."""
    marks = {place: block.mark for place, block in enumerate(prefix.blocks) if block.mark is not None} | dict(placed)
    if prefix.automatic is not None:
        last = max((place for place, block in enumerate(prefix.blocks) if block.may_bear), default=None)
        if last is not None:
            marks.setdefault(last, prefix.automatic)
    return marks


def _least_tokens(request: Request) -> int:
    known = shipped().find(request.model or "")
    return (known.cacheable_tokens_min if known is not None else None) or _CACHEABLE_USUALLY


def _settings(prefix: Prefix, salt: bytes) -> dict[str, str]:
    """Those that are not usual; the model is on the record."""
    odd = {name: said for name, said in prefix.settings.items() if said not in _USUAL and name != "model"}
    return {name: _short(salt, said.encode()) if name in _SALTED else said for name, said in odd.items()}


def _own_key(call: Call) -> str:
    return (call.fields.get(b"x-api-key") or call.fields.get(b"authorization") or b"").decode("latin-1")


def _toolset(request: Request, salt: bytes) -> str:
    """A hash of the tools in whatever order they come; empty without any."""
    try:
        tools = _TOOLS.decode(request.tools) if request.tools else []
    except msgspec.DecodeError:
        return ""
    own = [
        b"".join([name.encode() + bytes(tool[name]) for name in sorted(tool) if name != "cache_control"])
        for tool in tools
    ]
    return _short(salt, b"\n".join(sorted(own))) if own else ""


def _short(salt: bytes, said: bytes) -> str:
    """Four characters, which are equal for what is equal."""
    return b64encode(blake2b(said, digest_size=3, key=salt).digest()).decode()

"""A request as the prompt cache sees it: blocks in the order of the prompt, each with a digest of all up to it.

docs.claude.com, prompt caching: the prompt is tools, then system, then messages; a mark caches all up to and with its
block; marks themselves are not compared; some parameters decide from which segment on nothing is found again.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import msgspec

from .adapting.splice import Spliced
from .messages import Request
from .models import shipped
from .tokens import likely_tokens
from .traits import family_and_version

SEGMENTS = ("tools", "system", "messages")
#: Positions that a lookup goes back from a mark, the mark's own counted.
LOOKBACK = 20
MARKS_MAX = 4
#: The segment from which on a prompt is another one where this differs between two requests.
DECIDES = {
    "model": "tools",
    "speed": "system",
    "web_search": "system",
    "citations": "system",
    "tool_choice": "messages",
    "images": "messages",
    "thinking": "messages",
    "effort": "messages",
    "format": "messages",
}
_THOUGHTS = ("thinking", "redacted_thinking")
#: What a mark may stand on, in system and messages.
_BEARERS = frozenset({"text", "image", "document", "tool_use", "tool_result", "search_result"})
_MARK = b'"cache_control"'
#: What JSON of a blank text is made of.
_BLANKS = b'" \\nrtfu0a'
#: Fields that name a block, or mark it.
_NAMES = frozenset({"type", "id", "tool_use_id", "cache_control"})
#: Bytes by which the tokens of a prompt are told, shared by its blocks; and the least of one.
_WEIGHED, _WEIGHED_LEAST = 1 << 15, 256
_ABSENT = msgspec.Raw(b"")

_Fields = dict[str, msgspec.Raw]


class Block(msgspec.Struct, frozen=True, gc=False):
    """One block of a prompt.

    `segment` is tools, system or messages; `place` its path in the body, `("messages", 3, "content", 0)`, which for a
    text that is no list ends before the number. `kind` is its type, `role` whose words it is, "tool" for a tool.
    `digest` is of the prompt up to and with it, without marks; `tokens` are its own, estimated, `upto_tokens` those of
    the prompt up to and with it. `mark` is the lifetime it is marked for: 5m, 1h or None.
    """

    segment: str
    place: tuple[str | int, ...]
    kind: str
    role: str
    digest: bytes
    tokens: int
    upto_tokens: int
    may_bear: bool
    mark: str | None = None


class Prefix(msgspec.Struct, frozen=True):
    """A prompt as the cache sees it.

    `settings` are what decides besides the blocks, by the names of `DECIDES`; nothing in them is text of the prompt.
    `automatic` is the lifetime of the mark beside `messages`, None without one. `own` says by which fields of its own
    the request sees to its caching: cache_control, diagnostics, thread. Without blocks it has none, or cannot be read.
    """

    blocks: tuple[Block, ...] = ()
    settings: dict[str, str] = {}
    automatic: str | None = None
    own: tuple[str, ...] = ()

    def identities(self, scope: str) -> list[bytes]:
        """For each block what a cache entry for it is found by; `scope` names whatever has a cache of its own."""
        seeds = _seeds(scope, tuple(self.settings.items()))
        return [seeds[block.segment] + block.digest for block in self.blocks]


class _Turn(msgspec.Struct, frozen=True):
    role: str = ""
    content: msgspec.Raw = _ABSENT


class _Around(msgspec.Struct, frozen=True):
    tool_choice: Any = None
    thinking: Any = None
    output_config: Any = None
    output_format: msgspec.Raw = _ABSENT
    cache_control: Any = None
    diagnostics: Any = None
    thread: Any = None


_AROUND = msgspec.json.Decoder(_Around)
_TURNS = msgspec.json.Decoder(list[_Turn])
_OBJECTS = msgspec.json.Decoder(list[_Fields])
_ANY = msgspec.json.Decoder()

# A block on its way in: segment, place, role, fields, and whether a mark may stand there as far as its place goes.
_Piece = tuple[str, tuple[str | int, ...], str, _Fields, bool]


def read_prefix(request: Request, body: bytes, salt: bytes = b"") -> Prefix:
    """The prompt of a Messages body, from which `request` was read. With a `salt` digests cannot be guessed.

    A body that is not of the shape the API takes has no blocks. Never raises.
    """
    try:
        return _made(request, body, list(_pieces(request)), salt)
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError):
        return Prefix()


def _made(request: Request, body: bytes, pieces: list[_Piece], salt: bytes) -> Prefix:
    around = _AROUND.decode(body)
    model, chain, upto = request.model or "", blake2b(digest_size=8, key=salt[:64]), 0.0
    most = max(_WEIGHED_LEAST, _WEIGHED // max(1, len(pieces)))
    blocks = []
    for segment, place, role, fields, may_stand in pieces:
        kind = _kind(fields)
        chain.update(_bare(f"{segment} {role}".encode(), fields))
        shown = "tool" if role == "tool" else kind
        tokens = 0.0 if kind in _THOUGHTS else likely_tokens(_weighty(fields), model, shown, most)
        upto += tokens
        may_bear = may_stand and (segment == "tools" or (kind in _BEARERS and not _is_blank(kind, fields)))
        blocks.append(
            Block(segment, place, kind, role, chain.digest(), round(tokens), round(upto), may_bear, _mark(fields))
        )
    automatic = _lifetime(around.cache_control)
    # Where else a mark may stand, in a beta's own blocks for one, is not known: the word alone counts as one.
    has_marks = automatic is not None or any(block.mark is not None for block in blocks)
    given = {"cache_control": has_marks or _MARK in body, "diagnostics": around.diagnostics, "thread": around.thread}
    own = tuple(name for name, value in given.items() if value)
    return Prefix(tuple(blocks), _settings(request, around, pieces), automatic, own)


@lru_cache(256)
def _seeds(scope: str, settings: tuple[tuple[str, str], ...]) -> dict[str, bytes]:
    """What the identities of each segment's blocks begin with."""
    seeds, seed = {}, scope.encode()
    for segment in SEGMENTS:
        said = [value for name, value in settings if DECIDES[name] == segment]
        seed = blake2b(seed + msgspec.json.encode(said), digest_size=8).digest()
        seeds[segment] = seed
    return seeds


def _pieces(request: Request) -> Iterator[_Piece]:
    """All blocks in the order of the prompt.

    Web search stands with the system prompt, as to turn it on leaves the tools' cache alone. Tools that are loaded only
    when searched for are no part of the prompt.
    """
    tools = list(enumerate(_OBJECTS.decode(request.tools))) if request.tools else []
    shown = [(at, tool) for at, tool in tools if bytes(tool.get("defer_loading", b"")) != b"true"]
    for at, tool in shown:
        if not _kind(tool).startswith("web_search_"):
            yield "tools", ("tools", at), "tool", tool, True
    for at, tool in shown:
        if _kind(tool).startswith("web_search_"):
            yield "system", ("tools", at), "tool", tool, False
    for place, fields in _blocks(request.system, ("system",)):
        yield "system", place, "system", fields, True
    turns = _TURNS.decode(request.messages)
    last_words = _last_words(turns) if _forgets(request.model or "") else -1
    for number, turn in enumerate(turns):
        for place, fields in _blocks(turn.content, ("messages", number, "content")):
            if number < last_words and turn.role == "assistant" and _kind(fields) in _THOUGHTS:
                continue
            yield "messages", place, turn.role, fields, turn.role != "system"


def _blocks(content: msgspec.Raw, place: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], _Fields]]:
    """The blocks of a turn or of the system prompt. A bare text is short for one block of text."""
    raw = bytes(content)
    if raw in (b"", b"null", b'""'):
        return
    if raw[:1] == b'"':
        yield place, {"type": msgspec.Raw(b'"text"'), "text": content}
        return
    for at, fields in enumerate(_OBJECTS.decode(raw)):
        yield (*place, at), fields


def _kind(fields: _Fields) -> str:
    return bytes(fields.get("type", b'""'))[1:-1].decode()


def _bare(head: bytes, fields: _Fields) -> bytes:
    """A block as it is hashed: its fields by name, without marks and nulls, each with its length before it."""
    parts = [head]
    for name in sorted(fields):
        value = bytes(fields[name])
        if name != "cache_control" and value != b"null":
            if name in ("content", "source") and _MARK in value:
                value = _unmarked(value)
            parts.append(b" %b %d:%b" % (name.encode(), len(value), value))
    return b"%d" % len(parts) + b"".join(parts)


def _weighty(fields: _Fields) -> bytes:
    """What of a block costs tokens: all of it but what it is called by."""
    return b" ".join([bytes(value) for name, value in fields.items() if name not in _NAMES])


def _is_blank(kind: str, fields: _Fields) -> bool:
    """Whether a text is empty, or as good as: a mark on it is refused."""
    text = bytes(fields.get("text", b'""'))
    return kind == "text" and not text.strip(_BLANKS) and not str(_ANY.decode(text)).strip()


def _mark(fields: _Fields) -> str | None:
    """The lifetime a block is marked for; a mark inside a tool's result, or a document, is taken for its own."""
    found = _lifetime(_ANY.decode(fields["cache_control"])) if "cache_control" in fields else None
    for name in ("content", "source"):
        if found is None and _MARK in bytes(fields.get(name, b"")):
            found = next(filter(None, map(_lifetime, _inner_marks(_ANY.decode(fields[name])))), None)
    return found


def _inner_marks(value: Any) -> Iterator[Any]:
    for inner in value if isinstance(value, list) else [value]:
        if isinstance(inner, dict):
            yield inner.get("cache_control")
            for name in ("content", "source"):
                yield from _inner_marks(inner.get(name))


def _lifetime(control: Any) -> str | None:
    return None if not isinstance(control, dict) else "1h" if control.get("ttl") == "1h" else "5m"


def _unmarked(value: bytes) -> bytes:
    """Blocks inside a block, without their marks and with all other bytes as they are."""
    if _MARK not in value or value[:1] not in (b"[", b"{"):
        return value
    level = Spliced(value)
    if level.is_object and "cache_control" in level:
        level.drop("cache_control")
    for name in range(len(_OBJECTS.decode(value))) if not level.is_object else ("content", "source"):
        if name in level:
            level.put(name, _unmarked(level[name]))
    return level.text


def _last_words(turns: list[_Turn]) -> int:
    """The last of the user's turns that is not results of tools alone; -1 without one."""
    for at in range(len(turns) - 1, -1, -1):
        if turns[at].role == "user":
            blocks = _blocks(turns[at].content, ())
            if any(_kind(fields) != "tool_result" for _, fields in blocks):
                return at
    return -1


def _forgets(model: str) -> bool:
    """Whether what it thought is no part of the prompt any more once the user says what is no result of a tool."""
    known = shipped().find(model)
    family, version = family_and_version(known.id if known is not None else model)
    return family == "haiku" or version < {"opus": (4, 5), "sonnet": (4, 6)}.get(family, (0, 0))


def _settings(request: Request, around: _Around, pieces: list[_Piece]) -> dict[str, str]:
    """What decides besides the blocks; a default that is spelt out is as good as none."""
    known = shipped().find(request.model or "")
    family, version = family_and_version(known.id if known is not None else request.model or "")
    choice, thinking, config = _table(around.tool_choice), _table(around.thinking), _table(around.output_config)
    kind = thinking.get("type") or (
        "adaptive" if known is not None and known.capabilities.thinks_unasked else "disabled"
    )
    effort = config.get("effort") or ("medium" if family in ("opus", "haiku") and version >= (5, 5) else "high")
    form = config.get("format") or bytes(around.output_format)
    said = [choice.get("type") or "auto", _short(choice.get("name")), bool(choice.get("disable_parallel_tool_use"))]
    return {
        "model": known.id if known is not None else request.model or "",
        "speed": "fast" if request.speed == "fast" else "standard",
        "web_search": _short([bytes(piece[3]["type"]) for piece in pieces if piece[1][0] == "tools" != piece[0]]),
        "citations": str(any(b"true" in bytes(piece[3].get("citations", b"")) for piece in pieces)),
        "tool_choice": " ".join(map(str, said)),
        "images": str(any(_has_image(fields) for _, _, _, fields, _ in pieces)),
        "thinking": f"{kind} {thinking.get('budget_tokens') or ''}".rstrip(),
        "effort": str(effort),
        "format": _short(form),
    }


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _short(value: Any) -> str:
    """A value as a few characters that do not tell it; empty where there is none."""
    return blake2b(msgspec.json.encode(value), digest_size=4).hexdigest() if value else ""


def _has_image(fields: _Fields) -> bool:
    kind = _kind(fields)
    if kind == "image":
        return True
    content = bytes(fields.get("content", b"")) if kind == "tool_result" else b""
    if b'"image"' not in content or content[:1] != b"[":
        return False
    return any(_kind(inner) == "image" for inner in _OBJECTS.decode(content))

"""A conversation without what was left out of it. What stays keeps its bytes."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from ..wire.adapting.splice import Spliced, without
from .choosing import Choice
from .turns import Attachment, Conversation, blocks_of, is_thought

#: Said by a user's turn where one of the system would come first, which the API does not take.
_NOTE = "[The beginning of this conversation was left out.]"


class Kept(NamedTuple):
    """A turn that goes out: its bytes, the same decoded, and its number among the turns as they came, -1 for a new one.

    `is_own`: nothing in it was changed.
    """

    raw: bytes
    turn: dict[str, Any]
    at: int
    is_own: bool = True


def kept(talk: Conversation, choice: Choice, summary: str | None) -> list[Kept]:
    """The turns that stay, with a summary where the first gap is, where there is one."""
    gone = {at for exchange in choice.exchanges for at in talk.members(exchange)}
    away: dict[int, list[Attachment]] = {}
    for number in choice.attachments:
        away.setdefault(talk.attachments[number].turn, []).append(talk.attachments[number])
    found: list[Kept] = []
    is_new = bool(gone)
    for at, raw in enumerate(talk.raws):
        if at in gone:
            continue
        if is_new and at > min(gone):
            is_new = False
            if summary is not None:
                found.append(_said(summary))
            elif not found and talk.turns[at]["role"] == "system":
                found.append(_said(_NOTE))
        if at in away:
            raw = _without_attachments(raw, away[at])
        found.append(Kept(raw, msgspec.json.decode(raw) if at in away else talk.turns[at], at, at not in away))
    return found


def thoughtless(turns: list[Kept], lost: list[int]) -> tuple[list[Kept], int]:
    """The turns without the thoughts of those at the places `lost`, and how many blocks that was.

    A turn that was nothing else goes: the turns around it are one to the API.
    """
    found, count = list(turns), 0
    for place in reversed(lost):
        one = turns[place]
        thoughts = [at for at, block in enumerate(blocks_of(one.turn)) if is_thought(block)]
        count += len(thoughts)
        fields = Spliced(one.raw)
        content = without(fields["content"], thoughts)
        if content is None:
            del found[place]
            continue
        fields.put("content", content)
        turn = {**one.turn, "content": [block for block in blocks_of(one.turn) if not is_thought(block)]}
        found[place] = Kept(fields.text, turn, one.at, is_own=False)
    return found, count


def first_changed(talk: Conversation, turns: list[Kept]) -> int:
    """The place of the first turn that is not as it came, or has not the same turns before it."""
    return next((at for at, one in enumerate(turns) if one.at != at or not one.is_own), len(turns))


def edited(body: bytes, turns: list[Kept]) -> bytes:
    """A body with these turns, all else byte for byte. Raises ValueError where it names a field twice."""
    fields = Spliced(body)
    messages = Spliced(fields["messages"])
    new = b""
    staying: dict[int, bytes] = {}
    for one in turns:
        if one.at < 0:
            new = one.raw + b","
        else:
            staying[one.at], new = new + one.raw, b""
    at = 0
    while at in messages:
        if at in staying:
            messages.put(at, staying[at])
        else:
            messages.drop(at)
        at += 1
    fields.put("messages", messages.text)
    return fields.text


def _said(text: str) -> Kept:
    turn = {"role": "user", "content": [{"type": "text", "text": text}]}
    return Kept(msgspec.json.encode(turn), turn, -1, is_own=False)


def _without_attachments(raw: bytes, away: list[Attachment]) -> bytes:
    """A turn with words where attachments stood."""
    turn = Spliced(raw)
    content = Spliced(turn["content"])
    for attached in away:
        place, *within = attached.places
        if within:
            result = Spliced(content[place])
            inner = Spliced(result["content"])
            inner.put(within[0], _placeholder(attached.block))
            result.put("content", inner.text)
            content.put(place, result.text)
        else:
            content.put(place, _placeholder(attached.block))
    turn.put("content", content.text)
    return turn.text


def _placeholder(block: dict[str, Any]) -> bytes:
    """A text that says what stood there, with the cache mark that was on it."""
    kind, source = str(block.get("type")), block.get("source")
    media = source.get("media_type") if isinstance(source, dict) else None
    said = f"[{'An' if kind == 'image' else 'A'} {kind}"
    said += f" ({media})" if isinstance(media, str) else ""
    title = block.get("title")
    said += f", {title[:80]!r}," if isinstance(title, str) else ""
    text: dict[str, Any] = {"type": "text", "text": f"{said} stood here, and was left out to save room.]"}
    if block.get("cache_control") is not None:
        text["cache_control"] = block["cache_control"]
    return msgspec.json.encode(text)

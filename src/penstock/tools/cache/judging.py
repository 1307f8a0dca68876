"""Why a call did not read what it could have: one cause, the first that applies."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from .causes import SAID
from .entries import HOUR_US, Entry, Found, is_less, reaches
from .prompts import SETTINGS, Prompt
from .rows import Seen

#: Settings whose switch adds or takes blocks, too.
_WITH_BLOCKS = ("web_search", "citations", "images")


class Miss(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens that a call could have read and did not. `where` is the place in words, empty where there is none.

    `gap_us` is how long ago the prefix was last used, where its lifetime is the cause. `before` is the call whose
    prompt it should have read. `is_head`: tools or system prompt differ, which may turn out to be in every call.
    """

    call: Seen
    cause: str
    tokens: int
    where: str = ""
    gap_us: int | None = None
    before: Seen | None = None
    is_head: bool = False


def missed(call: Seen, found: list[Found], before: Iterable[Seen]) -> Miss | None:
    """What a call missed, by what the cache must have held of it, and by the calls `before` that it may have followed,
    the likeliest first; None where that is nothing. It must have a fingerprint."""
    prompt = call.prompt
    assert prompt is not None
    like, shared = _likest(call, prompt, before)
    place = max(found[0].place if found else -1, shared - 1)
    written = next((one.place for one in found if any(entry.lifetime for entry in one.entries)), -1)
    if not is_less(call.tokens_to(written), call.tokens_to(place)):
        place = written  # what more is the same is next to nothing
    could = call.tokens_to(place)
    is_missed = could >= call.least_tokens and is_less(call.read_tokens, could)
    miss = _not_read(call, prompt, found, place, like) if is_missed else None
    if miss is None and like is not None and like.prompt is not None:
        miss = _changed(call, prompt, like, like.prompt, shared)
    if miss is None and is_missed:
        miss = _not_marked(call, prompt, found, place, like if shared - 1 == place else None)
    if miss is None and prompt.marks and not call.read_tokens + call.written_tokens:
        return _ignored(call, prompt)
    return _with_word(call, miss)


def _likest(call: Seen, prompt: Prompt, before: Iterable[Seen]) -> tuple[Seen | None, int]:
    """The earlier call that shares the most blocks, of equals the likeliest, and how many those are."""
    best: Seen | None = None
    most = -1
    for one in before:
        if one.prompt is None or call.at_us - one.at_us > HOUR_US:
            continue
        shared = prompt.shared(one.prompt)
        if shared > most:
            best, most = one, shared
        if shared == one.prompt.blocks and call.session is not None and call.session == one.session:
            break  # the turn before
    return best, max(most, 0)


def _not_read(call: Seen, prompt: Prompt, found: list[Found], place: int, like: Seen | None) -> Miss | None:
    """The prompt up to `place` is the same as before, and was not read up to there: nobody asked, or what was written
    could not be read."""
    if not prompt.marks:
        return _missed(call, prompt, place, "unmarked", like)
    written = [entry for one in found if one.place == place for entry in one.entries if entry.lifetime]
    own = [entry for entry in written if entry.is_for(call, place)]
    if not written:
        return None
    entry = max(own or written, key=lambda one: one.until_us)
    if entry.until_us <= call.at_us:
        miss = _missed(call, prompt, place, "expired", entry.writer)
        return msgspec.structs.replace(miss, gap_us=call.at_us - entry.used_us)
    difference = _difference(call, prompt, place, entry)
    if difference is not None:
        miss = _missed(call, prompt, place, difference[0], entry.writer)
        return msgspec.structs.replace(miss, where=difference[1] or miss.where)
    return _missed(call, prompt, place, _of_own(call, prompt, place, entry), entry.writer)


def _not_marked(call: Seen, prompt: Prompt, found: list[Found], place: int, like: Seen | None) -> Miss | None:
    """The prompt up to `place` is the same as before, and both calls have their marks elsewhere."""
    if like is not None and like.prompt is not None:
        was_marked = bool(like.prompt.marks)
    else:
        was_marked = any(entry.was_marked for one in found if one.place == place for entry in one.entries)
    if not was_marked or not call.read_tokens + call.written_tokens:
        return None  # the first to be marked; or its marks came to nothing
    return _missed(call, prompt, place, "misplaced" if prompt.last_mark > place else "mark_missing", like)


def _missed(call: Seen, prompt: Prompt, place: int, cause: str, before: Seen | None) -> Miss:
    tokens = call.tokens_to(place)
    where = f"up to {_named(prompt, place)}, about {tokens:,} tokens"
    return Miss(call=call, cause=cause, tokens=tokens - call.read_tokens, where=where, before=before)


def _of_own(call: Seen, prompt: Prompt, place: int, entry: Entry) -> str:
    """Why an entry that was written for just such a call, and lives, was not read."""
    if entry.from_us > call.at_us:
        return "parallel"
    if reaches(prompt, place):
        return "lost_early"
    return "lookback" if prompt.last_mark >= place else "mark_missing"


def _difference(call: Seen, prompt: Prompt, place: int, entry: Entry) -> tuple[str, str] | None:
    """What keeps a call from reading an entry whose blocks are its own, and how it was and is."""
    was, now = entry.scope, call.scope
    if was.upstream.partition("#")[0] != now.upstream.partition("#")[0]:
        return "upstream_switched", f"from {was.upstream} to {now.upstream}"
    if was.model != now.model:
        return "model_switched", f"from {was.model} to {now.model}"
    if was != now:
        return "key_switched", f"from {was.upstream} to {now.upstream}" if was.upstream != now.upstream else ""
    for name, before, after in zip(SETTINGS, entry.read_as, prompt.read_as(place), strict=False):
        if before != after:
            return name, _switched(name, before, after)
    return None


def _switched(name: str, before: str, after: str) -> str:
    if name in ("thinking", "effort", "speed"):
        return f"{name} from {before or 'the usual'} to {after or 'the usual'}"
    said = "changed"
    if name in _WITH_BLOCKS and bool(before) != bool(after):
        said = "on" if after else "off"
    return f"{name.replace('_', ' ')} {said}"


def _changed(call: Seen, prompt: Prompt, like: Seen, was: Prompt, shared: int) -> Miss | None:
    """The prompt differs from an earlier one before where that was, or could have been, cached up to."""
    until = was.last_mark if was.marks else was.system_end - 1
    if shared > until or shared >= prompt.blocks:
        return None
    mine = prompt.last_mark if prompt.marks else prompt.system_end - 1
    could = min(like.tokens_to(until), call.tokens_to(mine))
    if could < call.least_tokens or not is_less(call.read_tokens, could):
        return None
    is_same_talk = call.session is not None and call.session == like.session
    switched = [name for name in _WITH_BLOCKS if prompt.settings.get(name) != was.settings.get(name)]
    is_head = shared < max(was.system_end, prompt.system_end)
    if switched:
        name = switched[0]
        cause, where = name, _switched(name, was.settings.get(name, ""), prompt.settings.get(name, ""))
    elif is_head:
        if not (is_same_talk or shared or call.group.feature or call.group.prompt):
            return None  # two prompts of which nothing says that they are one
        cause, where = _head_cause(prompt, was, shared), _first_difference(call, prompt, was, shared)
    elif _is_edited(prompt, was, shared, is_same_talk=is_same_talk):
        cause, where = "messages_changed", _first_difference(call, prompt, was, shared)
    else:
        return None
    return Miss(
        call=call,
        cause=cause,
        tokens=could - call.read_tokens,
        where=where,
        before=like,
        is_head=is_head and not switched,
    )


def _head_cause(prompt: Prompt, was: Prompt, shared: int) -> str:
    if shared >= max(was.tools, prompt.tools):
        return "system_changed"
    return "tools_reordered" if prompt.toolset == was.toolset else "tools_changed"


def _is_edited(prompt: Prompt, was: Prompt, shared: int, *, is_same_talk: bool) -> bool:
    """Whether one is the other's conversation gone on, and not another that begins like it.

    That only the last turn differs is the ordinary case: another question, or the same asked anew.
    """
    if was.blocks - shared < 2 or was.turns < 2 or prompt.turns < 2:
        return False
    return is_same_talk or (shared > prompt.system_end and prompt.turns > was.turns)


def _ignored(call: Seen, prompt: Prompt) -> Miss:
    """It is marked, and neither read nor written."""
    upto = call.tokens_to(prompt.last_mark)
    cause = "not_cached" if is_less(call.least_tokens, upto) else "below_minimum"
    where = f"about {upto:,} tokens up to the last mark, and {call.scope.model} caches from {call.least_tokens:,} on"
    return Miss(call=call, cause=cause, tokens=0, where=where)


def too_short(call: Seen) -> Miss:
    """It is marked, and far too short for that: nothing else is known of it."""
    where = f"{call.prompt_tokens:,} tokens in all, and {call.scope.model} caches from {call.least_tokens:,} on"
    return Miss(call=call, cause="below_minimum", tokens=0, where=where)


def _with_word(call: Seen, miss: Miss | None) -> Miss | None:
    """What the API says goes before what was found here, where that is vague; its tokens are exact."""
    said = call.said
    cause = SAID.get(said.reason) if said is not None else None
    if said is None or cause is None:
        return miss
    tokens = said.tokens or 0
    if miss is None:
        return Miss(call=call, cause=cause, tokens=tokens) if tokens >= call.least_tokens else None
    return msgspec.structs.replace(miss, cause=cause) if miss.cause == "lost_early" else miss


def _first_difference(call: Seen, prompt: Prompt, was: Prompt, shared: int) -> str:
    known = call.tokens_to(shared - 1) if shared else 0
    if shared == prompt.system_end < was.system_end or shared == prompt.tools < was.tools:
        return f"{_named(was, shared)} is gone, {known:,} tokens in"
    return f"{_named(prompt, shared)} is the first to differ, {known:,} tokens in"


def _named(prompt: Prompt, place: int) -> str:
    """A block by its part and number: `tool 7 of 12`."""
    part = prompt.part(place)
    if part == "tools":
        return f"tool {place + 1} of {prompt.tools}"
    if part == "system":
        return f"block {place + 1 - prompt.tools} of {prompt.system} of the system prompt"
    return f"block {place + 1 - prompt.system_end} of {prompt.blocks - prompt.system_end} of the messages"

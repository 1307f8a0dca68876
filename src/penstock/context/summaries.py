"""Summaries of what was left out of conversations: asked for once, and carried on as more is left out.

What is summed up came from users and tools. It is given to the model as material between tags, and its summary is
given on the same way, in a user's turn: never as instructions.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import NamedTuple

from ..aside import Unanswered, asked
from ..call import Call
from ..layer import Next
from ..ports import Clock
from ..prompts.documents import wrap_documents
from ..wire.models import shipped
from .thinking import compared
from .transcript import transcript
from .turns import Conversation

#: The most tokens of a summary, and what is kept free for it and its tags.
SUMMARY_TOKENS, ROOM_TOKENS = 1_024, 1_400
#: Summaries that are kept, in this process.
_KEPT_MAX = 1_000
#: Of a model's window, in tokens; and what a token has at least, in characters.
_SHARE, _CHARACTERS_PER_TOKEN = 0.6, 2
_WINDOW_UNKNOWN = 200_000
_NONE = "the model wrote none"

_INSTRUCTIONS = (
    "You write the summary of the earlier part of a conversation between a user and an assistant, for the assistant, "
    "who goes on with it and will see the summary instead of that part. Say what the user wants, what was decided and "
    "why, facts, names, numbers and constraints that were given, what was done with tools and what came of it, what "
    "failed, and what is still open. Leave out courtesies. Where there is an earlier summary, make one summary of it "
    "and of what followed. Write at most 400 words, in the language of the conversation, and nothing but the summary."
)


class Summed(NamedTuple):
    """A summary as it stands in the conversation. `took_s`: how long it was waited for, None for one that was kept."""

    text: str
    took_s: float | None


class Summaries:
    """Two threads may use it at once: then one summary may be asked for twice."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: Empty for one that the model would not write, so that it is not asked again at each call.
        self._kept: dict[bytes, str] = {}

    async def of(
        self, talk: Conversation, exchanges: list[int], call: Call, onward: Next, model: str, *, may_ask: bool
    ) -> Summed:
        """The summary of some exchanges, which are those left out so far. Raises Unanswered."""
        places = _places(talk, exchanges, _whose(call, model))
        if self._kept.get(places[-1]) == "":
            raise Unanswered(_NONE)
        known = next((at for at in range(len(places), 0, -1) if self._kept.get(places[at - 1])), 0)
        earlier = self._kept[places[known - 1]] if known else ""
        if known == len(places):
            return Summed(_shown(earlier), None)
        if not may_ask:
            raise Unanswered("a count of tokens asks for no summary")
        window = shipped().find(model)
        room = int((window.context_tokens if window is not None else _WINDOW_UNKNOWN) * _SHARE) * _CHARACTERS_PER_TOKEN
        material = {"earlier-summary": earlier} if earlier else {}
        material["conversation"] = transcript(talk, exchanges[known:], room)
        content = wrap_documents(material).text + "\n\nWrite the summary now."
        body = {
            "model": model,
            "max_tokens": SUMMARY_TOKENS,
            "system": _INSTRUCTIONS,
            "messages": [{"role": "user", "content": content}],
        }
        said = await asked(call, onward, self._clock, aside="summary", body=body)
        text = said.text.strip() if said.stop_reason != "refusal" else ""
        if len(self._kept) >= _KEPT_MAX:
            for place in list(self._kept)[: _KEPT_MAX // 10]:
                self._kept.pop(place, None)
        self._kept[places[-1]] = text
        if not text:
            raise Unanswered(_NONE)
        return Summed(_shown(text), said.took_s)


def _whose(call: Call, model: str) -> bytes:
    """Who may be given a summary again: callers of the same key and feature, where it was asked of the same model."""
    key = call.caller.key_id if call.caller is not None else None
    return f"{key}\0{call.tags.feature}\0{model}".encode()


def _places(talk: Conversation, exchanges: list[int], whose: bytes) -> list[bytes]:
    """For each of some exchanges, a digest of all up to it, cache marks left out."""
    state = blake2b(whose, digest_size=16)
    places = []
    for exchange in exchanges:
        for at in talk.members(exchange):
            state.update(compared(talk.turns[at]))
        places.append(state.digest())
    return places


def _shown(summary: str) -> str:
    """A summary as a user's turn has it."""
    return "[Earlier exchanges were left out. What they were about:]\n\n" + wrap_documents({"summary": summary}).text

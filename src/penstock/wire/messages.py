"""Requests and answers of the Claude API, as far as Penstock looks into them.

Shapes: docs.claude.com, the Messages API of version 2026-10-21, and the same of 2023-06-01. Everything unknown is
passed over, so a new field or block is never a fault.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Protocol
from urllib.parse import unquote

import msgspec

from . import lenient


class Endpoint(msgspec.Struct, frozen=True):
    """What a method and path mean.

    `name`: messages | count_tokens | batches | batch_results | models | files | other.
    `scope`, what a key must be allowed: messages | count_tokens | batches | models | files | other | admin.
    """

    name: str
    scope: str


_EXACT = {
    ("POST", "/v1/messages"): Endpoint("messages", "messages"),
    ("POST", "/v1/messages/count_tokens"): Endpoint("count_tokens", "count_tokens"),
}
_ADMIN = Endpoint("other", "admin")
_OTHER = Endpoint("other", "other")


def endpoint(method: str, path: str) -> Endpoint:
    """The endpoint of a request; `path` is without query, percent-encoding as it came.

    A path that a server might read as another one (`//`, `/../`, an encoded slash) needs the widest scope,
    so that no key reaches by spelling what it may not reach by name.
    """
    exact = _EXACT.get((method, path))
    if exact is not None:
        return exact
    plain = unquote(path)
    parts = plain.rstrip("/").split("/")[1:]
    is_odd = plain.count("/") != path.count("/") or any(mark in plain for mark in "\\;%") or not plain.isprintable()
    if is_odd or any(part in ("", ".", "..") for part in parts):
        return _ADMIN
    return _EXACT.get((method, "/" + "/".join(parts))) or _by_family(parts)


def _by_family(parts: list[str]) -> Endpoint:
    if parts[:2] == ["v1", "organizations"]:
        return _ADMIN
    if parts[:3] == ["v1", "messages", "batches"]:
        is_results = len(parts) == 5 and parts[4] == "results"
        return Endpoint("batch_results" if is_results else "batches", "batches")
    if parts[:2] in (["v1", "models"], ["v1", "files"]):
        return Endpoint(parts[1], parts[1])
    return _OTHER


#: Words, models and UUIDs, and ids such as msgbatch_01HkcTjaV5uDC8jWR4ZsDV8d: what the API's own paths are made of.
_PLAIN = re.compile(r"(?:[a-z0-9]{1,16}(?:[-_.:@][a-z0-9]{1,16}){0,9}|[a-z]{2,12}_01[A-Za-z0-9]{20,26})")
_PLAIN_PATHS = frozenset(path for _, path in _EXACT)


def kept_path(path: str) -> str:
    """A path as records may keep it: what is no word, name or id of the API's stands as `…`, for it may be a secret."""
    if path in _PLAIN_PATHS:
        return path
    return "/".join(part if not part or _PLAIN.fullmatch(part) else "…" for part in path.split("/"))


class Malformed(ValueError):
    """A body is not a JSON object. The message says what is wrong, and at which byte where that is known."""


class Unreadable(ValueError):
    """An answer is not one that can be followed. The message says why, as a sentence."""


class Metadata(msgspec.Struct, frozen=True):
    user_id: str | None = None


_ABSENT = msgspec.Raw(b"")


class Request(msgspec.Struct, frozen=True):
    """A partial view of a Messages or count_tokens body. A field of the wrong type counts as absent.

    `system`, `tools` and `messages` are the bytes as sent, empty where absent.
    """

    model: str | None = None
    max_tokens: int | None = None
    stream: bool = False
    metadata: Metadata | None = None
    service_tier: str | None = None
    speed: str | None = None
    inference_geo: str | None = None
    system: msgspec.Raw = _ABSENT
    tools: msgspec.Raw = _ABSENT
    messages: msgspec.Raw = _ABSENT

    def first_message(self) -> bytes:
        """The first turn as sent; empty where there is none."""
        try:
            turns = _TURNS.decode(self.messages)
        except msgspec.DecodeError:
            return b""
        return bytes(turns[0]) if turns else b""

    @property
    def user_id(self) -> str | None:
        """`metadata.user_id`: the end user, in the caller's own opaque terms."""
        return self.metadata.user_id if self.metadata is not None else None

    def prompt_hash(self) -> str | None:
        """32 hexadecimal digits, equal for equal prompts: system and tools, byte for byte; None without either.

        The turns of the conversation are left out, so that calls of one prompt can be told from those of another.
        """
        system, tools = bytes(self.system), bytes(self.tools)
        if not system and not tools:
            return None
        return sha256(b"%d:%b%b" % (len(system), system, tools)).hexdigest()[:32]


_REQUEST = msgspec.json.Decoder(Request)
_TURNS = msgspec.json.Decoder(list[msgspec.Raw])


def read_request(body: bytes) -> Request:
    """The partial view of a JSON body. Raises Malformed where it is not a JSON object."""
    try:
        return lenient.decode(_REQUEST, body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Malformed(str(error) or "the body is empty") from error


class Iteration(msgspec.Struct, frozen=True):
    """One sampling inside an answer. `type`: message | compaction | advisor_message | fallback_message.

    `model` is None where it is the answer's own.
    """

    type: str
    model: str | None
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0


class Usage(msgspec.Struct):
    """What an answer used, so far. The four input counts are disjoint; `output_tokens` includes `thinking_tokens`.

    `iterations` may hold tokens that the counts here do not: those of compactions and advisors.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    thinking_tokens: int = 0
    web_searches: int = 0
    web_fetches: int = 0
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None
    iterations: tuple[Iteration, ...] = ()


class CacheMiss(msgspec.Struct, frozen=True):
    """Why the API says that an earlier prompt could not be read from its cache, and how many tokens were missed.

    `reason`: model_changed | system_changed | tools_changed | messages_changed | previous_message_not_found |
    unavailable; `tokens` only with the first four.
    """

    reason: str
    tokens: int | None = None


class Answer(msgspec.Struct):
    """What a response body has shown so far.

    `usage` is None until seen. `is_whole`: nothing is missing from the body. `has_content`: the model has begun to
    answer. `is_stream`: the body is an event stream, whatever was asked for. `items` are the answers in a batch's
    results; None where the body is none, or one of them cannot be read. `cache_miss` is there only where the request
    asked for diagnostics, and something was missed.
    """

    id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    usage: Usage | None = None
    error_type: str | None = None
    error_code: str | None = None
    error_message: str | None = None
    is_whole: bool = False
    has_content: bool = False
    is_stream: bool = False
    items: list[Answer] | None = None
    cache_miss: CacheMiss | None = None

    @property
    def is_early_refusal(self) -> bool:
        """The model declined before its first output, which the API does not charge."""
        return self.stop_reason == "refusal" and not self.has_content


class Reading(Protocol):
    """Follows one response body. `feed` takes its chunks as they come, `finish` its end; neither ever raises."""

    @property
    def answer(self) -> Answer: ...

    def feed(self, chunk: bytes) -> None: ...

    def finish(self) -> None: ...

    def closing(self, error_body: bytes) -> bytes:
        """Bytes to append to a broken body so that the client learns of it; empty where none can be appended."""
        ...

    def estimated_usage(self) -> Usage | None:
        """The usage seen, with the output estimated from what came where its final count has not; None if unseen."""
        ...

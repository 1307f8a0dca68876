"""The simulated endpoints: who may call, what is there, what it answers."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from .answer import Answer
from .batches import Batches
from .cache import PromptCache, count_prompt
from .catalogue import described, find_model, page, served_models
from .dice import Dice
from .files import Files
from .headers import Headers
from .model import Line, speak
from .problems import Problem, invalid, missing
from .stream import Written, events, message
from .threads import Threads
from .validate import CURRENT, VERSIONS, check_count, check_message, parse


@dataclass(slots=True)
class Served:
    """A request as it arrived and what became of it. `path` has the query; header names are lower-case.

    `status` is 0 where no answer began. `ending` is "whole", the name of the fault, or "caller gone"; it is empty
    while the answer is under way.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    request_id: str
    status: int = 0
    ending: str = ""


class Api:
    """The endpoints and all they remember. `url` is where the simulator listens, for links in answers."""

    def __init__(
        self,
        *,
        seed: int,
        key: str | None,
        headers: Headers,
        script: Sequence[Line],
        batch_s: float,
        clock: Callable[[], float],
    ) -> None:
        self.url = ""
        self._seed = seed
        self._key = key
        self._headers = headers
        self._script = script
        self._clock = clock
        self._cache = PromptCache()
        self._files = Files(clock)
        self._threads = Threads()
        self._batches = Batches(clock, self._batched, seed, batch_s, lambda: self.url)

    def answer(self, served: Served, dice: Dice) -> Answer:
        """Raises Problem."""
        path, _, query = served.path.partition("?")
        if path == "/api/hello" and served.method in ("GET", "HEAD"):
            return Answer(
                200, self._headers.edge(b"application/json", dice), [b'{"message": "hello"}'], has_length=True
            )
        if not path.startswith("/v1/"):
            raise missing("Not found")
        self._check_credential(served.headers)
        version = _version(served.headers)
        steps = path.removeprefix("/v1/").rstrip("/").split("/")
        if steps == ["messages"] and served.method == "POST":
            return self._message(served, version, dice)
        if steps == ["messages", "count_tokens"] and served.method == "POST":
            request = parse(served.body)
            model = check_count(request, version, served.headers.get("anthropic-beta", ""))
            return self._plain(served, dice, {"input_tokens": count_prompt(request, model)})
        wanted = dict(parse_qsl(query))
        if steps[:2] == ["messages", "batches"]:
            return self._batch(served, steps[2:], wanted, dice)
        if steps[0] == "models" and served.method == "GET" and len(steps) <= 2:
            shown = (
                described(find_model(steps[1]))
                if steps[1:]
                else page([described(one) for one in served_models()], wanted)
            )
            return self._plain(served, dice, shown)
        if steps[0] == "files":
            return self._file(served, steps[1:], wanted, dice)
        raise missing("Not found")

    def _check_credential(self, headers: dict[str, str]) -> None:
        """Both ways to send a key are good; where both are sent, one valid is enough."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = [headers.get("x-api-key", ""), token.strip() if scheme.lower() == "bearer" else ""]
        if not any(given):
            raise Problem(401, "authentication_error", "x-api-key header is required")
        if self._key is None:
            return
        if not any(hmac.compare_digest(one.encode(), self._key.encode()) for one in given):
            raise Problem(401, "authentication_error", "invalid x-api-key")

    def _plain(self, served: Served, dice: Dice, shown: dict[str, Any]) -> Answer:
        return Answer(200, self._headers.plain(served.request_id, dice), [msgspec.json.encode(shown)])

    def _message(self, served: Served, version: str, dice: Dice) -> Answer:
        request = parse(served.body)
        betas = served.headers.get("anthropic-beta", "")
        written = self._written(request, version, betas, dice)
        is_stream = request.get("stream") is True
        headers = self._headers.answer(served.request_id, dice, is_stream=is_stream)
        parts = events(written, dice) if is_stream else [msgspec.json.encode(message(written))]
        return Answer(200, headers, parts, is_stream, output_tokens=written.spoken.output_tokens)

    def _written(
        self, request: dict[str, Any], version: str, betas: str, dice: Dice, tier: str = "standard"
    ) -> Written:
        now_s = self._clock()
        request = self._threads.whole(request, now_s)
        model = check_message(request, version, betas)
        prompted = self._cache.count(request, model, now_s)
        total = prompted.input_tokens + prompted.cache_read + prompted.write_5m + prompted.write_1h
        if total > model.window_tokens:
            raise invalid(f"prompt is too long: {total} tokens > {model.window_tokens} maximum")
        spoken = speak(request, model, self._seed, dice, self._script)
        is_modern = model.version >= (4, 6)
        id = dice.id("msg")
        self._threads.keep(request, id, spoken.blocks, now_s)
        return Written(
            id=id,
            model=model.id,
            spoken=spoken,
            prompted=prompted,
            service_tier=tier,
            inference_geo=str(request.get("inference_geo") or "global") if is_modern else "not_available",
            speed=request.get("speed"),
            shows_thinking_tokens=model.version >= (4, 7) or "thinking" in request,
            has_edits="context_management" in request,
        )

    def _batched(self, params: dict[str, Any], dice: Dice) -> dict[str, Any]:
        """The message of one batch item. Any beta field passes, as betas belong to the batch's own request."""
        if params.get("max_tokens") == 0:
            raise invalid("max_tokens: 0 is not supported in batch requests")
        if "thread" in params:
            raise invalid("thread: Not supported in batch requests")
        return message(self._written(params, VERSIONS[0], "batch", dice, tier="batch"))

    def _batch(self, served: Served, steps: list[str], wanted: dict[str, str], dice: Dice) -> Answer:
        match served.method, steps:
            case "POST", []:
                return self._plain(served, dice, self._batches.create(parse(served.body), dice))
            case "GET", []:
                return self._plain(served, dice, self._batches.list(wanted))
            case "GET", [id]:
                batch = self._batches.get(id)
                answer = self._plain(served, dice, self._batches.shown(batch))
                if batch.ended_at is None:
                    answer.headers.append((b"retry-after", b"10"))
                return answer
            case "DELETE", [id]:
                return self._plain(served, dice, self._batches.delete(id))
            case "POST", [id, "cancel"]:
                return self._plain(served, dice, self._batches.cancel(id))
            case "GET", [id, "results"]:
                lines = self._batches.results(id)
                headers = self._headers.plain(served.request_id, dice, b"application/x-jsonl")
                name = f'attachment; filename="{id}_results.jsonl"'
                return Answer(200, [*headers, (b"content-disposition", name.encode())], [lines])
        raise missing("Not found")

    def _file(self, served: Served, steps: list[str], wanted: dict[str, str], dice: Dice) -> Answer:
        match served.method, steps:
            case "POST", []:
                content_type = served.headers.get("content-type", "")
                return self._plain(served, dice, self._files.upload(content_type, served.body, dice))
            case "GET", []:
                return self._plain(served, dice, self._files.list(wanted))
            case "GET", [id]:
                return self._plain(served, dice, self._files.get(id)[0])
            case "GET", [id, "content"]:
                shown, content = self._files.get(id)
                headers = self._headers.plain(served.request_id, dice, shown["mime_type"].encode())
                return Answer(200, headers, [content], has_length=True)
            case "DELETE", [id]:
                return self._plain(served, dice, self._files.delete(id))
        raise missing("Not found")


def _version(headers: dict[str, str]) -> str:
    version = headers.get("anthropic-version")
    if version is None:
        raise invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise invalid(f'anthropic-version: "{version}" is not a valid version. Use "{CURRENT}" or "{VERSIONS[0]}".')
    return version

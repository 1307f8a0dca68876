"""The simulated endpoints: who may call, what is there, what it answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, parse_qsl

import msgspec

from .accounts import Accounts, Caller
from .answer import Answer
from .batches import Batches
from .books import Books, Entry
from .catalogue import show_model, show_models
from .dice import Dice
from .files import Files
from .headers import Headers
from .limits import Limits
from .messages import Messages
from .problems import Problem, invalid, missing
from .reports import Drift, rate_limits
from .rules import BATCH_BODY_BYTES_MAX, BODY_BYTES_MAX, CURRENT, TOO_LARGE, VERSIONS, check_betas, parse
from .script import Script
from .spend import Caps


@dataclass(slots=True)
class Served:
    """A request as it arrived and what became of it. `path` has the query; header names are lower-case.

    `status` is 0 where no answer began. `ending` is "whole", the name of the fault, or "caller gone"; it is empty
    while the answer is under way. `caller` is None where the credential was not known;
    `client` is the address it came from.
    """

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    request_id: str = ""
    status: int = 0
    ending: str = ""
    caller: Caller | None = None
    client: str = ""


class Api:
    """The endpoints and all they remember. `url` is where the simulator listens, for links in answers."""

    def __init__(
        self,
        *,
        seed: int,
        accounts: Accounts,
        headers: Headers,
        books: Books,
        limits: Limits,
        caps: Caps,
        drift: Drift,
        script: Script,
        batch_s: float,
        strict_betas: bool,
        now: Callable[[], float],
    ) -> None:
        self.url = ""
        self._strict_betas = strict_betas
        self._accounts, self._headers, self._books, self._now = accounts, headers, books, now
        self.messages = Messages(
            seed=seed, now=now, headers=headers, books=books, limits=limits, caps=caps, drift=drift, script=script
        )
        self._files = Files(now)
        self._batches = Batches(now, self.messages.batched, books, seed, batch_s, lambda: self.url)

    def answer(self, served: Served, entry: Entry, dice: Dice) -> Answer:
        """The answer to one request; what becomes of it is noted in `entry`. Raises Problem."""
        path, _, query = served.path.partition("?")
        if path == "/api/hello" and served.method in ("GET", "HEAD"):
            return Answer(
                200, self._headers.edge(b"application/json", dice), [b'{"message": "hello"}'], has_length=True
            )
        if not path.startswith("/v1/"):
            raise missing("Not found")
        if len(served.body) > (BATCH_BODY_BYTES_MAX if path == "/v1/messages/batches" else BODY_BYTES_MAX) and (
            path.startswith("/v1/messages")
        ):
            return Answer(413, self._headers.edge(b"application/json", dice), [TOO_LARGE], has_length=True)
        caller = served.caller = self._accounts.find(served.headers)
        entry.name(caller)
        steps = path.removeprefix("/v1/").rstrip("/").split("/")
        if caller.is_admin or steps[0] == "organizations":
            return self._report(served, caller, steps, parse_qs(query), dice)
        version, betas = _version(served.headers), served.headers.get("anthropic-beta", "")
        if self._strict_betas:
            check_betas(betas)
        if steps == ["messages"] and served.method == "POST":
            return self.messages.create(served.body, caller, version, betas, entry, dice)
        if steps == ["messages", "count_tokens"] and served.method == "POST":
            return self._plain(served, caller, dice, self.messages.count(served.body, caller, version, betas))
        wanted = dict(parse_qsl(query))
        if steps[:2] == ["messages", "batches"]:
            return self._batch(served, caller, steps[2:], wanted, dice)
        if steps[0] == "models" and served.method == "GET" and len(steps) <= 2:
            now_s = self._now()
            shown = show_model(steps[1], now_s) if steps[1:] else show_models(parse_qs(query), now_s)
            return self._plain(served, caller, dice, shown)
        if steps[0] == "files":
            return self._file(served, caller, steps[1:], wanted, dice)
        raise missing("Not found")

    def _report(
        self, served: Served, caller: Caller, steps: list[str], query: dict[str, list[str]], dice: Dice
    ) -> Answer:
        """The admin API, which is for admin keys alone, as all else is for the others."""
        if not caller.is_admin:
            raise Problem(401, "authentication_error", "invalid x-api-key")
        reports = self.messages.reports
        match served.method, steps:
            case "GET", ["organizations", "usage_report", "messages"]:
                return self._plain(served, caller, dice, reports.usage(caller.organization_id, query))
            case "GET", ["organizations", "cost_report"]:
                return self._plain(served, caller, dice, reports.cost(caller.organization_id, query))
            case "GET", ["organizations", "rate_limits"] | ["organizations", "workspaces", _, "rate_limits"]:
                return self._plain(served, caller, dice, rate_limits(self.messages.limits.table()))
            case _, ["organizations", *_]:
                raise missing("Not found")
        raise Problem(401, "authentication_error", "invalid x-api-key")

    def _plain(self, served: Served, caller: Caller, dice: Dice, shown: dict[str, Any]) -> Answer:
        return Answer(200, self._headers.plain(served.request_id, dice, caller), [msgspec.json.encode(shown)])

    def _batch(self, served: Served, caller: Caller, steps: list[str], wanted: dict[str, str], dice: Dice) -> Answer:
        match served.method, steps:
            case "POST", []:
                body = parse(served.body)
                asked = body.get("requests")
                added = len(asked) if isinstance(asked, list) else 0
                self.messages.limits.batch(caller, self._batches.queued(caller), added)
                return self._plain(served, caller, dice, self._batches.create(body, caller, dice))
            case "GET", []:
                return self._plain(served, caller, dice, self._batches.list(caller, wanted))
            case "GET", [id]:
                batch = self._batches.get(id, caller)
                answer = self._plain(served, caller, dice, self._batches.shown(batch))
                if batch.ended_at is None:
                    answer.headers.append((b"retry-after", b"10"))
                return answer
            case "DELETE", [id]:
                return self._plain(served, caller, dice, self._batches.delete(id, caller))
            case "POST", [id, "cancel"]:
                return self._plain(served, caller, dice, self._batches.cancel(id, caller))
            case "GET", [id, "results"]:
                lines = self._batches.results(id, caller)
                headers = self._headers.plain(served.request_id, dice, caller, b"application/x-jsonl")
                name = f'attachment; filename="{id}_results.jsonl"'
                return Answer(200, [*headers, (b"content-disposition", name.encode())], [lines])
        raise missing("Not found")

    def _file(self, served: Served, caller: Caller, steps: list[str], wanted: dict[str, str], dice: Dice) -> Answer:
        match served.method, steps:
            case "POST", []:
                content_type = served.headers.get("content-type", "")
                return self._plain(served, caller, dice, self._files.upload(content_type, served.body, dice))
            case "GET", []:
                return self._plain(served, caller, dice, self._files.list(wanted))
            case "GET", [id]:
                return self._plain(served, caller, dice, self._files.get(id)[0])
            case "GET", [id, "content"]:
                shown, content = self._files.get(id)
                headers = self._headers.plain(served.request_id, dice, caller, shown["mime_type"].encode())
                return Answer(200, headers, [content], has_length=True)
            case "DELETE", [id]:
                return self._plain(served, caller, dice, self._files.delete(id))
        raise missing("Not found")


def _version(headers: dict[str, str]) -> str:
    version = headers.get("anthropic-version")
    if version is None:
        raise invalid("anthropic-version: header is required")
    if version not in VERSIONS:
        raise invalid(f'anthropic-version: "{version}" is not a valid version. Use "{CURRENT}" or "{VERSIONS[0]}".')
    return version

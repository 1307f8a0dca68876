"""Penstock's own JSON endpoints, under `/penstock/api/`. Off the calls' path, so clarity comes before speed."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ...config.schema import Config
from ...errors import ConfigError, PenstockError, Refused, StoreFailed, rendered
from ...layers.per_call.identity import presented
from ...ports import Key, Ports
from ...record import Record
from ...stores.reading import LedgerReader
from ...stores.report import report
from ...stores.sqlite import SqliteLedger
from ...wire.prices import usd
from .intake import Scope
from .openapi import document

Answer = tuple[int, tuple[tuple[bytes, bytes], ...], bytes]

_JSON = ((b"content-type", b"application/json"),)
#: Prometheus' text format.
_TEXT = ((b"content-type", b"text/plain; version=0.0.4; charset=utf-8"),)
_CALLS = "/penstock/api/calls/"

#: Where scrapers look.
METRICS = "/metrics"


class Api:
    """Answers questions about calls. A key may ask about its own calls; with scope `admin`, about all."""

    def __init__(self, config: Config, ports: Ports, metrics: Callable[[], bytes] | None = None) -> None:
        self._config, self._ports, self._metrics = config, ports, metrics

    async def fault(self) -> str | None:
        """Why the gateway is not ready, if it is not, in one word."""
        ledger = self._ports.ledger
        if isinstance(ledger, SqliteLedger) and ledger.trouble is not None:
            return ledger.trouble.code
        return None

    async def answer(self, scope: Scope, path: str) -> Answer:
        """The answer to one request. Never raises for a request's own faults."""
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise _refused(405, "method_not_allowed", "Only GET is known here.", "Use GET.")
            if path == "/penstock/api/openapi.json":
                return 200, _JSON, msgspec.json.encode(document())
            if path.startswith(_CALLS):
                return await self._call(scope, path[len(_CALLS) :])
            if path == "/penstock/api/report":
                return await self._report(scope)
            if path == METRICS:
                return await self._scraped(scope)
            if path == "/penstock/api/upstreams":
                return await self._upstreams(scope)
            raise _refused(404, "no_such_endpoint", "There is no such endpoint.", "See /penstock/api/openapi.json.")
        except PenstockError as error:
            return rendered(error, self._ports.chance.id("call"))

    async def _call(self, scope: Scope, call_id: str) -> Answer:
        key = await self._key(scope)
        record = await asyncio.to_thread(self._find, call_id)
        if record is None or not (_is_admin(key) or (key is not None and record.key_id == key.id)):
            raise _refused(
                404,
                "no_such_call",
                "There is no such call that this key may see.",
                "A key sees its own calls, one with scope `admin` all; records follow a call within a second.",
            )
        return 200, _JSON, msgspec.json.encode(_shown(record))

    async def _report(self, scope: Scope) -> Answer:
        key = await self._key(scope)
        if not _is_admin(key):
            raise _refused(403, "missing_scope", "A report needs the scope `admin`.", "Use a key that has it.")
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode("latin-1")).items()}
        by = [label for label in query.get("by", "").split(",") if label]
        try:
            since_us = int(query["since_us"]) if "since_us" in query else None
            until_us = int(query["until_us"]) if "until_us" in query else None
            made = await asyncio.to_thread(self._summed, by, since_us, until_us)
        except ValueError as error:
            raise _refused(400, "bad_query", f"{error}", "Times are Unix microseconds.") from error
        except ConfigError as error:
            raise _refused(400, error.code, error.message, error.fix) from error
        return 200, _JSON, msgspec.json.encode(made)

    async def _upstreams(self, scope: Scope) -> Answer:
        """What is not well: circuits that are not closed, and the provider's incident."""
        await self._key(scope)
        now_us = self._ports.clock.wall_us()
        circuits = [
            {
                "circuit": name,
                "state": "open" if circuit.until_us > now_us else "half-open",
                "until_us": circuit.until_us,
                "opens": circuit.opens,
            }
            for name, circuit in sorted((await self._ports.circuits.all()).items())
        ]
        return 200, _JSON, msgspec.json.encode({"circuits": circuits, "incident": self._ports.status.incident()})

    async def _scraped(self, scope: Scope) -> Answer:
        """What Prometheus wants. Its numbers are of all callers."""
        if self._metrics is None:
            fix = "Set `enabled` under [metrics]."
            raise _refused(404, "no_such_endpoint", "There are no metrics.", fix)
        if not self._config.metrics.keyless and not _is_admin(await self._key(scope)):
            raise _refused(403, "missing_scope", "Metrics need the scope `admin`.", "Let the scraper have such a key.")
        return 200, _TEXT, await asyncio.to_thread(self._metrics)

    async def _key(self, scope: Scope) -> Key | None:
        """The live key the request presents; None where the gateway asks for none. Raises Refused."""
        if not self._config.identity.keys_required:
            return None
        for value in presented(dict(scope["headers"])):
            key = await self._ports.keys.find(hashlib.sha256(value).digest())
            now_us = self._ports.clock.wall_us()
            if key is not None and key.revoked_at_us is None and (key.expires_at_us or now_us + 1) > now_us:
                return key
        raise _refused(401, "unknown_key", "invalid x-api-key.", "Send a live Penstock key.")

    def _find(self, call_id: str) -> Record | None:
        self._flush()
        with LedgerReader(self._config.data) as ledger:
            return ledger.call(call_id)

    def _summed(self, by: list[str], since_us: int | None, until_us: int | None) -> dict[str, Any]:
        self._flush()
        return report(self._config.data, by, since_us=since_us, until_us=until_us)

    def _flush(self) -> None:
        """A caller may ask about the call that has just ended."""
        if isinstance(self._ports.ledger, SqliteLedger):
            self._ports.ledger.flush()
        else:
            raise StoreFailed("The ledger is kept in memory and cannot be read.", fix="Configure SQLite.")


def _is_admin(key: Key | None) -> bool:
    return key is None or "admin" in key.scopes


def _shown(record: Record) -> dict[str, Any]:
    columns = {name: getattr(record, name) for name in record.__struct_fields__ if name != "trail"}
    cost = None if record.cost_nano is None else usd(record.cost_nano)
    return {**columns, "cost_usd": cost, "trail": msgspec.Raw(record.trail)}


_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}


def _refused(status: int, code: str, message: str, fix: str) -> Refused:
    kind = _TYPES.get(status, "invalid_request_error")
    return Refused(message, layer="gateway", code=code, fix=fix, status=status, type=kind)

"""`penstock check`: whether what is configured would hold, before it is needed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Annotated

import msgspec
import typer

from ...call import Call, Timeouts, Trail
from ...config.faults import is_candidate
from ...config.load import Loaded, open_config
from ...config.schema import Config, ResilienceConfig, RoutingConfig, StoresConfig
from ...drive import run
from ...errors import ConfigError, PenstockError
from ...pipeline import build
from ...ports import Ports
from ...ports.blocking import BlockingClock, SystemChance, ThreadTasks
from ...ports.origin import PoolLimits
from ...ports.sockets import SocketPool
from ...stores.memory import MemoryKeys, MemoryLedger, MemoryStatus
from ...tools.fallbacks import Hop, dry_run, newest
from ...wire.messages import endpoint, read_request
from .. import compose
from .options import ConfigOption, DataOption, JsonOption

app = typer.Typer(help="Check that what is configured would hold, before it is needed.", no_args_is_help=True)

ModelOption = Annotated[
    str | None, typer.Option("--model", metavar="MODEL", help="The model calls ask for. Default: the newest.")
]
FeatureOption = Annotated[
    str | None, typer.Option("--feature", metavar="NAME", help="Only this feature's. Default: all.")
]
SendOption = Annotated[
    bool, typer.Option("--send", help="Ask each hop for one token too: proves keys and names, costs next to nothing.")
]


@app.command("fallbacks")
def fallbacks(
    model: ModelOption = None,
    feature: FeatureOption = None,
    send: SendOption = False,
    config: ConfigOption = None,
    data: DataOption = None,
    as_json: JsonOption = False,
) -> None:
    """Try requests of every kind at every hop of every `fallback`, without sending them: what would be changed, what
    would be skipped, and why. Exit code 1 if a hop is of no use."""
    loaded = open_config(config, overrides={"data": data})
    settings = loaded.config
    if feature is not None and feature not in settings.features:
        known = ", ".join(settings.features) or "none"
        raise ConfigError(f"There is no feature {feature!r}.", code="bad_option", fix=f"There are: {known}.")
    compose.routes(loaded, no_key=None)  # raises where a key or a text is not there
    source = model or newest()
    hops = list(dry_run(settings, source, None if feature is None else [feature]))
    sent = {hop.entry: _sent(loaded, hop) for hop in hops if is_candidate(hop.entry)} if send else {}
    is_sound = all(hop.is_useful and sent.get(hop.entry) in (None, 200) for hop in hops)
    if as_json:
        told = [{**msgspec.to_builtins(hop), "is_useful": hop.is_useful, "sent": sent.get(hop.entry)} for hop in hops]
        print(json.dumps({"ok": is_sound, "hops": told}))
    elif not hops:
        print("No feature has a `fallback`. See docs/layers/routing.md for how to give it one.")
    else:
        print("\n".join(line for hop in hops for line in _told(hop, sent.get(hop.entry))))
    if not is_sound:
        raise typer.Exit(1)


def _told(hop: Hop, sent: int | str | None) -> list[str]:
    """One hop in words."""
    lines = [f"{hop.feature}: {hop.source} to {hop.entry}: {'of use' if hop.is_useful else 'OF NO USE'}"]
    lines += [f"  fault: {fault}" for fault in hop.faults] + [f"  note: {warning}" for warning in hop.warnings]
    for one in hop.samples:
        if one.skipped is not None:
            lines.append(f"  {one.sample}: skipped, {one.skipped}")
        elif one.changes:
            lines.append(f"  {one.sample}: {'; '.join(one.changes)}")
    if unchanged := [one.sample for one in hop.samples if one.skipped is None and not one.changes]:
        lines.append(f"  as they are: {', '.join(unchanged)}")
    if sent is not None:
        lines.append(f"  asked for one token: {'answered' if sent == 200 else sent}")
    return lines


def _sent(loaded: Loaded, hop: Hop) -> int | str:
    """The status of one small call to that hop, or why there was none."""
    model, _, upstream = hop.entry.partition("@")
    config = _only(loaded.config, upstream or loaded.config.default_upstream)
    clock = BlockingClock()
    pool = SocketPool(PoolLimits())
    ports = Ports(
        clock,
        SystemChance(),
        pool,
        MemoryLedger(),
        MemoryKeys(),
        compose.retry_budget(config),
        **compose.shared(config, clock),
        status=MemoryStatus(),
        tasks=ThreadTasks(),
    )
    core = build(config, ports, compose.routes(loaded, no_key=None), compose.price_book(config))
    asked = {"model": model or hop.source, "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}
    body = msgspec.json.encode(asked)
    headers = ((b"content-type", b"application/json"), (b"anthropic-version", b"2023-06-01"))
    call = Call(
        id=SystemChance().id("call"),
        face="check",
        method="POST",
        path="/v1/messages",
        query="",
        headers=headers,
        fields=dict(headers),
        body=body,
        endpoint=endpoint("POST", "/v1/messages"),
        request=read_request(body),
        began=clock.now(),
        began_at_us=clock.wall_us(),
        trail=Trail(),
        timeouts=Timeouts(5.0, 30.0, 30.0, 30.0),
    )

    async def asking() -> int | str:
        try:
            reply = await core(call)
            text = await reply.read()
        except PenstockError as error:
            return str(error)
        finally:
            await pool.aclose()
        return 200 if reply.status == 200 else f"{reply.status}: {reply.answer.error_message or text[:200]!r}"

    return run(asking())


def _only(config: Config, upstream: str | None) -> Config:
    """The config for one call to that upstream and nowhere else, tried once, of which nothing is remembered."""
    return replace(
        config,
        features={},
        routing=RoutingConfig(default=upstream),
        resilience=ResilienceConfig(tries_max=1, breaker_failures=0),
        stores=StoresConfig(ledger="memory", counters="memory"),
    )

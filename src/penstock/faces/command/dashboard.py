"""`penstock dashboard`: the web pages alone, over a data folder: for clients in process, which have no gateway."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...config.load import open_config
from ...config.schema import Config
from ...errors import ConfigError
from ...ports import Clock, Ledger, Ports
from ...ports.blocking import SystemChance
from ...ports.loop import LoopClock, LoopTasks
from ...ports.pool import LoopPool
from ...stores.memory import MemoryKeys, MemoryStatus
from ...stores.sqlite import SqliteLedger
from .. import compose
from .options import ConfigOption, DataOption
from .serve import url_of

if TYPE_CHECKING:
    from ..gateway.exchange import App

PORT = 8788
#: How long requests under way may take once it is told to end.
_GRACE_S = 3.0


def dashboard(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port; 0 takes any free one.", min=0, max=65_535)] = PORT,
    config: ConfigOption = None,
    data: DataOption = None,
) -> None:
    """Serve the web pages of a data folder, and nothing else.

    Prints a link that logs in once, with all rights: whoever runs this may read the folder anyway. Others log in with a
    key. A gateway has the same pages under /penstock/.
    """
    loaded = open_config(config, overrides={"data": data})
    settings = loaded.config
    if settings.stores.ledger == "memory":
        raise ConfigError(
            "The pages read the ledger, and `stores.ledger` is kept in memory.",
            fix="Keep it in SQLite, or name the folder of another with --data.",
        )
    logging.basicConfig(level=settings.log.level.upper(), stream=sys.stderr)

    from ..gateway.server import Server, run_loop
    from .pages import opened as pages

    clock = LoopClock()
    # Takes in what dead processes left, and sums it; deletes nothing, for that is up to those who write.
    ledger = SqliteLedger(settings.data, clock, sync=settings.records.sync, keep_days=None)
    ledger.start()
    ports = _ports(settings, clock, ledger)
    made = pages(lambda: settings, ports, folder=loaded.secrets.folder)

    def ready(bound_host: str, bound_port: int) -> None:
        print(_welcome(url_of(bound_host, bound_port), made.login_link(), settings), flush=True)

    async def serve() -> None:
        app, new_id = _only_below(made.app()), lambda: ports.chance.id("page")
        await Server(app, host, port, clock=ports.clock, new_id=new_id, ready=ready, grace_s=_GRACE_S).run()

    try:
        run_loop(serve())
    finally:
        ledger.close_store()


def _ports(config: Config, clock: Clock, ledger: Ledger) -> Ports:
    """What the pages ask: the ledger, the clock, circuits, the salt. Nothing is called, so the rest is empty."""
    return Ports(
        clock,
        SystemChance(),
        LoopPool(),
        ledger,
        MemoryKeys(),
        compose.retry_budget(config),
        **compose.shared(config, clock),
        status=MemoryStatus(),
        tasks=LoopTasks(),
    )


def _only_below(pages: App) -> App:
    """The pages under `/penstock/`, and whatever else is asked for sent there."""

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["path"].startswith("/penstock/"):
            await pages(scope, receive, send)
            return
        headers = [(b"location", b"/penstock/"), (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 302, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    return answer


def _welcome(url: str, link: str, config: Config) -> str:
    return f"""The pages of {config.data.resolve()}:

  open       {url}{link}
             (logs in once, with all rights)
  later      {url}/penstock/
             with a key: penstock keys create NAME --scopes view --data {config.data}

Ctrl-C ends it."""

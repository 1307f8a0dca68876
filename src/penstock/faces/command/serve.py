"""`penstock serve`: the gateway, from config to last call."""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...config.gateway import check_for_gateway
from ...config.load import Loaded, open_config
from ...config.schema import Config
from ...errors import ConfigError, PenstockError
from ...layers.per_call.routing import Routes
from ...ports import Ports
from ...secret import Secret
from .. import compose
from .first_key import first_key
from .options import ConfigOption, DataOption

if TYPE_CHECKING:
    from starlette.applications import Starlette

#: Sent to upstreams that ask for no key, in the place of the caller's Penstock key, which no upstream may see.
NO_KEY = "no-key"
KEY_VARIABLE = "ANTHROPIC_API_KEY"


def serve(
    host: Annotated[str | None, typer.Option(help="The address to listen on. Default: 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(help="The port; 0 takes any free one. Default: 8787.")] = None,
    config: ConfigOption = None,
    data: DataOption = None,
    upstream: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Where calls go, instead of the config's upstreams. Its key: ANTHROPIC_API_KEY."
        ),
    ] = None,
    ready_file: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Write {url, key, pid, upstream} there once calls are accepted."),
    ] = None,
) -> None:
    """Serve the Claude API on a local address: with keys, records and prices.

    Without an API key in the environment or the config, the built-in simulator is the upstream. SIGTERM and Ctrl-C let
    calls under way end first; SIGHUP reads the config again.
    """
    with ExitStack() as stack:
        options = {"data": data, "gateway.host": host, "gateway.port": port}
        simulator, name = None, "upstream"
        loaded = _opened(config, options, upstream, name)
        if not loaded.config.upstreams:
            from ...simulator import running

            simulator = stack.enter_context(running(accept_any=True)).url
            upstream, name = simulator, "simulator"
            loaded = _opened(config, options, simulator, name)
        logging.basicConfig(
            level=loaded.config.log.level.upper(),
            stream=sys.stderr,
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        routes = _routes(loaded)

        def reread() -> tuple[Config, Routes]:
            again = _opened(config, options, upstream, name)
            return again.config, _routes(again)

        from ..gateway.house import House
        from ..gateway.server import run_loop

        links: list[str] = []
        house = House(loaded.config, routes, reread, loaded.secrets, _pages(loaded, links))
        key, is_new = first_key(loaded.config)

        goes_to = loaded.config.upstreams[loaded.config.default_upstream or ""].address

        def ready(bound_host: str, bound_port: int) -> None:
            url = url_of(bound_host, bound_port)
            said = _welcome(url, key, is_new, goes_to, links, is_simulated=simulator is not None)
            print(said, flush=True)
            if ready_file is not None:
                _write_ready(ready_file, {"url": url, "key": key, "pid": os.getpid(), "upstream": goes_to})

        run_loop(house.run(ready))


def _pages(loaded: Loaded, links: list[str]) -> Callable[[Callable[[], Config], Ports], Starlette] | None:
    """What makes the web pages; None where they are not wanted, or asked for by nobody and not installed.

    Puts among `links` where they are: for a person at a terminal it is one that logs in once.
    """
    config = loaded.config
    if not config.dashboard.enabled or config.stores.ledger == "memory":
        return None
    from .pages import opened

    def made(now: Callable[[], Config], ports: Ports) -> Starlette:
        dashboard = opened(now, ports, folder=loaded.secrets.folder)
        links.append(dashboard.login_link() if sys.stdout.isatty() else "/penstock/")
        return dashboard.app()

    has_all = all(find_spec(name) for name in ("starlette", "jinja2", "itsdangerous", "python_multipart"))
    return made if has_all else None


def _opened(config: Path | None, options: dict[str, Any], upstream: str | None, name: str) -> Loaded:
    overrides = dict(options)
    if upstream is not None:
        known = open_config(config, overrides=options).secrets
        has_key = bool(known.environ.get(KEY_VARIABLE) or known.dotenv.get(KEY_VARIABLE))
        goes = {"kind": "compatible", "url": upstream, "keys": [f"env:{KEY_VARIABLE}"] if has_key else []}
        overrides |= {"upstreams": {name: goes}, "routing.default": name}
    return open_config(config, overrides=overrides)


def _routes(loaded: Loaded) -> Routes:
    """The upstreams with their keys resolved. Raises ConfigError."""
    config = loaded.config
    check_for_gateway(config)
    if config.default_upstream is None:
        raise ConfigError("There is no upstream.", code="no_upstream", fix="Add [upstreams.anthropic] with its keys.")
    return compose.routes(loaded, no_key=Secret(NO_KEY) if config.identity.keys_required else None)


def url_of(host: str, port: int) -> str:
    """The address to open or call, of one that is listened on."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)
    return f"http://{shown}:{port}"


def _write_ready(path: Path, ready: dict[str, Any]) -> None:
    """All of the file or nothing, readable by its owner alone: it holds a key. Raises PenstockError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=path.name, delete=False) as file:
            try:
                json.dump(ready, file)
                file.close()
                Path(file.name).replace(path)
            except OSError:
                Path(file.name).unlink(missing_ok=True)  # no key may lie about
                raise
    except OSError as error:
        raise PenstockError(
            f"The ready file {path} cannot be written: {error.strerror}.",
            layer="gateway",
            code="ready_file",
            fix="Name a place that can be written.",
        ) from error


def _welcome(url: str, key: str | None, is_new: bool, upstream: str, links: list[str], *, is_simulated: bool) -> str:
    """What a newcomer needs: where it is, a key, and three things to paste."""
    if is_simulated:
        goes = "the built-in simulator (no ANTHROPIC_API_KEY is set: answers are made up, prices are not)"
    else:
        goes = upstream
    if key is None:
        held = "as you made it with `penstock keys create` (keys are shown once)"
    else:
        held = f"{key}{'  (created just now)' if is_new else ''}"
    shown = key or "pk_…"
    once = "  (logs in once)" if links and "?" in links[0] else ""
    seen = f"\n  pages      {url}{links[0]}{once}" if links else ""
    return f"""Penstock serves the Claude API.

  base URL   {url}
  key        {held}
  upstream   {goes}{seen}

Paste one of these into another terminal:

  curl {url}/v1/messages -H "x-api-key: {shown}" -H "anthropic-version: 2023-06-01" \\
    -H "content-type: application/json" \\
    -d '{{"model": "claude-haiku-4-5", "max_tokens": 64, "messages": [{{"role": "user", "content": "Hello"}}]}}'

  python -c 'from anthropic import Anthropic; print(Anthropic(base_url="{url}", api_key="{shown}").messages.create(
    model="claude-haiku-4-5", max_tokens=64, messages=[{{"role": "user", "content": "Hello"}}]).content[0].text)'

  ANTHROPIC_BASE_URL={url} ANTHROPIC_AUTH_TOKEN={shown} claude

Then: penstock report        Ctrl-C ends it, after calls under way."""

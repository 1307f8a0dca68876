"""Opens a connection on an event loop: names, address families, TLS, one deadline over all."""

from __future__ import annotations

import asyncio
import socket
import ssl
from asyncio.staggered import staggered_race
from collections.abc import Callable
from functools import partial
from itertools import chain, zip_longest
from typing import Any

from .connection import Connection
from .origin import Origin, failure, reason

_STAGGER_S = 0.25  # RFC 8305: how long an address may keep the next one waiting

Address = tuple[socket.AddressFamily, Any]


async def dial(
    loop: asyncio.AbstractEventLoop,
    origin: Origin,
    make: Callable[[], Connection],
    tls: ssl.SSLContext | None,
    connect_s: float,
) -> Connection:
    """An open connection. Raises UpstreamFailed: connect_timeout after `connect_s` seconds, connect_failed."""
    try:
        async with asyncio.timeout(connect_s):
            sock = await _race(loop, await _addresses(loop, origin))
            name = origin.host if tls is not None else None
            try:
                _, connection = await loop.create_connection(make, sock=sock, ssl=tls, server_hostname=name)
            except BaseException:
                sock.close()
                raise
    except TimeoutError as error:
        raise failure("connect_timeout", origin, limit_s=connect_s) from error
    except OSError as error:
        raise failure("connect_failed", origin, reason(error)) from error
    return connection


async def _addresses(loop: asyncio.AbstractEventLoop, origin: Origin) -> list[Address]:
    """The host's addresses, families taking turns, so that a dead one costs one stagger."""
    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    addresses = [(family, address) for family, _, _, _, address in found]
    if not addresses:
        raise OSError("the name has no address")
    same = [each for each in addresses if each[0] == addresses[0][0]]
    other = [each for each in addresses if each[0] != addresses[0][0]]
    return [each for each in chain.from_iterable(zip_longest(same, other)) if each is not None]


async def _race(loop: asyncio.AbstractEventLoop, addresses: list[Address]) -> socket.socket:
    if len(addresses) == 1:
        return await _connect(loop, addresses[0])
    attempts = [partial(_connect, loop, address) for address in addresses]
    race: tuple[socket.socket | None, int | None, list[Exception | None]]
    race = await staggered_race(attempts, _STAGGER_S)
    winner, _, errors = race
    if winner is None:
        raise next(error for error in errors if error is not None)
    return winner


async def _connect(loop: asyncio.AbstractEventLoop, address: Address) -> socket.socket:
    sock = socket.socket(address[0], socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        await loop.sock_connect(sock, address[1])
    except BaseException:
        sock.close()
        raise
    return sock

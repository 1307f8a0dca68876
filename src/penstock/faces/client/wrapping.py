"""`penstock.wrap`: the core under a client of the official SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar, cast

from ...call import Tags
from ...config.schema import Config
from ...errors import ConfigError
from ...ports import Upstream
from ...tagging import checked
from .compose import Composition, composition
from .decoder import hasten
from .intake import Intake
from .kit import Kit, cloud_of, kit_of
from .leg import BlockingLeg, LoopLeg, has_own_leg
from .middleware import SINCE, LoopOnward, Onward, Seat
from .shortcuts import shorten
from .transport import Mount, mount_of, mounted

ClientT = TypeVar("ClientT")


def wrap(
    client: ClientT,
    *,
    feature: str | None = None,
    user: str | None = None,
    session: str | None = None,
    segment: str | None = None,
    config: Config | Path | str | None = None,
    data: Path | str | None = None,
) -> ClientT:
    """A copy of an SDK client, blocking or async, whose every call goes through Penstock's core.

    The copy has the same class, credentials, options and methods. Its retries are off (`max_retries=0`), because two
    layers that retry multiply attempts: Penstock's take their place, and a `max_retries` the client was given, 0
    included, is their limit. The one given is left as it was, though closing the copy closes the HTTP client both
    share. The tags are those of calls made outside of any `penstock.tags` block. `config` is a Config or the path of
    a TOML file, `data` the folder of the ledger; all clients wrapped with the same two share one ledger, one pool
    of connections and one budget of retries.

    Raises ConfigError for a config that is wrong, for something that is no client of the SDK, and for
    a cloud client of an SDK too old for it.
    """
    kit = kit_of(client)
    defaults = checked(feature, user, session, segment)
    house = composition(config, data)
    cloud = cloud_of(client)
    if cloud is not None:
        return cast(ClientT, _with_seat(client, kit, house, defaults, cloud))
    return cast(ClientT, _with_transport(client, kit, house, defaults))


def _with_transport(client: Any, kit: Kit, house: Composition, defaults: Tags) -> Any:
    earlier = mount_of(client._client)  # wrapped before: mounted anew, so that no call is recorded twice
    original = earlier.original if earlier is not None else client._client
    upstream: Upstream | None = None
    if has_own_leg(original):
        clock = house.clock(is_async=kit.is_async)
        upstream = LoopLeg(kit, original, clock) if kit.is_async else BlockingLeg(kit, original, clock)
    token_cache = getattr(client, "_token_cache", None)
    mount = Mount(
        http=kit.http,
        core=house.core(upstream, is_async=kit.is_async),
        clock=house.clock(is_async=kit.is_async),
        intake=_intake(client, kit, house, defaults),
        original=original,
        tasks=house.tasks(is_async=kit.is_async),
        forget_token=getattr(token_cache, "invalidate", None),
    )
    copy = client.copy(http_client=mounted(mount, is_async=kit.is_async), max_retries=0)
    hasten(copy)
    shorten(copy, house.chance)
    return copy


def _with_seat(client: Any, kit: Kit, house: Composition, defaults: Tags, cloud: str) -> Any:
    if not hasattr(client, "with_middleware"):
        version = getattr(kit.sdk, "__version__", "this version")
        raise ConfigError(
            f"A {type(client).__name__} is wrapped by the SDK's middleware, which anthropic {version} does not have.",
            code="sdk_too_old",
            fix=f"Install anthropic>={SINCE}.",
        )
    clock = house.clock(is_async=kit.is_async)
    upstream = LoopOnward(kit, clock) if kit.is_async else Onward(kit, clock)
    core = house.core(upstream, is_async=kit.is_async, may_copy=False)
    seat = Seat(kit, core, clock, _intake(client, kit, house, defaults), client, cloud)
    others = [entry for entry in client.middleware if not isinstance(getattr(entry, "__self__", None), Seat)]
    return client.copy(middleware=[*others, seat.handle_async if kit.is_async else seat.handle], max_retries=0)


def _intake(client: Any, kit: Kit, house: Composition, defaults: Tags) -> Intake:
    clock, total_s = house.clock(is_async=kit.is_async), house.config.transport.total_s
    return Intake(clock, house.chance, defaults, _tries_max(client, kit), total_s)


def _tries_max(client: Any, kit: Kit) -> int | None:
    """How often the client's owner wants a call tried at most; None where they left that at the SDK's default."""
    retries: int = client.max_retries
    return None if retries == getattr(kit.sdk, "DEFAULT_MAX_RETRIES", 2) else retries + 1

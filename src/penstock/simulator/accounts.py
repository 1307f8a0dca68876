"""Who calls the simulated API: organizations, their workspaces and keys."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from .dice import BASE58, Dice
from .problems import Problem

#: Since this day new accounts are held to preserved thinking by default (`claude-api.md` §2.6).
BINDING_SINCE = "2026-08-31"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key the simulator takes. Organizations and workspaces exist by being named.

    `is_admin` keys open the reports under `/v1/organizations` and nothing else. `account_since` is the day the
    organization was created, ISO: accounts from 2026-08-31 on have their thinking blocks checked unasked.
    """

    secret: str = field(repr=False)
    workspace: str = "default"
    organization: str = "main"
    is_admin: bool = False
    account_since: str = BINDING_SINCE


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request came from, as ids of the API's shape. `workspace_id` is None for the default workspace."""

    key_id: str
    organization_id: str
    workspace_id: str | None
    is_admin: bool = False
    is_bound: bool = True

    @property
    def cache_scope(self) -> str:
        return f"{self.organization_id}/{self.workspace_id or 'default'}"


class Accounts:
    """All keys of one simulator. With `accept_any`, an unknown credential is the first key's."""

    def __init__(self, keys: Sequence[ApiKey], seed: object, *, accept_any: bool) -> None:
        self._callers = [(key.secret, _caller(key, seed)) for key in keys]
        self._accept_any = accept_any

    @property
    def first(self) -> Caller:
        return self._callers[0][1]

    def find(self, headers: Mapping[str, str]) -> Caller:
        """The caller by either header; where both are sent, one valid is enough. Raises Problem 401."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = [headers.get("x-api-key", ""), token.strip() if scheme.lower() == "bearer" else ""]
        if not any(given):
            raise Problem(401, "authentication_error", "x-api-key header is required")
        for one in given:
            for secret, caller in self._callers:
                if one and hmac.compare_digest(one.encode(), secret.encode()):
                    return caller
        if self._accept_any:
            return self.first
        raise Problem(401, "authentication_error", "invalid x-api-key")


def made_key(seed: object, purpose: str = "key", kind: str = "api03") -> str:
    """A key of the API's shape that belongs to this seed."""
    return f"sk-ant-{kind}-" + "sim" + "".join(Dice(seed, purpose).random.choices(BASE58, k=92)) + "AA"


def organization_id(name: str, seed: object) -> str:
    dice = Dice(seed, "organization", name)
    return f"{dice.hex(8)}-{dice.hex(4)}-4{dice.hex(3)}-a{dice.hex(3)}-{dice.hex(12)}"


def _caller(key: ApiKey, seed: object) -> Caller:
    workspace = None
    if key.workspace != "default":
        workspace = Dice(seed, "workspace", key.organization, key.workspace).id("wrkspc")
    return Caller(
        key_id=Dice(seed, "key", key.secret).id("apikey"),
        organization_id=organization_id(key.organization, seed),
        workspace_id=workspace,
        is_admin=key.is_admin,
        is_bound=key.account_since >= BINDING_SINCE,
    )

"""Monthly caps and prepaid credit: when the money is used up, what the caller is told (`claude-api.md` §5.2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from .accounts import Caller
from .problems import Problem, invalid

_NANO = 1_000_000_000
_TIER = (
    "You have reached your API usage limits: your organization has crossed its monthly API usage threshold, set based "
    "on your organization's API tier. You will regain access on {date} at 00:00 UTC."
)
_CONTRACT = "You have reached your API usage limits: your organization has reached its contract's spend limit."
_OWN = "You have reached your specified API usage limits. You will regain access on {date} at 00:00 UTC."
_WORKSPACE = (
    "You have reached your specified workspace API usage limits. You will regain access on {date} at 00:00 UTC."
)
_CREDIT = (
    "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase "
    "credits."
)


@dataclass(frozen=True, slots=True)
class Caps:
    """What each organization may spend, in dollars; None is without end. Months are those of UTC.

    `tier_usd` and `contract_usd` are set by the vendor (429 with an error code), `own_usd` and `workspace_usd` by
    the customer (400); `credit_usd` is prepaid and never comes back (400).
    """

    tier_usd: Decimal | None = None
    contract_usd: Decimal | None = None
    own_usd: Decimal | None = None
    workspace_usd: Decimal | None = None
    credit_usd: Decimal | None = None

    @property
    def is_set(self) -> bool:
        return self != Caps()


class Spend:
    """What each organization and workspace has spent, this month and ever, in nano-dollars.

    A call is let in while less than the cap is spent, so the last one may go past it, as the vendor's does.
    """

    def __init__(self, caps: Caps, now: Callable[[], float]) -> None:
        self._caps, self._now = caps, now
        self._spent: dict[tuple[str, str], int] = {}

    def charge(self, caller: Caller, cost_nano: int) -> None:
        if not self._caps.is_set or not cost_nano:
            return
        month = self._month()
        for place in ((caller.organization_id, month), (caller.organization_id, ""), (caller.cache_scope, month)):
            self._spent[place] = self._spent.get(place, 0) + cost_nano

    def check(self, caller: Caller) -> None:
        """Raises Problem where a cap has been reached: 429, or 400 for the customer's own."""
        caps = self._caps
        if not caps.is_set:
            return
        month, date = self._month(), next_month(self._now())
        organization = self._spent.get((caller.organization_id, month), 0)
        if _is_reached(caps.credit_usd, self._spent.get((caller.organization_id, ""), 0)):
            raise invalid(_CREDIT)
        if _is_reached(caps.own_usd, organization):
            raise own_cap(self._now())
        if _is_reached(caps.workspace_usd, self._spent.get((caller.cache_scope, month), 0)):
            raise invalid(_WORKSPACE.format(date=date))
        if _is_reached(caps.contract_usd, organization):
            raise Problem(429, "rate_limit_error", _CONTRACT, "contract_spend_limit_reached", may_retry=None)
        if _is_reached(caps.tier_usd, organization):
            raise tier_cap(self._now())

    def _month(self) -> str:
        return datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m")


def tier_cap(now_s: float) -> Problem:
    """The answer of an organization past its tier's monthly threshold: no `retry-after`, waiting does not help."""
    text = _TIER.format(date=next_month(now_s))
    return Problem(429, "rate_limit_error", text, "enforced_spend_limit_reached", may_retry=None)


def own_cap(now_s: float) -> Problem:
    """The answer of an organization past the limit it has set itself."""
    return invalid(_OWN.format(date=next_month(now_s)))


def next_month(now_s: float) -> str:
    """The first day of the next month, ISO."""
    today = datetime.fromtimestamp(now_s, UTC)
    return f"{today.year + today.month // 12}-{today.month % 12 + 1:02d}-01"


def _is_reached(cap_usd: Decimal | None, spent_nano: int) -> bool:
    return cap_usd is not None and spent_nano >= int(cap_usd * _NANO)

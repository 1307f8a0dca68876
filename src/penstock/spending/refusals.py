"""The words of budgets when they say no."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from ..errors import Refused
from ..ports.money import Balance
from ..wire.prices import usd
from .budget import Charged


def over_budget(charged: Charged, balance: Balance, nano: int, at_us: int, *, is_another: bool = False) -> Refused:
    """A call of that moment that a budget has no room for. Clients are told not to try again before it resets."""
    own, limit = charged.budget.config, charged.account.limit_nano or 0
    left = max(0, limit - balance.spent_nano - balance.held_nano)
    what = "another attempt at this call" if is_another else "this call"
    held = f", {usd(balance.held_nano)} of it held by calls under way" if balance.held_nano else ""
    said = f"Budget {charged.shown} has {usd(left)} of {usd(limit)} dollars left{held}; {what} may cost {usd(nano)}."
    ask = f"Ask {own.contact}" if own.contact is not None else "Ask whoever runs this gateway"
    fix = f"{ask}, or lower `max_tokens`."
    wait_s = None
    if own.period != "total":
        wait_s = (charged.span.until_us - at_us) / 1e6
        resets = datetime.fromtimestamp(charged.span.until_us // 1_000_000, ZoneInfo(own.timezone))
        fix = f"It resets at {resets:%Y-%m-%d %H:%M} {own.timezone}. {fix}"
    return Refused(
        said,
        layer="budgets",
        code="budget_exhausted",
        fix=fix,
        status=own.status,
        type="billing_error" if own.status == 402 else "rate_limit_error",
        retry_after_s=wait_s,
        may_retry=False,
    )


def unpriced(what: str) -> Refused:
    """A call whose cost cannot be held, for no price is known."""
    return Refused(
        f"No price is known for {what}, and a budget is about this call.",
        layer="budgets",
        code="unpriced_under_budget",
        fix="Give its price under [prices.models], or use another model.",
        status=403,
        type="permission_error",
    )

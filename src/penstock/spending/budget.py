"""A budget as calls meet it: whether it is about a call, and which of its accounts counts the call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from zoneinfo import ZoneInfo

import msgspec

from ..call import Call
from ..config.money import BudgetConfig
from ..ports import Key
from ..ports.money import Account, Counted
from ..wire.prices import usd
from .periods import Span, span

#: What each dimension is in the ledger. Keys that came from one another by rotation count as the first of them.
COLUMNS = {
    "key": "coalesce((SELECT lineage FROM keys WHERE keys.id = calls.key_id), key_id)",
    "model": "model_asked",
}
#: Accounts are kept so long after their period's end, for reports.
_KEPT_US = 40 * 86_400_000_000

Who = Mapping[str, str | None]


class Charged(msgspec.Struct, frozen=True):
    """A budget that is about a call, the account that counts it, and both in words."""

    budget: Budget
    account: Account
    span: Span
    shown: str


class Budget:
    """One entry of the config. `about` says where a call counts.

    `keys` are those that one of keys' own is of, for counting it anew; a call brings its key's limit along.
    """

    def __init__(self, config: BudgetConfig, keys: Sequence[str] = ()) -> None:
        self.config, self._keys = config, tuple(keys)
        self.limit_nano, self.plan_nano = config.limit_nano, config.plan_nano
        self._zone = ZoneInfo(config.timezone)
        self._where = tuple(config.where.items())
        #: One period and what was made in it, as one value: threads meet at midnight.
        self._made: tuple[Span, dict[tuple[str, ...], Charged]] = (self.span(0), {})

    def about(self, who: Who, at_us: int) -> Charged | None:
        """Where a call of that moment counts; None where the budget is not about it."""
        for name, value in self._where:
            if who[name] != value:
                return None
        of, made = self._made
        if not of.from_us <= at_us < of.until_us:
            of, made = self._made = self.span(at_us), {}
        values = tuple([who[name] or "" for name in self.config.per])
        known = made.get(values)
        if known is None:
            each = [f"{name} {value!r}" for name, value in zip(self.config.per, values, strict=True)]
            shown = f"{self.config.title!r} of {', '.join(each)}" if each else f"{self.config.title!r}"
            account = Account(self.account(values, of), self.limit_nano, of.until_us + _KEPT_US)
            known = Charged(self, account, of, shown)
            if len(made) < 10_000:
                made[values] = known
        return known

    def span(self, at_us: int) -> Span:
        """The period that a moment is in."""
        return span(self.config.period, self._zone, at_us)

    def counted(self, at_us: int) -> Counted:
        """What its accounts of the period of a moment count."""
        of = self.span(at_us)
        columns: list[tuple[str, tuple[str, ...]]] = []
        columns += [(COLUMNS.get(name, name), (value,)) for name, value in self._where]
        columns += [(COLUMNS["key"], self._keys)] if self._keys else []
        per = tuple([COLUMNS.get(name, name) for name in self.config.per])
        own = self.config
        return Counted(
            repr((own.title, sorted(columns), per, own.period, own.timezone)),
            own.title,
            tuple(columns),
            per,
            of.from_us,
            of.until_us,
            of.until_us + _KEPT_US,
            lambda values: self.account(values, of),
        )

    def account(self, values: tuple[str, ...], of: Span) -> str:
        """The name of an account; the reverse of `penstock.spending.budget.parts`."""
        return "\x1f".join((self.config.title, of.label, *values))


def of_keys(keys: Iterable[Key]) -> list[Budget]:
    """The budgets that these keys have of their own, one for each limit and period there is."""
    found: dict[tuple[int, str], list[str]] = {}
    for key in keys:
        if key.limit_nano is not None:
            found.setdefault((key.limit_nano, key.period), []).append(key.lineage or key.id)
    return [of_key(*own, keys=names) for own, names in sorted(found.items())]


def of_key(limit_nano: int, period: str, keys: Sequence[str] = ()) -> Budget:
    """The budget of the keys that have this limit of their own, each for itself."""
    named = f"each key's own {usd(limit_nano)}, {period}"
    return Budget(BudgetConfig(name=named, per=("key",), period=period, limit_usd=usd(limit_nano)), keys)  # type: ignore[arg-type]


def parts(account: str) -> tuple[str, str, tuple[str, ...]]:
    """A budget's title, the period and the values, of an account's name."""
    title, label, *values = account.split("\x1f")
    return title, label, tuple(values)


def who_asks(call: Call) -> Who:
    """What budgets may be about, of a call."""
    caller, tags = call.caller, call.tags
    return {
        "environment": caller.environment if caller is not None else None,
        "key": (caller.lineage or caller.key_id) if caller is not None else None,
        "segment": tags.segment,
        "user": tags.user,
        "session": tags.session,
        "feature": tags.feature,
        "model": call.request.model if call.request is not None else None,
    }

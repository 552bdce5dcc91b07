"""What one process holds of one account: the arithmetic of `core.leases.Account` with its rule and its window."""

from __future__ import annotations

from enum import IntEnum

from tollway.core.leases import Account
from tollway.core.rules import (
    Budget,
    Limit,
    Measure,
    Window,
    budget_window,
    limit_at,
    limit_window,
    window_before,
)
from tollway.dataplane.admission.ports import PoolAsk, PoolTold
from tollway.wire.balances_codec import BalanceQuery

BUDGET_FLOOR = 8
"""A budget is held in advance only while each process could have this many further requests."""
RATE_FLOOR = 50
"""The same of a rate: a smaller share is decided request by request."""
PLACES_FLOOR = 10
DAY_MS = 86_400_000
KEEP_MS = 3_600_000
"""How long a pool outlives its window, for what is settled late."""
STEP_BACK_MS = 600_000
"""How far a clock may step back over the end of a window: an account that is forgotten would begin from zero."""
REFUSAL_SECONDS = 0.05
"""For how long a refusal answers for requests that want as much: a flood of them does not reach the store."""
PLACES = ":c"
"""Ends the name of an account of requests under way."""


class Kind(IntEnum):
    """What an account counts."""

    COST = 0
    REQUESTS = 1
    TOKENS = 2
    PLACES = 3


_KINDS = {Measure.REQUESTS: Kind.REQUESTS, Measure.TOKENS: Kind.TOKENS, Measure.CONCURRENT: Kind.PLACES}


class Holding:
    """One account of one process. `known` False: the ledger must first say what was spent before.

    `told` is the pool as it was at `told_at` (the loop's time); `previous` is the window whose rest is carried over.
    """

    __slots__ = (
        "_dirty", "account", "before", "changed", "key", "kind", "known", "pool", "previous", "refused_amount",
        "refused_until", "rule", "subject", "told_at", "window",
    )  # fmt: skip

    def __init__(self, rule: Budget | Limit, subject: str, window: Window, dirty: set[Holding] | None = None) -> None:
        """`subject` is what the ledger calls whom the rule is for; `dirty` takes the account when it changes."""
        self._dirty = dirty if dirty is not None else set()
        self.rule = rule
        self.subject = subject
        self.window = window
        self.key = account_key(rule, window)
        self.kind = _KINDS[rule.measure] if isinstance(rule, Limit) else Kind.COST
        self.account = Account(_floor(rule))
        self.previous = _previous(rule, window)
        self.known = True
        self.before: int | None = None
        self.changed = False
        self.pool: PoolTold | None = None
        self.told_at = 0.0
        self.refused_until = 0.0
        self.refused_amount = 0

    def touch(self) -> None:
        """The pool must be told of it."""
        self.changed = True
        self._dirty.add(self)

    def change(self, rule: Budget | Limit) -> None:
        """Another form of the same rule: the window may end elsewhere, the rest of another one be carried over."""
        self.rule = rule
        self.window = window_of(rule, self.window.start_ms)
        self.previous = _previous(rule, self.window)
        self.touch()

    @property
    def places(self) -> bool:
        """Whether it counts requests under way, which are given back and never spent."""
        return self.kind is Kind.PLACES

    def limit(self, at_ms: int) -> int:
        """The limit in force, without what is carried over."""
        return self.rule.amount if isinstance(self.rule, Limit) else limit_at(self.rule, at_ms)

    def ask(self, now_ms: int) -> PoolAsk:
        """What to tell the pool now."""
        self.changed = False
        start, end = self.window
        carried = self.previous is not None
        before, self.before = self.before, None
        return PoolAsk(
            account=self.key,
            ask=self.account.ask(),
            limit=self.limit(min(now_ms, end - 1) if end is not None else now_ms),
            start_ms=start,
            expire_ms=None if end is None else end + self._keep_ms(start, end),
            before=before,
            places=self.places,
            carry=self.rule.limit_nano if carried and isinstance(self.rule, Budget) else 0,
            previous=account_key(self.rule, self.previous) if self.previous is not None else None,
            previous_start_ms=self.previous.start_ms if self.previous is not None else 0,
        )

    def _keep_ms(self, start: int, end: int) -> int:
        """A budget's pool lasts through the next window, however long that is: its rest may be carried over."""
        return 2 * (end - start) + 8 * DAY_MS if isinstance(self.rule, Budget) else KEEP_MS

    def hear(self, told: PoolTold, at: float) -> None:
        """Takes in the pool's answer."""
        self.pool = told
        self.told_at = at
        self.known = told.told.known
        self.account.told(told.told)
        if self.account.free > 0 or self.account.waiting:
            self._dirty.add(self)

    def take(self, amount: int) -> bool:
        """Reserves what is free here and now."""
        if self.account.take(amount):
            self.touch()
            return True
        return False

    def settle(self, reserved: int, spent: int) -> None:
        """A reservation is over."""
        self.account.settle(reserved, spent)
        self.touch()

    def question(self) -> BalanceQuery:
        """What the ledger must say about what was spent before."""
        limit = self.rule if isinstance(self.rule, Limit) else None
        start, end = self.window
        return BalanceQuery(
            measure="cost" if limit is None else limit.measure.value,
            scope=self.rule.scope,
            subject=self.subject,
            model="*" if limit is None else limit.model,
            start_ms=start,
            end_ms=end,
        )

    @property
    def was_told(self) -> bool:
        """Whether some process told the pool of money or places before it was known what was spent before."""
        return self.pool is not None and bool(self.pool.told.spent or self.pool.told.held)

    def over(self, now_ms: int) -> bool:
        """Whether the window has ended and nothing of it is left to tell, also not to the window after it."""
        start, end = self.window
        if end is not None:
            carries = isinstance(self.rule, Budget) and self.rule.carry_over
            end += self._keep_ms(start, end) if carries else STEP_BACK_MS
        busy = self.changed or self.account.reserved or self.account.waiting
        return end is not None and now_ms >= end and not busy


def account_key(rule: Budget | Limit, window: Window) -> str:
    """The name of an account: the rule's id with the start of the window."""
    if isinstance(rule, Limit) and rule.measure is Measure.CONCURRENT:
        return rule.id + PLACES
    return f"{rule.id}:{window.start_ms}"


def window_of(rule: Budget | Limit, at_ms: int) -> Window:
    """The window that a request that begins at `at_ms` belongs to."""
    return budget_window(rule, at_ms) if isinstance(rule, Budget) else limit_window(rule, at_ms)


def _previous(rule: Budget | Limit, window: Window) -> Window | None:
    return window_before(rule, window) if isinstance(rule, Budget) and rule.carry_over else None


def _floor(rule: Budget | Limit) -> int:
    if isinstance(rule, Budget):
        return BUDGET_FLOOR
    return PLACES_FLOOR if rule.measure is Measure.CONCURRENT else RATE_FLOOR

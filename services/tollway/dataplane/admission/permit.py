"""What one request has reserved, until it is settled: once, on whatever way out."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.ledger import AttemptRow
from tollway.dataplane.admission.counters import Counters, Need
from tollway.dataplane.admission.holding import Holding, Kind
from tollway.dataplane.outbox.records import Charges


class Permit:
    """Reservations of one request. `reserved_nano`: of each budget for the first call; None: no budget bounds it."""

    __slots__ = ("_counters", "_needs", "counts_tokens", "reserved_nano", "settled")

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._needs: list[Need] = []
        self.reserved_nano: int | None = None
        self.counts_tokens = False
        self.settled = False

    def add(self, needs: Sequence[Need]) -> None:
        """Takes charge of what was reserved."""
        self._needs += needs
        for holding, _ in needs:
            if holding.kind is Kind.TOKENS:
                self.counts_tokens = True

    def further(self, budgets: Sequence[Holding], amount: int, spent: int) -> list[Need]:
        """What must still be reserved for a further call of at most `amount`, beside the nano-dollars `spent`."""
        held = next((reserved for holding, reserved in self._needs if holding in budgets), 0)
        more = spent + amount - held
        return [(holding, more) for holding in budgets] if more > 0 else []

    def grow(self, needs: Sequence[Need]) -> None:
        """Takes charge of what was reserved for a further call."""
        more = dict(needs)
        self._needs = [(holding, reserved + more.get(holding, 0)) for holding, reserved in self._needs]

    def holds(self, holding: Holding) -> bool:
        """Whether something of an account is reserved here."""
        return any(held is holding for held, _ in self._needs)

    def charges(self) -> Charges:
        """The accounts and what is reserved of each, for the journal."""
        return tuple([(holding.key, amount) for holding, amount in self._needs if holding.kind is not Kind.PLACES])

    def outran(self, tokens: int) -> None:
        """A stream has come to `tokens` of input and output: limits of tokens count them while it runs."""
        for index, (holding, amount) in enumerate(self._needs):
            if holding.kind is Kind.TOKENS and tokens > amount:
                holding.account.overdraw(tokens - amount)
                holding.touch()
                self._needs[index] = (holding, tokens)

    def bill(self, attempts: Sequence[AttemptRow]) -> Charges:
        """What a request that left is charged to; for the journal, before `settle`."""
        used = _used(attempts)
        return tuple([(holding.key, used[holding.kind]) for holding, _ in self._needs if used[holding.kind]])

    def settle(self, attempts: Sequence[AttemptRow], *, sent: bool) -> None:
        """Ends all reservations, once, with what was used; with nothing if the request never left."""
        if self.settled:
            return
        self.settled = True
        used = _used(attempts) if sent else _NOTHING
        awaited = False
        for holding, amount in self._needs:
            holding.settle(amount, used[holding.kind])
            awaited = awaited or bool(holding.account.waiting)
        if awaited:
            self._counters.nudge()


_NOTHING = dict.fromkeys(Kind, 0)


def _used(attempts: Sequence[AttemptRow]) -> dict[Kind, int]:
    """What a request has used, in the units of each kind of account."""
    cost = tokens = 0
    for row in attempts:
        cost += row.cost_nano
        tokens += row.usage.input + row.usage.output
    return {Kind.COST: cost, Kind.REQUESTS: 1, Kind.TOKENS: tokens, Kind.PLACES: 0}

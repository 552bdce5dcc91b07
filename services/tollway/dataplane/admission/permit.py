"""What one request has reserved, until it is settled: once, on whatever way out."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.ledger import AttemptRow
from tollway.core.rules import Budget, Limit, Measure
from tollway.dataplane.admission.counters import Counters, Need
from tollway.dataplane.admission.holding import Holding


class Permit:
    """Reservations of one request. `reserved_nano`: of each budget; None: no budget bounds it."""

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
            rule = holding.rule
            self.counts_tokens = self.counts_tokens or (isinstance(rule, Limit) and rule.measure is Measure.TOKENS)

    def budgets(self) -> list[Holding]:
        """The budgets that the request draws on."""
        return [holding for holding, _ in self._needs if isinstance(holding.rule, Budget)]

    def limits(self) -> list[Holding]:
        """The limits that count the request."""
        return [holding for holding, _ in self._needs if isinstance(holding.rule, Limit)]

    def charges(self) -> tuple[tuple[str, int], ...]:
        """The accounts and what is reserved of each, for the journal."""
        return tuple((holding.key, amount) for holding, amount in self._needs if not holding.places)

    def outran(self, tokens: int) -> None:
        """A stream has come to `tokens` of input and output: limits of tokens count them while it runs."""
        for index, (holding, amount) in enumerate(self._needs):
            rule = holding.rule
            if isinstance(rule, Limit) and rule.measure is Measure.TOKENS and tokens > amount:
                holding.account.overdraw(tokens - amount)
                holding.touch()
                self._needs[index] = (holding, tokens)

    def bill(self, attempts: Sequence[AttemptRow]) -> tuple[tuple[str, int], ...]:
        """What a request that left is charged to; for the journal, before `settle`."""
        cost, tokens = _sums(attempts)
        charged = ((holding.key, _spent(holding, cost, tokens)) for holding, _ in self._needs)
        return tuple((key, spent) for key, spent in charged if spent)

    def settle(self, attempts: Sequence[AttemptRow], *, sent: bool) -> None:
        """Ends all reservations, once, with what was used; with nothing if the request never left."""
        if self.settled:
            return
        self.settled = True
        cost, tokens = _sums(attempts)
        for holding, amount in self._needs:
            holding.settle(amount, _spent(holding, cost, tokens) if sent else 0)
        if any(holding.account.waiting for holding, _ in self._needs):
            self._counters.nudge()


def _sums(attempts: Sequence[AttemptRow]) -> tuple[int, int]:
    """Cost in nano-dollars, and tokens of input and output."""
    return (
        sum(row.cost_nano for row in attempts),
        sum(row.usage.input + row.usage.output for row in attempts),
    )


def _spent(holding: Holding, cost: int, tokens: int) -> int:
    rule = holding.rule
    if isinstance(rule, Budget):
        return cost
    return {Measure.REQUESTS: 1, Measure.TOKENS: tokens, Measure.CONCURRENT: 0}[rule.measure]

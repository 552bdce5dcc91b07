"""What admission asks of the store that keeps the pools, and of the ledger. Contracts alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, overload

from tollway.core.leases import Ask, Told
from tollway.wire.balances_codec import BalanceQuery, BalancesRead


class Life(NamedTuple):
    """One life of an organisation's counters: it ends when the server loses them, or another takes its place.

    `ready`: every process has told what it holds, so grants may begin. `cut_us`: rows that the ledger had by then
    (Unix microseconds of its database) were spent before this life.
    """

    epoch: str
    ready: bool
    cut_us: int = 0


class PoolAsk(NamedTuple):
    """An ask for one pool. Times are Unix milliseconds; None of `expire_ms`: the pool stays.

    `before`: what was spent before, when it was asked of the ledger. `carry`: the most that the window before may
    add; its pool is `previous`, which began at `previous_start_ms`.
    """

    account: str
    ask: Ask
    limit: int
    start_ms: int
    expire_ms: int | None = None
    before: int | None = None
    places: bool = False
    carry: int = 0
    previous: str | None = None
    previous_start_ms: int = 0


class PoolTold(NamedTuple):
    """The answer. `previous_unknown`: what the window before has used must be asked of the ledger first."""

    told: Told
    previous_unknown: bool = False


class Answer(NamedTuple):
    """To all asks of a round. `life` None: the counters are of another life. `holders` are the processes at work."""

    life: Life | None
    holders: int = 1
    told: tuple[PoolTold, ...] = ()
    closed: bool = False


class WrittenOff(NamedTuple):
    """A lost holder was closed: what it held of each budget, in nano-dollars, now counts as spent.

    `ended`: nothing was written off, because it had ended and was booked before it was taken for lost.
    """

    amounts: Mapping[str, int]
    ended: bool = False


class CounterStore(Protocol):
    """The pools of organisations. Every method raises StoreUnavailable within a bounded time."""

    async def ask(self, organisation: str, epoch: str, holder: str, asks: Sequence[PoolAsk]) -> Answer:
        """Tells and asks for many pools in one atomic step. `closed`: this holder counts as gone and must end."""

    async def begin(self, organisation: str, epoch: str) -> Life:
        """The life that holds; a new one called `epoch` when there is none on this server."""

    async def join(self, organisation: str, epoch: str, holder: str, replica: str) -> None:
        """Says that a process has told the new life all that it holds."""

    async def part(self, organisation: str, epoch: str, holder: str) -> None:
        """Takes the joining back: what was told is told anew before the next one."""

    async def members(self, organisation: str, epoch: str) -> frozenset[str]:
        """The replicas that have joined."""

    async def lead(self, organisation: str, holder: str, seconds: float) -> bool:
        """Whether this process brings the new life up, for the next seconds."""

    async def ready(self, organisation: str, epoch: str, cut_us: int) -> bool:
        """Makes a life ready; False when it is over."""

    @overload
    async def close_holder(self, organisation: str, epoch: str, holder: str, totals: Mapping[str, int]) -> bool | None:
        """Books the end of a dead process: what it spent of each budget in all. None: it was not of this life.

        False: this life is over.
        """

    @overload
    async def close_holder(
        self, organisation: str, epoch: str, holder: str, totals: Mapping[str, int], *, lost: Literal[True]
    ) -> WrittenOff | None:
        """The same where the journal is lost and nobody knows: all that it held counts as spent. None: as False above.

        Asked again it answers the same.
        """

    async def leave(self, organisation: str, epoch: str, holder: str) -> None:
        """An orderly end, after the last ask has given everything back."""


class BalanceSource(Protocol):
    """The ledger as admission reads it; the real one is `tollway.wire.balances_client.BalancesClient`."""

    async def read(
        self, replica: str, organisation: str, epoch: str, queries: Sequence[BalanceQuery], *, cut_us: int | None = None
    ) -> BalancesRead:
        """What was used by the cut; None: by now. Raises ConnectionError or TimeoutError."""

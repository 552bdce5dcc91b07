"""Processes whose journal is lost with their node: what their copy has goes to the ledger, what they held is spent.

One data plane at a time looks. A process counts as lost when it was not heard of for longer than a lease and the
longest request may last, and nobody has taken its journal over. Everything here may be done twice or stopped half-way:
the ledger ignores what it has, accounts are closed once, and one of all who try tells of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from tollway.core.ledger import RequestRow
from tollway.core.notices import NoticeKind
from tollway.dataplane.notices import Notices
from tollway.dataplane.outbox.records import Final, frames
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.dataplane.stores.redis_copies import Page, Silent
from tollway.runtime import log
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
SWEEP_SECONDS = 30.0
CONFIRM_SWEEPS = 3
"""A holder must be found silent so often in a row: after an outage of the server the living get time to speak."""


class LostStore(Protocol):
    """Where copies are; the real one is `tollway.dataplane.stores.redis_copies`. Raises StoreUnavailable."""

    async def lead(self, holder: str, seconds: float) -> bool:
        """Whether this one looks for lost holders, for the next seconds."""

    async def silent(self, seconds: float) -> list[Silent]:
        """Holders that were not heard of for so long, the oldest first."""

    async def read(self, holder: str, after: str | None = None) -> Page:
        """The next part of a stream."""

    async def mark_shipped(self, holder: str, last: str, epoch: str) -> None:
        """Notes, behind the `last` entry, in which life of the counters all rows of a stream were shipped."""

    async def bury(self, silent: Silent) -> bool:
        """Removes a holder with its stream, unless it was heard of since; true for one of all who try."""


class WrittenOff(Protocol):
    """What closing a lost holder came to."""

    @property
    def amounts(self) -> Mapping[str, int]:
        """What it held of each budget, in nano-dollars: it counts as spent now."""

    @property
    def ended(self) -> bool:
        """Whether it had ended and was booked before it was taken for lost."""


class Accounts(Protocol):
    """Who closes the accounts of lost processes; the real one is `tollway.dataplane.admission`."""

    @property
    def epoch(self) -> str:
        """The life of the counters; empty: none is ready."""

    async def close_lost(
        self, holder: str, owed: Mapping[str, Mapping[str, int]], shipped_in: str
    ) -> WrittenOff | None:
        """Closes the accounts; what was written off. None: it cannot be done now."""

    def budget_of(self, account: str) -> tuple[str, str]:
        """Scope and subject of a budget's account."""


class Carrier(Protocol):
    """Who ships rows; the real one is `tollway.dataplane.outbox.shipper`."""

    async def ship_for_another(self, rows: Sequence[RequestRow]) -> bool:
        """Ships rows of a journal that is lost; false when the control plane could not take them."""


class LostNodes:
    """One for each process. `found` counts the lost ones that it has closed, `rows` those that it shipped for them."""

    def __init__(
        self,
        holder: str,
        store: LostStore,
        carrier: Carrier,
        accounts: Accounts,
        notices: Notices,
        *,
        lost_seconds: float,
    ) -> None:
        self._holder = holder
        self._store = store
        self._carrier = carrier
        self._accounts = accounts
        self._notices = notices
        self._lost_seconds = lost_seconds
        self._sweep_seconds = min(SWEEP_SECONDS, lost_seconds / 4)
        self._seen: dict[Silent, int] = {}
        self.found = 0
        self.rows = 0

    def start(self, tasks: Tasks) -> None:
        """Looks in the background."""
        tasks.keep(self._run, "outbox-lost-nodes")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._sweep_seconds)
            try:
                await self.sweep()
            except StoreUnavailable:
                self._seen = {}  # those who were not heard of could not be

    async def sweep(self) -> None:
        """Looks once, and settles those that were found silent often enough. Raises StoreUnavailable."""
        if not await self._store.lead(self._holder, self._sweep_seconds * 1.5):
            self._seen = {}
            return
        silent = [one for one in await self._store.silent(self._lost_seconds) if one.holder != self._holder]
        self._seen = {one: self._seen.get(one, 0) + 1 for one in silent}
        for one in silent:
            if self._seen[one] < CONFIRM_SWEEPS:
                continue
            if not await self.settle(one) or not await self._store.lead(self._holder, self._sweep_seconds * 1.5):
                return

    async def settle(self, silent: Silent) -> bool:
        """Ships what the copy of a lost holder has and closes its accounts; false when that cannot be done now."""
        if not self._accounts.epoch:
            return False  # before it is read: nothing could be done with it
        owed: dict[str, dict[str, int]] = {}
        rows = 0
        after: str | None = None
        while True:
            page = await self._store.read(silent.holder, after)
            try:
                finals = [final for entry in page.entries for final in _finals(entry)]
            except msgspec.MsgspecError as error:
                _log.error("a copy of ledger rows cannot be read: it stays", holder=silent.holder, reason=str(error))
                return True
            if not await self._carrier.ship_for_another([final.request for final in finals]):
                return False
            rows += len(finals)
            _add(owed, finals)
            after = page.after
            if after is None:
                break
        shipped_in = page.shipped_in
        if shipped_in is None:
            # The life that there is now: of one that began meanwhile the first rows may be counted twice, and none is
            # missing. Every later one finds all of them in the ledger.
            shipped_in = self._accounts.epoch
            if not shipped_in:
                return False
            await self._store.mark_shipped(silent.holder, page.last, shipped_in)
        written_off = await self._accounts.close_lost(silent.holder, owed, shipped_in)
        if written_off is None:
            return False
        if await self._store.bury(silent):
            self._tell(silent, rows, written_off)
        return True

    def _tell(self, silent: Silent, rows: int, written_off: WrittenOff) -> None:
        self.rows += rows
        if written_off.ended:
            _log.info("the copy of a process that has ended is removed", holder=silent.holder, rows=rows)
            return
        self.found += 1
        amounts = written_off.amounts
        # The budgets of a request are nested: each holds the same money, and the largest says how much it is.
        account = max(amounts, key=lambda name: amounts[name], default="")
        amount = amounts.get(account, 0)
        scope, subject = self._accounts.budget_of(account)
        detail = (
            f"the process {silent.holder} is lost with its journal: {rows} rows of its copy are in the ledger; what it"
            f" held of {len(amounts)} budgets counts as spent, up to {amount} nano-dollars of one"
        )
        _log.error(
            "a process is lost with its journal", holder=silent.holder, rows=rows, budgets=len(amounts),
            account=account, written_off_nano=amount,
        )  # fmt: skip
        self._notices.tell(
            NoticeKind.UNATTRIBUTED,
            scope=scope,
            subject=subject,
            code=silent.holder,
            detail=detail,
            amount_nano=amount,
        )


def _finals(entry: bytes) -> list[Final]:
    """The finished requests of an entry."""
    return [item.record for item in frames(entry, 0, len(entry)) if isinstance(item.record, Final)]


def _add(owed: dict[str, dict[str, int]], finals: Sequence[Final]) -> None:
    for final in finals:
        accounts = owed.setdefault(final.request.organisation, {})
        for account, amount in final.charges:
            accounts[account] = accounts.get(account, 0) + amount

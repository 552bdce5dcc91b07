"""What time does to requests that wait: reminders, escalation, expiry. One control plane at a time does it.

A request that somebody decides at this moment is left to them; nothing depends on this being done in time, as a
decision looks at the clock itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tollway.controlplane.audit import service as audit
from tollway.controlplane.call import Call, Principal
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.resources import from_ms
from tollway.controlplane.workflows import announce, postgres
from tollway.core.approvals import machine
from tollway.core.approvals.machine import Event
from tollway.core.approvals.model import State
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
INTERVAL_SECONDS = 15.0
AT_ONCE = 100
TIME = Principal(name="time", permissions=frozenset())
"""Who the audit log says it was."""
PERMISSION = "approvals.expire"


@dataclass
class KeeperCounters:
    """Totals since the process started, ready to be shown as metrics."""

    passes: int = 0
    reminded: int = 0
    escalated: int = 0
    expired: int = 0
    failures: int = 0


class Keeper:
    """`start` it, then `close` it."""

    def __init__(self, pool: Pool, vault: Vault, clock: Clock, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._pool = pool
        self._vault = vault
        self._clock = clock
        self._interval = interval_seconds
        self._tasks = Tasks()
        self.counters = KeeperCounters()

    def start(self) -> None:
        """Looks at the requests that wait, in the background."""
        self._tasks.keep(self._forever, "approvals-keeper", restart_seconds=self._interval)

    async def close(self) -> None:
        """Ends the background work; a pass under way is rolled back."""
        await self._tasks.close()

    async def _forever(self) -> None:
        while True:
            try:
                while await self.keep() == AT_ONCE:
                    continue
            except OUTAGE as error:
                self.counters.failures += 1
                _log.warning("requests could not be looked at", reason=type(error).__name__)
            await asyncio.sleep(self._interval)

    async def keep(self) -> int:
        """One pass, if no other process is at it; returns how many requests something happened to."""
        now_ms = self._clock.now_ms()
        now = from_ms(now_ms)
        seen: list[Event] = []
        async with self._pool.connection() as db, db.transaction():
            if not await postgres.elect(db):
                return 0
            call = Call(principal=TIME, db=db, clock=self._clock, permission=PERMISSION, sealing=self._vault)
            rows = await postgres.due(db, now, AT_ONCE)
            votes = await postgres.votes(db, [row.id for row in rows])
            for row in rows:
                case, events = machine.passed(row.case(votes[row.id]), now_ms)
                by = TIME.name if case.state is State.EXPIRED else ""
                await postgres.update_approval(db, row.id, case, now, by)
                for event in events:
                    await announce.announce(db, row, case, event.value, "", now)
                if by:
                    call.audit(f"approval:{row.id}", {"state": row.state.value}, {"state": case.state.value})
                seen += events
            await audit.write(call)
        self.counters.passes += 1
        self.counters.reminded += seen.count(Event.REMINDED)
        self.counters.escalated += seen.count(Event.ESCALATED)
        self.counters.expired += seen.count(Event.EXPIRED)
        return len(rows)

"""The queue of deliveries: claimed by one process each, tried, tried again with growing pauses, at last given up.

A delivery is claimed in the database, so that several control planes never send it twice at once; when the one that has
it dies, another tries it after the claim's end, under the same delivery id. Nothing is held while a message is sent.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from email.message import EmailMessage
from uuid import UUID

import msgspec

from tollway.controlplane.alerts import messages, postgres
from tollway.controlplane.alerts.channels import opened
from tollway.controlplane.alerts.model import AlertRow, ChannelKind, ChannelRow, Target
from tollway.controlplane.alerts.postgres import Claimed
from tollway.controlplane.alerts.sending import Mailer, Outcome, WebhookSender
from tollway.controlplane.credentials.vault import Vault, VaultError
from tollway.controlplane.db.pool import Pool
from tollway.runtime import log
from tollway.runtime.clock import Clock

_log = log.get(__name__)
AT_ONCE = 16
CLAIM_SECONDS = 60.0
"""Longer than a try can take."""
PAUSES_SECONDS = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Before the second try, the third, and so on; the last one repeats."""
GIVE_UP_SECONDS = 86_400.0
LOOK_SECONDS = 2.0


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """How long a delivery is tried."""

    pauses: tuple[float, ...] = PAUSES_SECONDS
    give_up_seconds: float = GIVE_UP_SECONDS

    def pause(self, tried: int, age: float) -> float | None:
        """Seconds to wait after `tried` tries, the last one included; None: it is given up. `age` is in seconds."""
        pause = self.pauses[min(tried, len(self.pauses)) - 1]
        return None if age + pause > self.give_up_seconds else pause


@dataclass
class DeliveryCounters:
    """Totals since the process started, ready to be shown as metrics."""

    delivered: int = 0
    retried: int = 0
    given_up: int = 0


class Deliverer:
    """Sends what is due. `wake` it when something new is."""

    def __init__(
        self, pool: Pool, vault: Vault, clock: Clock, webhooks: WebhookSender, mailer: Mailer, retry: Retry
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._clock = clock
        self._webhooks = webhooks
        self._mailer = mailer
        self._retry = retry
        self._wanted = asyncio.Event()
        self.counters = DeliveryCounters()

    def wake(self) -> None:
        """Says that there may be something to send."""
        self._wanted.set()

    async def run(self) -> None:
        """Delivers for the life of the process."""
        while True:
            while await self.deliver_due():
                continue
            try:
                async with asyncio.timeout(min(LOOK_SECONDS, self._retry.pauses[0])):
                    await self._wanted.wait()
            except TimeoutError:
                continue
            finally:
                self._wanted.clear()

    async def deliver_due(self) -> int:
        """Tries what is due now, at most `AT_ONCE` at a time; returns how many were tried."""
        async with self._pool.connection() as db:
            claimed = await postgres.claim(db, AT_ONCE, CLAIM_SECONDS)
        await asyncio.gather(*(self._try(one) for one in claimed))
        return len(claimed)

    async def _try(self, claimed: Claimed) -> None:
        channel: ChannelRow | None = None
        target: Target | None = None
        async with self._pool.connection() as db:
            alert = await postgres.alert(db, claimed.alert_id)
            if claimed.channel_id is not None:
                channel = await postgres.channel_by_id(db, claimed.channel_id)
                try:
                    target = await opened(db, self._vault, channel)
                except VaultError:
                    _log.error("the target of an alert channel cannot be opened", channel=channel.name)
            elif not self._mailer.usable:
                # Nobody has asked for it: people are told by mail where there is a mail server.
                await postgres.drop_delivery(db, claimed.id)
                return
        if alert is None:
            return
        at_ms, started = self._clock.now_ms(), self._clock.monotonic()
        outcome = await self._sent(alert, claimed, channel, target)
        seconds = self._clock.monotonic() - started
        tried = {"at_ms": at_ms, "status": outcome.status, "error": outcome.error, "seconds": round(seconds, 3)}
        pause = None if outcome.delivered else self._retry.pause(claimed.tried + 1, claimed.age + seconds)
        state = "delivered" if outcome.delivered else "pending" if pause is not None else "failed"
        async with self._pool.connection() as db:
            if await postgres.finish(db, claimed, state, tried, pause or 0):
                self._count(state, claimed, channel, outcome)

    async def _sent(
        self, alert: AlertRow, claimed: Claimed, channel: ChannelRow | None, target: Target | None
    ) -> Outcome:
        try:
            if channel is None:
                recipients = claimed.recipients or []
                made = self._mail(alert, claimed.id, recipients)
                return await self._mailer.send(made, recipients)
            if target is None:
                return Outcome((False, 0, "the channel's URL and secret cannot be opened: check TOLLWAY_KEK"))
            return await self.send(alert, channel, target, claimed.id)
        except Exception:  # noqa: BLE001 - the boundary: one message must not hold up all others, nor try forever
            _log.exception("a message of an alert could not be made", delivery=str(claimed.id))
            return Outcome((False, 0, "the message could not be made: see the control plane's log"))

    def _mail(self, alert: AlertRow, delivery: UUID, recipients: list[str], *, test: bool = False) -> EmailMessage:
        known = self._mailer
        return messages.mail(alert, delivery, known.sender, recipients, public_url=known.public_url, test=test)

    def _count(self, state: str, claimed: Claimed, channel: ChannelRow | None, outcome: Outcome) -> None:
        if state == "delivered":
            self.counters.delivered += 1
        elif state == "pending":
            self.counters.retried += 1
        else:
            self.counters.given_up += 1
            _log.error(
                "an alert could not be delivered and is given up",
                delivery=str(claimed.id),
                alert=str(claimed.alert_id),
                channel="" if channel is None else channel.name,
                tries=claimed.tried + 1,
                reason=outcome.error,
            )

    async def send(
        self, alert: AlertRow, channel: ChannelRow, target: Target, delivery: UUID, *, test: bool = False
    ) -> Outcome:
        """One message to a channel, now."""
        if channel.kind is ChannelKind.EMAIL:
            made = self._mail(alert, delivery, channel.recipients, test=test)
            return await self._mailer.send(made, channel.recipients)
        if channel.kind is ChannelKind.SLACK:
            return await self._webhooks.post(target.url, messages.slack(alert, test=test), str(delivery))
        body = messages.payload(alert, delivery, test=test)
        signed = messages.signature(target.secret, body, self._clock.now_ms() // 1000)
        return await self._webhooks.post(target.url, body, str(delivery), signed)

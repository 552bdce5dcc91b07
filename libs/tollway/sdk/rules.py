"""Budgets and limits.

A subject is named "organisation", "business_unit:NAME", "project:NAME", "key:PROJECT/NAME", "user:NAME" or, for limits
alone, "model:NAME"; ids do as well as names. Amounts of money are decimal strings of US dollars.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tollway.sdk.identity import present, segment
from tollway.sdk.paging import pages, typed
from tollway.sdk.threads import aiterable, awaitable
from tollway.sdk.transport import Transport


@dataclass(frozen=True, kw_only=True)
class Increase:
    """A temporary addition to a budget."""

    id: str = ""
    amount: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""
    created_by: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Budget:
    """A budget and its present state. `limit_now` is `limit` with increases in force and what was carried over.

    `window_start` and `window_end` are None for a budget that never begins anew.
    """

    id: str = ""
    subject: str = ""
    limit: str = ""
    period: str = ""
    timezone: str = ""
    fiscal_start: str = ""
    mode: str = ""
    carry_over: bool = False
    alerts: list[float] = field(default_factory=list)
    increases: list[Increase] = field(default_factory=list)
    window_start: datetime | None = None
    window_end: datetime | None = None
    limit_now: str = ""
    carried: str = ""
    used: str = ""
    remaining: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class Limit:
    """At most `amount` of `measure` (requests, tokens, concurrent) in each `window` (minute, hour, day; none for
    concurrent), of models that match the glob `model`. `on_outage` is local or closed.
    """

    measure: str
    amount: int
    window: str = ""
    model: str = ""
    on_outage: str = ""
    id: str = ""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """All limits of one subject."""

    subject: str = ""
    limits: list[Limit] = field(default_factory=list)
    updated_at: datetime | None = None
    etag: str = ""


class Budgets:
    """`/api/v1/budgets`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def set(
        self,
        subject: str,
        *,
        limit: str | None = None,
        period: str | None = None,
        timezone: str | None = None,
        fiscal_start: str | None = None,
        mode: str | None = None,
        carry_over: bool | None = None,
        alerts: Sequence[float] | None = None,
        etag: str = "",
    ) -> Budget:
        """Makes the budget of a subject, or changes what is given of it; with `etag`, only if nobody changed it since.

        A new budget needs `limit`; it is monthly, hard and in UTC unless something else is said.
        """
        body = present(
            limit=limit,
            period=period,
            timezone=timezone,
            fiscal_start=fiscal_start,
            mode=mode,
            carry_over=carry_over,
            alerts=alerts,
            etag=etag or None,
        )
        return typed(Budget, self._transport.call("PATCH", _budget(subject), body=body))

    def get(self, subject: str) -> Budget:
        """The budget of a subject with its present state."""
        return typed(Budget, self._transport.call("GET", _budget(subject)))

    def list(self, *, scope: str = "", limit: int | None = None) -> Iterator[Budget]:
        """All budgets, or those of one scope, for example "project"."""
        return pages(self._transport, "/api/v1/budgets", "budgets", Budget, {"scope": scope}, limit)

    def remove(self, subject: str, *, etag: str = "") -> None:
        """Removes the budget of a subject with its increases."""
        self._transport.call("DELETE", _budget(subject), query={"etag": etag})

    def increase(
        self,
        subject: str,
        amount: str,
        ends_at: datetime,
        *,
        starts_at: datetime | None = None,
        reason: str = "",
        etag: str = "",
    ) -> Budget:
        """Adds to the limit until `ends_at`, from now or from `starts_at` on."""
        body = present(amount=amount, starts_at=starts_at, ends_at=ends_at, reason=reason or None, etag=etag or None)
        return typed(Budget, self._transport.call("POST", f"{_budget(subject)}/increases", body=body))

    def revoke_increase(self, subject: str, increase: str, *, etag: str = "") -> Budget:
        """Ends an increase, by its id, before its time."""
        path = f"{_budget(subject)}/increases/{segment(increase)}"
        return typed(Budget, self._transport.call("DELETE", path, query={"etag": etag}))


class LimitSets:
    """`/api/v1/limits`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def set(self, subject: str, limits: Sequence[Limit], *, etag: str = "") -> Limits:
        """Replaces all limits of a subject; none are none. With `etag`, only if nobody changed them since."""
        sent = [
            present(
                measure=limit.measure,
                window=limit.window,
                amount=str(limit.amount),
                model=limit.model,
                on_outage=limit.on_outage,
            )
            for limit in limits
        ]
        return typed(
            Limits, self._transport.call("PUT", _limits(subject), body=present(limits=sent, etag=etag or None))
        )

    def get(self, subject: str) -> Limits:
        """The limits of a subject."""
        return typed(Limits, self._transport.call("GET", _limits(subject)))

    def list(self, *, scope: str = "", limit: int | None = None) -> Iterator[Limits]:
        """All subjects that have limits, or those of one scope."""
        return pages(self._transport, "/api/v1/limits", "limits", Limits, {"scope": scope}, limit)


class AsyncBudgets:
    """`Budgets` for asyncio."""

    def __init__(self, sync: Budgets) -> None:
        self.set = awaitable(sync.set)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.remove = awaitable(sync.remove)
        self.increase = awaitable(sync.increase)
        self.revoke_increase = awaitable(sync.revoke_increase)


class AsyncLimitSets:
    """`LimitSets` for asyncio."""

    def __init__(self, sync: LimitSets) -> None:
        self.set = awaitable(sync.set)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)


def _budget(subject: str) -> str:
    return f"/api/v1/budgets/{segment(subject)}"


def _limits(subject: str) -> str:
    return f"/api/v1/limits/{segment(subject)}"

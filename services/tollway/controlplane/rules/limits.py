"""Use cases of limits: the limits of a subject are one set, replaced as a whole.

A limit whose measure, window and model stay keeps its id, and with it what was counted in the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.resources import check_etag, from_ms, page_limit, page_start, page_token
from tollway.controlplane.rules import checks, postgres
from tollway.controlplane.rules.checks import CheckedLimit
from tollway.controlplane.rules.model import (
    WINDOWS,
    GetLimitsRequest,
    Limits,
    ListLimitsRequest,
    ListLimitsResponse,
    Scope,
    SetLimitsRequest,
    Subject,
)
from tollway.controlplane.rules.rows import LimitRow, LimitSetRow
from tollway.controlplane.rules.subjects import publish, resolve


async def set_limits(call: Call, request: SetLimitsRequest) -> Limits:
    """Replaces the limits of a subject."""
    subject = await resolve(call.db, request.subject, change=True)
    wanted = checks.limits(request.limits, subject.scope)
    return await _replace(call, subject, await _held(call, subject, request.etag), wanted)


async def clear_by_id(call: Call, set_id: UUID, reference: str) -> None:
    """Takes all limits from a set whose subject, `reference`, may be gone already."""
    row = await postgres.limit_set_by_id(call.db, set_id)
    await _replace(call, Subject(row.scope, row.subject, reference.partition(":")[2]), row, [])


async def _replace(call: Call, subject: Subject, row: LimitSetRow, wanted: Sequence[CheckedLimit]) -> Limits:
    """Writes the limits of a set that is locked, audits and publishes them."""
    present = (await postgres.limits(call.db, [row.id]))[row.id]
    if _same(wanted, present):
        return row.view(present)
    keys = {limit.key for limit in wanted}
    await postgres.drop_limits(
        call.db, [old.rule_id for old in present if (old.measure, old.window_seconds, old.model) not in keys]
    )
    for limit in wanted:
        await postgres.put_limit(
            call.db,
            row.id,
            measure=limit.measure,
            window_seconds=WINDOWS[limit.window],
            model=limit.model,
            amount=limit.amount,
            on_outage=limit.on_outage,
        )
    await postgres.touch_limit_set(call.db, row.id, from_ms(call.clock.now_ms()))
    view = await _view(call, subject)
    call.audit(f"limits:{subject.reference}", _audit_form(row.view(present)), _audit_form(view))
    await publish(call, subject)
    return view


async def _held(call: Call, subject: Subject, etag: str) -> LimitSetRow:
    """The set of a subject, locked; made when there is none."""
    row = await postgres.limit_set(call.db, subject, "_for_update")
    if row is None and etag:
        raise ApiError(ApiCode.ETAG_MISMATCH, f"{subject.reference!r} never had limits", field="etag")
    if row is None:
        await postgres.insert_limit_set(call.db, subject, from_ms(call.clock.now_ms()))
        row = await postgres.limit_set(call.db, subject, "_for_update")
        assert row is not None, "sets are never removed"
    check_etag(etag, row.id, row.revision, f"the set of limits of {subject.reference!r}")
    return row


def _same(wanted: Sequence[CheckedLimit], present: Sequence[LimitRow]) -> bool:
    asked = {(*limit.key, limit.amount, limit.on_outage) for limit in wanted}
    return asked == {(r.measure.value, r.window_seconds, r.model, r.amount, r.on_outage.value) for r in present}


def _audit_form(view: Limits) -> dict[str, object] | None:
    shown: list[object] = msgspec.to_builtins(view.limits)
    return {"limits": shown} if shown else None


async def _view(call: Call, subject: Subject) -> Limits:
    row = await postgres.limit_set(call.db, subject)
    if row is None:
        return Limits(subject=subject.reference, limits=[])
    return row.view((await postgres.limits(call.db, [row.id]))[row.id])


async def get_limits(call: Call, request: GetLimitsRequest) -> Limits:
    """The limits of a subject; none is an empty set."""
    return await _view(call, await resolve(call.db, request.subject))


async def list_limits(call: Call, request: ListLimitsRequest) -> ListLimitsResponse:
    """The subjects that have limits, of one scope or all, a page at a time."""
    scopes = (Scope(request.scope),) if request.scope else tuple(Scope)
    size = page_limit(request.page_size)
    after = page_start("limits", request.page_token)
    rows = await postgres.limit_sets(call.db, scopes, after, size + 1, reach=call.reach)
    following = page_token("limits", rows[size - 1].listed) if len(rows) > size else ""
    found = await postgres.limits(call.db, [row.id for row in rows[:size]])
    return ListLimitsResponse(limits=[row.view(found[row.id]) for row in rows[:size]], next_page_token=following)

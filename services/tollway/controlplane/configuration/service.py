"""Applies a document: plan, execution and what the set remembers, all in the transaction of the call.

With `verify`, the plan is made once more before, to learn which provider keys it brings; the providers are asked about
those, and then the transaction begins.

Objects change through the use cases of their own features, which audit and publish. The order is of kinds, not of the
document: what frees names goes first, what is referred to before what refers to it, containers last.
"""

from __future__ import annotations

from tollway.controlplane.call import ApiCode, ApiError, Call, Outside
from tollway.controlplane.catalog import models
from tollway.controlplane.configuration import document, postgres, state, verification
from tollway.controlplane.configuration.execution import Executor
from tollway.controlplane.configuration.model import DEFAULT_SET, ApplyRequest, ApplyResponse
from tollway.controlplane.configuration.plan import (
    Action,
    Desired,
    Kind,
    Step,
    applied_digest,
    make_plan,
)
from tollway.controlplane.configuration.state import State
from tollway.controlplane.credentials.checking import Checked
from tollway.controlplane.credentials.vault import Peppers, ensure_peppers

_SHOWN_CONFLICTS = 10
_FIRST = (Kind.KEY, Kind.MODEL)
"""Kinds that are archived before anything is made, because they free names."""


async def apply(call: Call, request: ApplyRequest) -> ApplyResponse:
    """Brings the platform to the state of the document, or says what that would take."""
    managing_set = request.set or DEFAULT_SET
    await postgres.lock(call.db)
    peppers = await call.vault.peppers(call.db)
    if peppers is None:
        call.catalog_change()
        peppers = await ensure_peppers(call.db, call.vault)
    before, desired, steps = await _plan(call, request, peppers)
    changes = [step.shown() for step in steps]
    found: dict[str, Checked] = call.prepared or {}
    checks = verification.report(call, request.configuration, steps, found) if request.verify else []
    if request.dry_run:
        return ApplyResponse(changes=changes, checks=checks)
    _refuse_conflicts(steps)
    executor = Executor(call, request.configuration, before)
    await _execute(executor, steps)
    await models.check_names(call)
    await _check_fallbacks(call, request, steps)
    await _remember(call, request, managing_set, desired, before, steps)
    await verification.keep(call, found)
    return ApplyResponse(changes=changes, generated_keys=executor.generated, applied=True, checks=checks)


async def prepare(call: Call, request: ApplyRequest) -> Outside | None:
    """With `verify`: what to ask about the provider keys that the document brings. It refuses what `apply` refuses."""
    peppers = await call.vault.peppers(call.db) if request.verify else None
    if peppers is None:
        return None
    _, _, steps = await _plan(call, request, peppers)
    if not request.dry_run:
        _refuse_conflicts(steps)
    return verification.asking(call, verification.questions(request.configuration, steps))


async def _plan(call: Call, request: ApplyRequest, peppers: Peppers) -> tuple[State, list[Desired], list[Step]]:
    """What there is, what there shall be, and the way from one to the other. Only reads."""
    managing_set = request.set or DEFAULT_SET
    before = await state.load(call, managing_set, request.configuration, peppers)
    document.check(request.configuration, before.known)
    desired = list(state.desired(request.configuration, before))
    steps = make_plan(desired, before.present, managing_set, prune=request.prune, force=request.force)
    _refuse_kind_change(steps)
    return before, desired, steps


async def _check_fallbacks(call: Call, request: ApplyRequest, steps: list[Step]) -> None:
    """Refuses models that fall back to what is gone now, be they of the document or not."""
    document.check_fallbacks(request.configuration, await models.fallback_chains(call))
    for step in steps:
        if step.kind is Kind.MODEL and step.action is Action.ARCHIVE:
            await models.check_unused(call, step.name)


def _refuse_kind_change(steps: list[Step]) -> None:
    for step in steps:
        if step.kind is Kind.PROVIDER and "kind" in step.fields:
            path = f"{step.path}.kind"
            raise ApiError(
                ApiCode.FAILED_PRECONDITION,
                f"{path}: the kind of the provider {step.name!r} cannot change; give the new one another name",
                field=path,
            )


def _refuse_conflicts(steps: list[Step]) -> None:
    conflicts = [step for step in steps if step.action is Action.CONFLICT]
    if not conflicts:
        return
    lines = [f"{step.kind.value} {step.name}: {'; '.join(step.details)}" for step in conflicts[:_SHOWN_CONFLICTS]]
    if len(conflicts) > _SHOWN_CONFLICTS:
        lines.append(f"and {len(conflicts) - _SHOWN_CONFLICTS} more")
    raise ApiError(
        ApiCode.FAILED_PRECONDITION,
        "what was edited elsewhere is overwritten only with force: " + " | ".join(lines),
    )


async def _execute(executor: Executor, steps: list[Step]) -> None:
    archives = [step for step in steps if step.action is Action.ARCHIVE]
    for kind in _FIRST:
        for step in archives:
            if step.kind is kind:
                await executor.archive(step)
    for step in steps:
        if step.action is Action.CREATE:
            await executor.create(step)
        elif step.action is Action.UPDATE:
            await executor.update(step)
    for step in reversed(archives):
        if step.kind not in _FIRST:
            await executor.archive(step)


async def _remember(
    call: Call,
    request: ApplyRequest,
    managing_set: str,
    desired: list[Desired],
    before: State,
    steps: list[Step],
) -> None:
    """Notes on each object of the document what the set applied; what was archived leaves the set."""
    for step in steps:
        old = before.present.get((step.kind, step.name))
        if old is not None and (step.action is Action.ARCHIVE or old.gone):
            await postgres.release(call.db, step.kind, [old.identity])
    after = await state.load(call, managing_set, request.configuration, before.peppers)
    for kind in Kind:
        digests = {}
        for item in desired:
            if item.kind is kind:
                # A set of limits that was emptied and belongs to nobody is not there any more.
                present = after.present.get((kind, item.name))
                if present is not None:
                    digests[present.identity] = applied_digest({name: present.fields[name] for name in item.fields})
        if digests:
            await postgres.stamp(call.db, kind, managing_set, digests)

"""Use cases of policies: a new version on every change, and trials on past requests.

While none was set, one platform administrator decides: a fresh installation approves nothing by itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.resources import from_ms, not_found, snapshot
from tollway.controlplane.rules.checks import invalid
from tollway.controlplane.workflows import names, postgres
from tollway.controlplane.workflows.cel import engine
from tollway.controlplane.workflows.conditions import ConditionInvalid
from tollway.controlplane.workflows.model import (
    ApprovalStep,
    ApprovalTiming,
    Approvers,
    DryRunPolicyRequest,
    DryRunPolicyResponse,
    GetPolicyRequest,
    ListPoliciesRequest,
    ListPoliciesResponse,
    Policy,
    PolicyRule,
    PolicyTrial,
    SetPolicyRequest,
    approvers_of,
    steps_of,
)
from tollway.controlplane.workflows.people import ADMINISTRATOR, DECIDING, identity_of
from tollway.controlplane.workflows.rows import PolicyDocument, PolicyRow
from tollway.core.approvals import model as core
from tollway.core.approvals.policy import judge

DEFAULT_STEPS = (core.Step(approvers=core.Approvers(role=ADMINISTRATOR)),)
DEFAULT = PolicyDocument(rules=(), steps=DEFAULT_STEPS, timing=core.Timing())
TRIALS = 100
TRIAL_SECONDS = 5.0
MIN_SECONDS = 60


async def present(call: Call, kind: core.Kind) -> PolicyRow:
    """The policy of a kind; version 0 while none was set."""
    return await postgres.policy(call.db, kind) or PolicyRow(kind=kind, version=0, document=DEFAULT)


async def list_policies(call: Call, _request: ListPoliciesRequest) -> ListPoliciesResponse:
    """The present policy of every kind."""
    return ListPoliciesResponse(policies=[(await present(call, kind)).view() for kind in core.Kind])


async def get_policy(call: Call, request: GetPolicyRequest) -> Policy:
    """A version of the policy of a kind, or the present one."""
    kind = core.Kind(request.kind)
    if not request.version:
        return (await present(call, kind)).view()
    row = await postgres.policy(call.db, kind, request.version)
    if row is None:
        raise not_found(f"version of the policy for {kind}", str(request.version), "version")
    return row.view()


async def set_policy(call: Call, request: SetPolicyRequest) -> Policy:
    """A new version; nothing is written when it says what the present one says."""
    kind = core.Kind(request.kind)
    await postgres.lock_policy(call.db, kind)
    before = await present(call, kind)
    if request.version is not None and request.version != before.version:
        message = f"the policy for {kind} is at version {before.version} by now; read it again"
        raise ApiError(ApiCode.ETAG_MISMATCH, message, field="version")
    document = document_of(request.rules, request.steps, request.timing)
    await names.refuse_strangers(call, _named(document))
    if before.version and document == before.document:
        return before.view()
    by, now = identity_of(call.principal), from_ms(call.clock.now_ms())
    await postgres.insert_policy(call.db, kind, before.version + 1, document, request.note, by, now)
    after = (await present(call, kind)).view()
    call.audit(f"policy:{kind}", snapshot(before.view()) if before.version else None, snapshot(after))
    return after


def _named(document: PolicyDocument) -> Iterator[tuple[str, str]]:
    """Whom a policy names, each with the field."""
    steps = [(f"steps[{index}]", step) for index, step in enumerate(document.steps)]
    for at, rule in enumerate(document.rules):
        steps += [(f"rules[{at}].steps[{index}]", step) for index, step in enumerate(rule.steps)]
    for where, step in steps:
        yield from ((f"{where}.approvers.people", name) for name in step.approvers.people)
    yield from (("timing.escalate_to.people", name) for name in document.timing.escalate_to.people)


def document_of(rules: list[PolicyRule], steps: list[ApprovalStep], timing: ApprovalTiming) -> PolicyDocument:
    """What a version of a policy would say. Raises ApiError with the field for what is no policy."""
    return PolicyDocument(rules=_rules(rules), steps=_steps(steps, "steps") or DEFAULT_STEPS, timing=_timing(timing))


def _rules(given: list[PolicyRule]) -> tuple[core.Rule, ...]:
    used = [rule.name for rule in given]
    for index, rule in enumerate(given):
        where = f"rules[{index}]"
        if rule.name in used[:index]:
            raise invalid(f"{where}.name", f"{rule.name!r} is the name of a rule before it")
        if rule.effect == core.Effect.REJECT and not rule.reason:
            raise invalid(f"{where}.reason", "is required: whoever asks is told why")
        if rule.steps and rule.effect != core.Effect.REQUIRE:
            raise invalid(f"{where}.steps", "are for the effect require")
        if rule.when:
            try:
                engine().check(rule.when)
            except ConditionInvalid as problem:
                raise invalid(f"{where}.when", f"is no condition: {problem}") from None
    return tuple(
        core.Rule(
            name=rule.name,
            when=rule.when.strip(),
            effect=core.Effect(rule.effect),
            reason=rule.reason,
            steps=_steps(rule.steps, f"rules[{index}].steps"),
        )
        for index, rule in enumerate(given)
    )


def _steps(given: list[ApprovalStep], field: str) -> tuple[core.Step, ...]:
    steps = steps_of(given)
    for index, step in enumerate(steps):
        where = f"{field}[{index}]"
        _check_approvers(given[index].approvers, f"{where}.approvers")
        if not step.approvers:
            raise invalid(f"{where}.approvers", "must name people or a role")
        if not step.approvers.role and step.quorum > len(step.approvers.people):
            raise invalid(f"{where}.quorum", f"is more than the {len(step.approvers.people)} people of the step")
    return steps


def _check_approvers(given: Approvers, field: str) -> None:
    if given.role and given.role not in DECIDING:
        raise invalid(f"{field}.role", f"must be one of {', '.join(DECIDING)}")
    if any(name != name.strip() or not name.isprintable() for name in given.people):
        raise invalid(f"{field}.people", f"must each be {names.EXAMPLE}")


def _timing(given: ApprovalTiming) -> core.Timing:
    default = core.Timing()
    for name in ("remind_seconds", "escalate_seconds", "expire_seconds"):
        if 0 < getattr(given, name) < MIN_SECONDS:
            raise invalid(f"timing.{name}", f"must be 0 or at least {MIN_SECONDS}")
    _check_approvers(given.escalate_to, "timing.escalate_to")
    to = approvers_of(given.escalate_to)
    if bool(given.escalate_seconds) != bool(to):
        raise invalid("timing.escalate_to", "and timing.escalate_seconds need each other")
    return core.Timing(
        remind_ms=given.remind_seconds * 1000,
        escalate_ms=given.escalate_seconds * 1000,
        escalate_to=to,
        expire_ms=given.expire_seconds * 1000 or default.expire_ms,
    )


async def dry_run(call: Call, request: DryRunPolicyRequest) -> DryRunPolicyResponse:
    """What a policy would have said to the latest requests of its kind, with what was known then."""
    kind = core.Kind(request.kind)
    steps = _steps(request.steps, "steps") or DEFAULT_STEPS
    policy = core.Policy(rules=_rules(request.rules), steps=steps)
    ends = call.clock.monotonic() + TRIAL_SECONDS
    trials, incomplete = [], False
    for row in await postgres.past(call.db, kind, request.limit or TRIALS):
        if call.clock.monotonic() > ends:
            incomplete = True
            break
        said = judge(policy, engine().over(row.facts))
        trials.append(
            PolicyTrial(
                approval=str(row.id),
                requester=row.requester,
                created_at=row.created_at,
                outcome_then=row.outcome.value,
                rule_then=row.rule,
                state=row.state.value,
                outcome=said.effect.value,
                rule=said.rule,
                problem=said.problem,
            )
        )
        await asyncio.sleep(0)  # other calls go on meanwhile
    outcomes = [trial.outcome for trial in trials]
    return DryRunPolicyResponse(
        trials=trials,
        approved=outcomes.count(core.Effect.APPROVE),
        required=outcomes.count(core.Effect.REQUIRE),
        rejected=outcomes.count(core.Effect.REJECT),
        changed=sum(trial.outcome != trial.outcome_then for trial in trials),
        incomplete=incomplete,
    )

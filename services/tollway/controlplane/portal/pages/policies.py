"""Policies of requests: a form of rules and steps, their text, earlier versions, and trials on past requests."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms, policyform
from tollway.controlplane.portal.pages.approvals import KINDS
from tollway.controlplane.portal.pages.conditions import EXAMPLES, VARIABLES
from tollway.controlplane.portal.policyform import PolicyForm
from tollway.controlplane.portal.visit import BESIDE, Visit
from tollway.wire.codec import ContractViolation
from tollway.wire.json_codec import loads, render

MAX_POLICY = 64_000
VERSIONS = 10
"""How many earlier versions a page lists."""
CHECKED = 50
"""On how many past requests a condition is tried while it is typed."""
PARTS = ("rules", "steps", "timing")


async def policies(visit: Visit) -> web.Response:
    """How requests of every kind are decided."""
    found = await visit.call("PolicyService/ListPolicies")
    return visit.page("policies.html", policies={policy.kind: policy for policy in found.policies}, kinds=KINDS)


async def policy(
    visit: Visit,
    problem: ApiError | None = None,
    trial: Any = None,
    form: PolicyForm | None = None,
    focus: str = "",
) -> web.Response:
    """The policy of one kind, as a form or as text, to be changed and tried; with its earlier versions."""
    kind = visit.named("kind")
    present = await visit.call("PolicyService/GetPolicy", {"kind": kind})
    number = forms.whole({"version": visit.asked("version")}, "version", low=1)
    shown = present
    if number is not None and number != present.version:
        shown = await visit.call("PolicyService/GetPolicy", {"kind": kind, "version": number})
    as_text = "policy" in visit.form or visit.asked("as") == "text"
    text = json.dumps({name: render(shown).get(name) for name in PARTS}, indent=2, ensure_ascii=False)
    return visit.page(
        "policy_text.html" if as_text else "policy.html",
        policy=present,
        shown=shown,
        kind=kind,
        kinds=KINDS,
        typed={"policy": text, "note": "", **visit.form},
        form=form or (policyform.typed(visit.form) if visit.form else policyform.shown(shown)),
        read=visit.form.get("version") or str(present.version),
        effects=policyform.EFFECTS,
        roles=policyform.APPROVER_ROLES,
        most=(policyform.MAX_RULES, policyform.MAX_STEPS),
        variables=VARIABLES,
        examples=EXAMPLES[kind],
        versions=await _versions(visit, kind, present),
        older=_before(visit, present) - VERSIONS,
        problem=problem if as_text else policyform.placed(problem),
        summary=policyform.summary(problem),
        trial=trial,
        focus=focus,
    )


def _before(visit: Visit, policy: Any) -> int:
    """The newest version of the list."""
    present: int = policy.version
    asked = visit.asked("before")
    return min(int(asked), present) if asked.isascii() and asked.isdigit() and len(asked) < 10 else present


async def _versions(visit: Visit, kind: str, present: Any) -> list[Any]:
    """Some versions, newest first."""
    newest = _before(visit, present)
    wanted = range(newest, max(newest - VERSIONS, 0), -1)
    found = await visit.several(*(("PolicyService/GetPolicy", {"kind": kind, "version": n}) for n in wanted))
    return [one for one in found if one is not None]


def _text(visit: Visit) -> dict[str, Any]:
    text = visit.form.get("policy", "")
    if len(text) > MAX_POLICY:
        raise forms.invalid("policy", f"must have at most {MAX_POLICY:,} characters")
    try:
        found = loads(text.encode())
    except ContractViolation as violation:
        said = violation.message.replace("the body", "the text", 1)
        raise forms.invalid("policy", f"cannot be read: {said}") from None
    if unknown := sorted(set(found) - set(PARTS)):
        raise forms.invalid("policy", f"has {unknown[0]!r}: it can have rules, steps and timing")
    return found


async def send(visit: Visit) -> web.Response:
    """Changes the form, tries a policy on past requests, or replaces the present one unless somebody else has."""
    kind, action = visit.named("kind"), visit.form.get("action", "save")
    as_text = "policy" in visit.form
    form = policyform.typed(visit.form)
    if not as_text and (focus := policyform.changed(form, action)) is not None:
        return await policy(visit, form=form, focus=focus)
    try:
        given = _text(visit) if as_text else policyform.fields(form)
        if action == "try":
            asked = {name: given[name] for name in ("rules", "steps") if name in given} | {"kind": kind}
            trial = await visit.call("PolicyService/DryRunPolicy", asked)
            return await policy(visit, trial=trial, form=form)
        note, version = visit.form.get("note", "").strip(), forms.whole(visit.form, "version")
        fields = {"kind": kind, **given, "note": note, "version": version}
        await visit.call("PolicyService/SetPolicy", fields, reason=note)
    except ApiError as error:
        if error.code in BESIDE:
            return await policy(visit, error, form=form)
        raise
    return visit.go(f"/policies/{kind}{'?as=text' if as_text else ''}", done="saved")


async def condition(visit: Visit) -> web.Response:
    """Whether a text is a condition, and for how many past requests it holds; asked for while it is typed."""
    kind = visit.named("kind")
    when = next((value.strip() for name, value in visit.request.query.items() if name.endswith("when")), "")
    problem, trial = None, None
    if when:
        rule = {"name": "typed", "when": when, "effect": "require"}
        try:
            trial = await visit.call("PolicyService/DryRunPolicy", {"kind": kind, "rules": [rule], "limit": CHECKED})
        except ApiError as error:
            if error.code not in BESIDE:
                raise
            problem = error
    trials = list(trial.trials) if trial is not None else []
    failed = [one.problem for one in trials if one.problem]
    return visit.page(
        "condition.html",
        when=when,
        # What is wrong with the text is an answer here, and no failure: htmx and the console stay quiet.
        wrong=problem.message.removeprefix(f"{problem.field} ") if problem is not None else "",
        holds=sum(one.rule == "typed" and not one.problem for one in trials),
        tried=len(trials),
        failed=failed,
    )

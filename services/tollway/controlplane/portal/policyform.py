"""The form of a policy: rules in their order, steps and times as people type them, and the API's fields of it. Pure.

Fields of the form are named as the API names what is wrong ("rules[0].when"), so that a problem finds its place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tollway.controlplane.call import ApiError
from tollway.controlplane.portal import forms

MAX_RULES, MAX_STEPS = 50, 5
EFFECTS = (
    ("require", "let people decide"),
    ("approve", "approve at once"),
    ("reject", "reject with the reason"),
)
APPROVER_ROLES = ("unit_manager", "project_owner", "platform_admin", "developer")
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1))
_ACTION = re.compile(r"(rule|step)-(add|remove|up|down)(?::(\d{1,3}))?(?::(\d{1,3}))?")
_ITEM = re.compile(r"(^rules|\.people)\[\d{1,6}\]$")
_PLACE = re.compile(r"(rule|step)s\[(\d{1,3})\]")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
TIMES = ("remind_seconds", "escalate_seconds", "expire_seconds")


@dataclass
class Step:
    """So many of these people, or of whoever has the role."""

    people: str = ""
    role: str = ""
    quorum: str = "1"


@dataclass
class Rule:
    """When the condition holds, this happens."""

    name: str = ""
    when: str = ""
    effect: str = "require"
    reason: str = ""
    steps: list[Step] = field(default_factory=list)


@dataclass
class PolicyForm:
    """Everything that was typed, right or wrong. Times are durations such as "3d"."""

    rules: list[Rule]
    steps: list[Step]
    times: dict[str, str]
    escalate_to: Step


def duration(seconds: int) -> str:
    """Seconds as people write them: "36h", "3d"; 0 is empty."""
    unit, size = next((unit, size) for unit, size in _UNITS if seconds % size == 0)
    return f"{seconds // size}{unit}" if seconds else ""


def seconds(text: str, name: str) -> int:
    """The seconds of a duration; empty is 0. Raises ApiError."""
    found = re.fullmatch(r"([0-9]{1,9})\s*([smhd])", text.strip().lower())
    if not text.strip():
        return 0
    if found is None:
        raise forms.invalid(name, "must be a duration such as 90m, 36h or 14d; empty: never")
    return int(found[1]) * dict(_UNITS)[found[2]]


def shown(policy: Any) -> PolicyForm:
    """The form of a policy as the API has it."""
    return PolicyForm(
        rules=[Rule(one.name, one.when, one.effect, one.reason, _steps_of(one.steps)) for one in policy.rules],
        steps=_steps_of(policy.steps),
        times={name: duration(getattr(policy.timing, name)) for name in TIMES},
        escalate_to=Step(", ".join(policy.timing.escalate_to.people), policy.timing.escalate_to.role),
    )


def _steps_of(steps: Any) -> list[Step]:
    return [Step(", ".join(one.approvers.people), one.approvers.role, str(one.quorum or 1)) for one in steps]


def placed(problem: ApiError | None) -> ApiError | None:
    """What is wrong, at the field of the form that holds it (one holds all people), and without the field's name."""
    if problem is None or not problem.field:
        return problem
    return ApiError(problem.code, _said(problem), field=_ITEM.sub(r"\1", problem.field))


def summary(problem: ApiError | None) -> str:
    """What is wrong, for the top of the form, with the place as people count: "Rule 2, step 1: must name people"."""
    if problem is None:
        return ""
    found = _PLACE.findall(problem.field or "")
    place = ", ".join(f"{what} {int(number) + 1}" for what, number in found)
    text = f"{place}: {_said(problem)}" if place else problem.message
    return text[:1].upper() + text[1:]


def _said(problem: ApiError) -> str:
    return problem.message.removeprefix(f"{problem.field} ")


def typed(form: Mapping[str, str]) -> PolicyForm:
    """The form as it was sent."""
    rules = []
    for number in _numbers(form, r"rules\[(\d{1,3})\]\.name", MAX_RULES):
        at = f"rules[{number}]"
        name, when, effect, reason = (form.get(f"{at}.{part}", "") for part in ("name", "when", "effect", "reason"))
        rules.append(Rule(name, when, effect, reason, _steps_typed(form, f"{at}.steps")))
    escalate_to = Step(form.get("timing.escalate_to.people", ""), form.get("timing.escalate_to.role", ""))
    times = {name: form.get(f"timing.{name}", "") for name in TIMES}
    return PolicyForm(rules, _steps_typed(form, "steps"), times, escalate_to)


def _steps_typed(form: Mapping[str, str], at: str) -> list[Step]:
    return [
        Step(*(form.get(f"{at}[{number}].{name}", "") for name in ("approvers.people", "approvers.role", "quorum")))
        for number in _numbers(form, rf"{re.escape(at)}\[(\d{{1,3}})\]\.quorum", MAX_STEPS)
    ]


def _numbers(form: Mapping[str, str], pattern: str, most: int) -> list[int]:
    return sorted({int(found[1]) for name in form if (found := re.fullmatch(pattern, name))})[:most]


def changed(form: PolicyForm, action: str) -> str | None:
    """Adds, removes or moves a rule or a step, as a button says; the id of the field to go on with.

    None: the button means something else. Buttons are `rule-add`, `rule-up:2`, and for steps `step-add` and
    `step-remove:0` of the policy, `step-add:2` and `step-remove:2:0` of a rule (`step-remove::0` is of the policy).
    """
    found = _ACTION.fullmatch(action.replace("::", ":999:"))
    if found is None:
        return None
    what, how, first, second = found[1], found[2], found[3], found[4]
    if what == "rule":
        return _rules_changed(form.rules, how, int(first or 0))
    number = int(first) if first is not None and int(first) < len(form.rules) else None
    steps = form.steps if number is None else form.rules[number].steps
    at = "steps" if number is None else f"rules[{number}].steps"
    if how == "add" and len(steps) < MAX_STEPS:
        steps.append(Step())
    elif how == "remove" and second is not None and int(second) < len(steps):
        del steps[int(second)]
    return f"{at}[{len(steps) - 1}].approvers.people" if steps else ""


def _rules_changed(rules: list[Rule], how: str, number: int) -> str:
    if how == "add":
        if len(rules) < MAX_RULES:
            rules.append(Rule())
        number = len(rules) - 1
    elif number < len(rules):
        rule = rules.pop(number)
        if how != "remove":
            number = max(number - 1, 0) if how == "up" else number + 1
            rules.insert(number, rule)
    number = min(number, len(rules) - 1)
    return f"rules[{number}].name" if rules else ""


def fields(form: PolicyForm) -> dict[str, Any]:
    """What the API takes: rules, steps and timing. Raises ApiError for what is no number, with its field."""
    rules = []
    for number, rule in enumerate(form.rules):
        if _NAME.fullmatch(rule.name.strip()) is None:
            message = "must be up to 63 lower-case letters, digits and hyphens, for example small-amounts"
            raise forms.invalid(f"rules[{number}].name", message)
        one: dict[str, Any] = {"name": rule.name.strip(), "when": rule.when.strip(), "effect": rule.effect}
        if rule.reason.strip():
            one["reason"] = rule.reason.strip()
        if rule.effect == "require":
            one["steps"] = _fields_of(rule.steps, f"rules[{number}].steps")
        rules.append({name: value for name, value in one.items() if value or name == "name"})
    timing: dict[str, Any] = {name: seconds(form.times[name], f"timing.{name}") for name in TIMES}
    if to := _approvers(form.escalate_to):
        timing["escalate_to"] = to
    known = {"rules": rules, "steps": _fields_of(form.steps, "steps")}
    return known | {"timing": {name: value for name, value in timing.items() if value}}


def _fields_of(steps: list[Step], at: str) -> list[dict[str, Any]]:
    return [
        {"approvers": _approvers(step), "quorum": _quorum(step.quorum, f"{at}[{number}].quorum")}
        for number, step in enumerate(steps)
    ]


def _quorum(text: str, name: str) -> int:
    if re.fullmatch(r"\s*([1-9]|1[0-9]|20)\s*", text) is None:
        raise forms.invalid(name, "must be a whole number from 1 to 20")
    return int(text)


def _approvers(step: Step) -> dict[str, Any]:
    people = forms.listed(step.people)
    return ({"people": people} if people else {}) | ({"role": step.role} if step.role else {})

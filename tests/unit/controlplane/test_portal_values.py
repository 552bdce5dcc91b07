"""What the portal computes without asking anybody: the form of policies, charts, percentages and times."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.controlplane.access import permissions
from tollway.controlplane.access.permissions import Role
from tollway.controlplane.call import ApiError, Principal
from tollway.controlplane.portal import charts, places, policyform
from tollway.controlplane.portal.pages.snippets import kind_of, snippets
from tollway.controlplane.portal.places import Held, Standing
from tollway.controlplane.portal.policyform import PolicyForm, Rule, Step
from tollway.controlplane.portal.rendering import money, percent, share

NAMES = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
STEPS = st.lists(
    st.builds(Step, people=NAMES, role=st.sampled_from(["", "auditor"]), quorum=st.integers(1, 20).map(str)), max_size=3
)
RULES = st.lists(st.builds(Rule, NAMES, NAMES, st.sampled_from(["approve", "require"]), NAMES, STEPS), max_size=5)


def sent(form: PolicyForm) -> dict[str, str]:
    """What a browser sends of the form."""
    found: dict[str, str] = {f"timing.{name}": value for name, value in form.times.items()}
    found |= {"timing.escalate_to.people": form.escalate_to.people, "timing.escalate_to.role": form.escalate_to.role}

    def steps(at: str, given: list[Step]) -> None:
        for number, step in enumerate(given):
            name = f"{at}[{number}]"
            found[f"{name}.approvers.people"], found[f"{name}.approvers.role"] = step.people, step.role
            found[f"{name}.quorum"] = step.quorum

    for number, rule in enumerate(form.rules):
        at = f"rules[{number}]"
        found |= {f"{at}.name": rule.name, f"{at}.when": rule.when, f"{at}.effect": rule.effect}
        found[f"{at}.reason"] = rule.reason
        steps(f"{at}.steps", rule.steps)
    steps("steps", form.steps)
    return found


def form_of(rules: list[Rule], steps: list[Step] | None = None, **times: str) -> PolicyForm:
    """A form with some times."""
    known = dict.fromkeys(policyform.TIMES, "") | times
    return PolicyForm(rules, steps or [], known, Step(quorum="1"))


@given(rules=RULES, steps=STEPS)
@settings(max_examples=60, deadline=None)
def test_a_form_is_read_as_it_was_shown(rules: list[Rule], steps: list[Step]) -> None:
    form = form_of(rules, steps, expire_seconds="14d")
    assert policyform.typed(sent(form)) == form
    fields: Any = policyform.fields(form)
    assert [rule["name"] for rule in fields["rules"]] == [rule.name for rule in rules]
    assert fields["timing"] == {"expire_seconds": 14 * 86_400}
    for shown, rule in zip(fields["rules"], rules, strict=True):
        assert len(shown.get("steps", [])) == (len(rule.steps) if rule.effect == "require" else 0)


@pytest.mark.parametrize(
    ("action", "names", "focus"),
    [
        ("rule-add", ["a", "b", "c", ""], "rules[3].name"),
        ("rule-up:2", ["a", "c", "b"], "rules[1].name"),
        ("rule-up:0", ["a", "b", "c"], "rules[0].name"),
        ("rule-down:0", ["b", "a", "c"], "rules[1].name"),
        ("rule-down:2", ["a", "b", "c"], "rules[2].name"),
        ("rule-remove:2", ["a", "b"], "rules[1].name"),
        ("rule-remove:9", ["a", "b", "c"], "rules[2].name"),
        ("save", ["a", "b", "c"], None),
        ("rule-up:x", ["a", "b", "c"], None),
    ],
)
def test_buttons_move_rules(action: str, names: list[str], focus: str | None) -> None:
    form = form_of([Rule(name) for name in "abc"])
    assert policyform.changed(form, action) == focus
    assert [rule.name for rule in form.rules] == names


def test_buttons_add_and_remove_steps() -> None:
    form = form_of([Rule("a"), Rule("b")], [Step("x"), Step("y")])
    assert policyform.changed(form, "step-add:1") == "rules[1].steps[0].approvers.people"
    assert [len(rule.steps) for rule in form.rules] == [0, 1]
    policyform.changed(form, "step-remove:1:0")
    policyform.changed(form, "step-remove::0")
    assert ([len(rule.steps) for rule in form.rules], [one.people for one in form.steps]) == ([0, 0], ["y"])
    for _ in range(10):
        policyform.changed(form, "step-add")
    assert len(form.steps) == policyform.MAX_STEPS


@given(seconds=st.integers(0, 10**8))
def test_durations_are_read_as_they_are_shown(seconds: int) -> None:
    assert policyform.seconds(policyform.duration(seconds), "x") == seconds


@pytest.mark.parametrize("text", ["3", "d", "3 weeks", "-1d", "1.5h"])
def test_what_is_no_duration_names_its_field(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        policyform.seconds(text, "timing.remind_seconds")
    assert caught.value.field == "timing.remind_seconds"


@pytest.mark.parametrize("text", ["", "0", "21", "two"])
def test_a_quorum_is_a_small_number(text: str) -> None:
    with pytest.raises(ApiError) as caught:
        policyform.fields(form_of([Rule("a", steps=[Step("x", "", text)])]))
    assert caught.value.field == "rules[0].steps[0].quorum"


def test_the_end_of_a_chart_is_expected() -> None:
    found = charts.bars("t", [("a", Decimal(1), "1"), ("b", Decimal(4), "4"), ("c", Decimal(2), "2")], expected=1)
    assert [(bar.expected, bar.height) for bar in found.bars] == [(False, 40.0), (False, 160.0), (True, 80.0)]
    assert charts.month(datetime(2028, 2, 29, 23, tzinfo=UTC)) == (date(2028, 2, 1), date(2028, 2, 29))
    assert charts.month(datetime(2026, 12, 1, tzinfo=UTC)) == (date(2026, 12, 1), date(2026, 12, 31))


def test_money_and_percentages_are_written_for_people() -> None:
    assert (money("1234567.891"), money("0.000012"), money(None)) == ("$1,234,567.89", "$0.000012", "$0.00")
    assert (percent("3", "2"), share("3", "2"), percent("1", "0"), percent("0", "5")) == (150, 100, 100, 0)


def test_the_roles_that_a_page_offers_are_those_that_are_taken() -> None:
    """The portal may not read the table of permissions; what it knows of it must be true."""
    assert {role: {level.value for level in levels} for role, levels in permissions.SCOPES.items()} == places.LEVELS
    givers = [role for role in Role if "roles.grant" in permissions.FULL[role]]
    assert len(givers) == 3
    for giver in givers:
        had = permissions.FULL[giver]
        for role, telling in places.TELLING.items():
            given = permissions.FULL[Role(role)] | permissions.OWNED[Role(role)]
            assert (given <= had) == (telling in had), (giver, role)


def test_a_role_in_a_unit_or_a_project_holds_nowhere_else() -> None:
    here, other = uuid4(), uuid4()
    manager = permissions.grant(Role.UNIT_MANAGER, here, None)
    owner = permissions.grant(Role.PROJECT_OWNER, None, other)
    person = Principal(name="p", permissions=frozenset(), kind="user", grants=(manager, owner))
    standing = Standing(person, [Held("unit_manager", unit="sales"), Held("project_owner", project="beta")])
    assert standing.may("projects.update", unit="sales", project="alpha")
    assert standing.may("projects.update", project="alpha")  # nobody said in which unit it lies
    assert not standing.may("projects.update", unit="default", project="alpha")
    assert standing.may("projects.update", unit="default", project="beta")
    assert not standing.may("projects.update", unit="default")
    assert not standing.may("projects.update")
    assert standing.may_set_budget("project:alpha", "sales")
    assert not standing.may_set_budget("project:beta", "default")
    assert standing.may_set_budget("key:beta/k")
    assert not standing.may_set_budget("business_unit:sales")
    assert standing.roles_to_give(unit="sales") == ["developer", "unit_manager", "service_account"]
    assert standing.roles_to_give(unit="default") == []


@pytest.mark.parametrize(
    ("kind", "names", "inputs", "outputs"),
    [
        ("chat", ["gpt-5"], ["text", "image"], ["text"]),
        ("chat", ["gpt-4o-audio"], ["text", "audio"], ["text", "audio"]),
        ("chat", ["unknown"], [], []),
        ("embeddings", ["e"], ["text"], ["embedding"]),
        ("images", ["i"], ["text"], ["image"]),
        ("speech", ["s"], ["text"], ["audio"]),
        ("transcription", ["w"], ["audio"], ["text"]),
        ("transcription", ["mine", "gpt-4o-transcribe"], ["text", "audio"], ["text"]),
        ("rerank", ["mine", "BAAI/bge-reranker-v2"], ["text"], ["text"]),
        ("moderation", ["omni-moderation-latest"], ["text"], ["text"]),
    ],
)
def test_a_model_s_code_is_for_what_it_does(kind: str, names: list[str], inputs: list[str], outputs: list[str]) -> None:
    assert kind_of(names, inputs, outputs) == kind
    for name in ("MODEL", "a/BASE", "x"):
        for snippet in snippets("https://gw", name, kind):
            assert name in snippet.code
            assert "https://gw/v1" in snippet.code or "anthropic" in snippet.name

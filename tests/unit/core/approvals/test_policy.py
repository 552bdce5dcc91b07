"""What policies say: the first rule that holds, and never approval where a condition cannot be evaluated."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tollway.core.approvals.model import Approvers, Effect, Policy, Rule, Step
from tollway.core.approvals.policy import ConditionFailed, judge

FALLBACK = (Step(approvers=Approvers(role="platform_admin")),)
OTHER = (Step(approvers=Approvers(people=("ana", "bob")), quorum=2),)
rules = st.lists(
    st.builds(
        Rule,
        name=st.sampled_from("abcdef"),
        when=st.sampled_from(["yes", "no", "broken", ""]),
        effect=st.sampled_from(Effect),
        steps=st.sampled_from([(), OTHER]),
    ),
    max_size=6,
).map(tuple)


def holds(expression: str) -> bool:
    """Conditions of this test say what they are."""
    if expression == "broken":
        raise ConditionFailed("it is broken")
    return expression == "yes"


@given(rules)
def test_the_first_rule_that_holds_decides_and_a_failure_never_approves(given_rules: tuple[Rule, ...]) -> None:
    outcome = judge(Policy(rules=given_rules, steps=FALLBACK), holds)
    first = next((rule for rule in given_rules if rule.when != "no"), None)
    if first is None or first.when == "broken":
        assert (outcome.effect, outcome.steps) == (Effect.REQUIRE, FALLBACK)
        assert bool(outcome.problem) == (first is not None)
    else:
        assert (outcome.effect, outcome.rule, outcome.problem) == (first.effect, first.name, "")
        if outcome.effect is Effect.REQUIRE:
            assert outcome.steps == (first.steps or FALLBACK)
        else:
            assert outcome.steps == ()

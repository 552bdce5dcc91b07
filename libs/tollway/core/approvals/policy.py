"""What a policy says to a request. Conditions are evaluated by whoever calls; one that fails never approves."""

from __future__ import annotations

from collections.abc import Callable

from tollway.core.approvals.model import Effect, Outcome, Policy

Condition = Callable[[str], bool]
"""Whether a condition holds for the request at hand. Raises ConditionFailed."""


class ConditionFailed(Exception):
    """A condition could not be evaluated: an error in it, a value that is missing, or too much work."""


def judge(policy: Policy, holds: Condition) -> Outcome:
    """The outcome of the first rule that holds.

    A condition that fails ends the search: what the rules after it would say was written for requests to which this
    one does not apply, and nobody knows whether it does. The policy's own approvers decide then.
    """
    for rule in policy.rules:
        try:
            matches = not rule.when or holds(rule.when)
        except ConditionFailed as failure:
            return Outcome(effect=Effect.REQUIRE, rule=rule.name, steps=policy.steps, problem=str(failure))
        if matches:
            steps = (rule.steps or policy.steps) if rule.effect is Effect.REQUIRE else ()
            return Outcome(effect=rule.effect, rule=rule.name, reason=rule.reason, steps=steps)
    return Outcome(effect=Effect.REQUIRE, steps=policy.steps)

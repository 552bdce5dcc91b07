"""The port to the language of conditions: what an implementation offers, and the variables that conditions may name.

An implementation is bounded in time and memory for any text that it accepts, and never does input or output.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Protocol

from tollway.controlplane.workflows.model import Facts
from tollway.core.approvals.policy import Condition

MAX_LENGTH = 1000
MAX_SECONDS = 0.5
"""After this, no further condition of a policy is evaluated for a request."""


class Sort(StrEnum):
    """The type of a variable."""

    TEXT = "text"
    TRUTH = "truth"
    NUMBER = "number"
    TEXTS = "list of texts"
    TIME = "time"


VARIABLES: Mapping[str, Sort] = {
    "kind": Sort.TEXT,
    "now": Sort.TIME,
    "requester.name": Sort.TEXT,
    "requester.email": Sort.TEXT,
    "requester.kind": Sort.TEXT,
    "requester.groups": Sort.TEXTS,
    "requester.roles": Sort.TEXTS,
    "requester.open": Sort.NUMBER,
    "subject": Sort.TEXT,
    "project.name": Sort.TEXT,
    "project.business_unit": Sort.TEXT,
    "project.models": Sort.TEXTS,
    "amount": Sort.NUMBER,
    "budgeted": Sort.TRUTH,
    "permanent": Sort.TRUTH,
    "days": Sort.NUMBER,
    "granted.month": Sort.NUMBER,
    "budget.exists": Sort.TRUTH,
    "budget.limit": Sort.NUMBER,
    "budget.used": Sort.NUMBER,
    "budget.remaining": Sort.NUMBER,
    "budget.share": Sort.NUMBER,
    "models": Sort.TEXTS,
    "role": Sort.TEXT,
    "measure": Sort.TEXT,
    "window": Sort.TEXT,
    "model": Sort.TEXT,
    "limit": Sort.NUMBER,
    "limit_now": Sort.NUMBER,
}
"""What every condition may name; docs/guide/approvals.md tells each. What does not apply is empty, 0 or false,
but for `amount` and the budget: a request for a project without one has none, and what is not there is no small
one. A condition that names what is absent cannot tell, and leaves the request to the approvers."""


class ConditionInvalid(Exception):
    """A text is no condition: the message says why, for whoever wrote it."""


class Conditions(Protocol):
    """An implementation of the language."""

    def check(self, text: str) -> None:
        """Raises ConditionInvalid for a text that could never be evaluated to true or false."""

    def over(self, facts: Facts) -> Condition:
        """What tells whether conditions hold for these facts; it raises ConditionFailed for one that cannot tell."""

"""Notices: what data planes tell the control plane of beside the ledger, as values.

Owns the kinds and what a notice says. Who counts and sends them is `tollway.dataplane.notices`; the control plane makes
alerts of them. A notice never carries a secret, nor anything of what clients wrote.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class NoticeKind(StrEnum):
    """What happened. A receiver leaves out a kind that it does not know."""

    BUDGET_REFUSED = "budget_refused"
    """A request was refused because it would not fit into a budget: `scope` and `subject` name the budget."""
    CREDENTIAL_FAILED = "credential_failed"
    """A provider refuses our credential."""
    SPOOL_PRESSURE = "spool_pressure"
    """A journal or spool has passed a part of its capacity; `code` is the part in percent, "50" or "90"."""
    BOUND_EXCEEDED = "bound_exceeded"
    """A request cost more than the bound that was proven for it; `amount_nano` is the excess."""
    COUNTERS_AWAY = "counters_away"
    """Counters of budgets and limits do not answer: budgets give what is held, limits do what they say for that."""
    COUNTERS_REBUILT = "counters_rebuilt"
    """Counters of budgets and limits were lost and built anew from the ledger."""
    UNATTRIBUTED = "unattributed"
    """Spend that no row of the ledger accounts for; `amount_nano` says how much."""


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened, `count` times since the last report.

    `scope` and `subject` say whom it concerns as budgets do ("project", "demo"); empty: the installation. `at_ms` is
    Unix milliseconds, `amount_nano` nano-dollars, added up over `count`. `detail` is a short text for people.
    """

    kind: str
    at_ms: int
    scope: str = ""
    subject: str = ""
    provider: str = ""
    credential: str = ""
    code: str = ""
    detail: str = ""
    count: int = 1
    amount_nano: int = 0

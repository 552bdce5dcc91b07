"""One call to a target, from the moment it is chosen until it is over: counted once, given back once.

Owns the bookkeeping of a call; `Router.begin` makes tickets. Every way out ends in `end`, which may be called again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum

from tollway.core.catalog import Credential
from tollway.core.errors import Code, Fault, TollwayError
from tollway.core.routing.latency import Latencies
from tollway.dataplane.config.holder import Candidate
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.routing.credentials import Credentials
from tollway.dataplane.routing.gate import Waiting
from tollway.dataplane.routing.targets import MOST_HELD_SECONDS, CredentialAt, TargetState

PENALTY_SECONDS = 5.0
"""A failed call counts as at least so slow: a target that fails quickly must not look quick."""
_OVERLOAD_STATUS = frozenset({503, 529})


class Ended(Enum):
    """How a call ended that was no error."""

    OK = "ok"
    """The target answered to the end."""
    LEFT = "left"
    """It was given up on this side, or never sent: nothing is learnt about the target."""


def targets_own(fault: TollwayError) -> bool:
    """Whether a failure counts against the target: nothing that another request would not meet as well.

    Not the client's mistakes, not refused credentials or rates, not what the operator misconfigured (404), not a time
    limit for the whole request, which a client may set.
    """
    if fault.fault is not Fault.UPSTREAM or fault.code in (Code.PROVIDER_AUTH_FAILED, Code.PROVIDER_RATE_LIMITED):
        return False
    status = fault.status if isinstance(fault, ProviderFault) else None
    if status is not None and status >= 300:
        return status >= 500 or status == 408
    return fault.retryable is True


def refuses_account(fault: TollwayError) -> bool:
    """Whether the provider refuses the credential, its account or its rate, so that another one may be served."""
    if fault.code in (Code.PROVIDER_AUTH_FAILED, Code.PROVIDER_RATE_LIMITED):
        return True
    return fault.code is Code.PROVIDER_ERROR and isinstance(fault, ProviderFault) and fault.status in (402, 429)


class Ticket:
    """One call under way. When `waiting` is not None there was no place: await it, then call `go`.

    `started` is when the call began to be on its way to the target.
    """

    __slots__ = (
        "_at",
        "_credentials",
        "_ended",
        "_first_at",
        "_latencies",
        "_probe",
        "_roll",
        "_tokens",
        "candidate",
        "credential",
        "started",
        "state",
        "waiting",
    )

    def __init__(
        self,
        candidate: Candidate,
        credential: Credential | None,
        state: TargetState,
        at: CredentialAt | None,
        credentials: Credentials,
        latencies: Latencies | None,
        tokens: int,
        roll: Callable[[], float],
        waiting: Waiting | None,
        now: float,
    ) -> None:
        """Made by `Router.begin` alone, which has taken the place that `end` gives back."""
        self.candidate = candidate
        self.credential = credential
        self.state = state
        self.waiting = waiting
        self.started = now
        self._at = at
        self._credentials = credentials
        self._latencies = latencies
        self._tokens = tokens
        self._roll = roll
        self._first_at = -1.0
        self._ended = False
        self._probe = bool(state.breaker.state) and state.breaker.began(now)
        if at is not None:
            credentials.begin(at, tokens, now)

    def go(self, now: float) -> None:
        """The wait for a place is over."""
        self.started = now

    def told(self, headers: Mapping[str, str], now: float, unix: float) -> None:
        """The headers of an answer, whatever its status; `unix` is now as Unix seconds."""
        if self._at is not None:
            self._at.told.tell(headers, now, unix)

    def first_byte(self, now: float) -> None:
        """A good answer begins: its first content, or the whole of it."""
        if self._first_at >= 0.0 or self._ended:
            return
        self._first_at = now
        state = self.state
        seconds = now - self.started
        state.latency.observe(seconds, now)
        state.limit.answered(seconds, state.gate.in_flight)
        if self._latencies is not None:
            self._latencies.observe(seconds, now)
        if state.breaker.state:  # it works again: no need to wait for the end of a long answer
            state.breaker.succeeded(self.started, now)

    def end(self, now: float, outcome: Ended | TollwayError = Ended.LEFT, used: int | None = None) -> None:
        """The call is over; only the first end counts. `used` is its tokens as the provider tells them."""
        if self._ended:
            return
        self._ended = True
        state, at = self.state, self._at
        state.gate.release(self.waiting, now)
        if self._probe:
            state.breaker.ended_probe()
        if at is not None:
            self._credentials.end(at, self._tokens, used, now)
        if outcome is Ended.OK:
            state.breaker.succeeded(self.started, now)
            state.refusals = 0
            if at is not None and (at.refusals or at.use.refused):
                self._credentials.accepted(at)
        elif isinstance(outcome, TollwayError) and outcome.fault is Fault.UPSTREAM:
            self._failed(outcome, now)

    def _failed(self, fault: TollwayError, now: float) -> None:
        state = self.state
        if targets_own(fault):
            state.breaker.failed(self.started, now, self._roll)
            if self._first_at < 0.0:
                state.latency.observe(max(now - self.started, PENALTY_SECONDS), now)
        if not isinstance(fault, ProviderFault):
            return
        if refuses_account(fault):
            self._credentials.refused(state, self._at, fault, now)
        elif fault.retry_after_seconds is not None:
            state.held_until = max(state.held_until, now + min(fault.retry_after_seconds, MOST_HELD_SECONDS))
            state.held_code = fault.code
        if fault.status in _OVERLOAD_STATUS or (fault.code is Code.PROVIDER_TIMEOUT and fault.retryable):
            state.limit.refused()

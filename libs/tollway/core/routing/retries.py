"""What happens after a failed call: how many further tries there may be, when, and where.

Owns the decisions; it makes no call and knows no target. The budget keeps a failing model from being asked twice as
often as it can bear: further tries are a share of requests, plus a few each second so that quiet models can retry too.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import NamedTuple

from tollway.core.errors import Code, Fault

RESERVE_PER_SECOND = 10.0
MOST_SAVED_SECONDS = 10.0
"""Unused tries are kept so long and no longer: an outage after a quiet day is no licence for a storm."""
MOST_SAVED = 100.0
FIRST_DELAY_SECONDS = 0.1
MOST_DELAY_SECONDS = 2.0
MOST_WAIT_SECONDS = 1.0
"""The longest Retry-After that is waited for instead of being told to the client."""


class RetryBudget:
    """How many further tries there may be: `share` of requests and a reserve (Finagle's retry budget)."""

    __slots__ = ("_at", "_balance", "_requests", "_reserve", "share")

    def __init__(self, share: float, now: float, *, reserve: float = RESERVE_PER_SECOND) -> None:
        self.share = share
        self._reserve = reserve
        self._balance = reserve
        self._requests = 0
        self._at = now

    def request(self) -> None:
        """A request came, whatever will become of it."""
        self._requests += 1

    def take(self, now: float) -> bool:
        """Whether one further try may be made; True takes it."""
        earned = self._requests * self.share + max(now - self._at, 0.0) * self._reserve
        most = max(self._reserve * MOST_SAVED_SECONDS, MOST_SAVED * self.share)
        self._balance = min(self._balance + earned, most)
        self._requests, self._at = 0, now
        if self._balance < 1.0:
            return False
        self._balance -= 1.0
        return True


def backoff(again: int, roll: Callable[[], float]) -> float:
    """Seconds before the same place is asked again for the `again`-th time (from 1), with full jitter.

    Source: Brooker (2015), "Exponential backoff and jitter".
    """
    return roll() * min(FIRST_DELAY_SECONDS * 2.0 ** min(again - 1, 16), MOST_DELAY_SECONDS)


class Kind(StrEnum):
    """What is done next."""

    SAME = "same"
    """The same target again, after a pause."""
    CREDENTIAL = "credential"
    """The same target with another credential, at once."""
    TARGET = "target"
    """Another target of the model, at once."""
    FALLBACK = "fallback"
    """A model of `fallbacks`."""
    CONTEXT_FALLBACK = "context_fallback"
    """A model of `context_fallbacks`."""
    FILTER_FALLBACK = "filter_fallback"
    """A model of `filter_fallbacks`."""
    GIVE_UP = "give_up"


class Failure(NamedTuple):
    """What is known of a failed call. `committed`: something of an answer was sent to the client.

    `retryable`: the same request may succeed at the same place. `wait` is the provider's Retry-After in seconds.
    """

    code: Code
    fault: Fault
    retryable: bool
    wait: float | None = None
    committed: bool = False


class Left(NamedTuple):
    """What there still is to try. `tries`: further calls of this model; the rest says whether there is one at all.

    `same`: the target is fit to be asked again. `budget` takes one try from the model's budget when it is called.
    """

    tries: int
    credential: bool
    target: bool
    same: bool
    fallback: bool
    context_fallback: bool
    filter_fallback: bool
    budget: Callable[[], bool]


def next_kind(failure: Failure, left: Left) -> Kind:
    """What to do after a failure; the budget is asked only for what it is meant for.

    A credential that is used up or refused says nothing about the load of the target, and a fallback is another model's
    load: neither takes from the budget; both are bounded by how many there are.
    """
    code = failure.code
    if failure.committed:
        return Kind.GIVE_UP
    if code is Code.CONTEXT_LENGTH_EXCEEDED:
        return Kind.CONTEXT_FALLBACK if left.context_fallback else Kind.GIVE_UP
    if code is Code.CONTENT_FILTER:
        return Kind.FILTER_FALLBACK if left.filter_fallback else Kind.GIVE_UP
    if failure.fault is not Fault.UPSTREAM or (code is Code.PROVIDER_TIMEOUT and not failure.retryable):
        return Kind.GIVE_UP  # nobody else can help, or there is no time left
    if left.tries > 0:
        if left.credential and code in (Code.PROVIDER_AUTH_FAILED, Code.PROVIDER_RATE_LIMITED):
            return Kind.CREDENTIAL
        if left.target and left.budget():
            return Kind.TARGET
        if not left.target and _worth_waiting(failure, left) and left.budget():
            return Kind.SAME
    return Kind.FALLBACK if left.fallback else Kind.GIVE_UP


def _worth_waiting(failure: Failure, left: Left) -> bool:
    """Whether the same place may do better in a moment."""
    if not failure.retryable or not left.same or failure.code is Code.PROVIDER_TIMEOUT:
        return False
    if failure.wait is None:
        return failure.code is not Code.PROVIDER_RATE_LIMITED
    return failure.wait <= MOST_WAIT_SECONDS

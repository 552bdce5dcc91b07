"""What this process knows of one target, a provider's model, and of the credentials that are used there.

Owns the state; decisions are made in `tollway.core.routing` and by the router.
"""

from __future__ import annotations

from tollway.core.catalog import Credential, Provider, ProviderKind
from tollway.core.routing.affinity import hash_of
from tollway.core.routing.breaker import MOST_SECONDS, Breaker
from tollway.core.routing.concurrency import Gradient
from tollway.core.routing.latency import PeakEwma
from tollway.core.routing.quota import MinuteWindow
from tollway.core.routing.told_limits import Family, ToldLimits
from tollway.dataplane.routing.gate import Gate

Place = tuple[str, str]
"""A provider's id and its own name for the model."""

MOST_HELD_SECONDS = 3600.0
"""A Retry-After is not heeded for longer: one provider's answer must not take a target from everybody for a day."""


class CredentialUse:
    """One credential wherever it is used: what its quota has seen, and until when it is set aside."""

    __slots__ = ("api_key", "aside_until", "concurrent", "in_flight", "refused", "requests", "tokens")

    def __init__(self, credential: Credential) -> None:
        quota = credential.quota
        self.api_key = credential.api_key
        self.aside_until = 0.0
        self.refused = 0
        self.in_flight = 0
        self.concurrent = quota.concurrent
        self.requests = MinuteWindow(quota.requests_per_minute) if quota.requests_per_minute is not None else None
        self.tokens = MinuteWindow(quota.tokens_per_minute) if quota.tokens_per_minute is not None else None

    def adopt(self, credential: Credential) -> None:
        """The catalog changed: another quota holds from now on."""
        quota = credential.quota
        self.api_key = credential.api_key
        self.concurrent = quota.concurrent
        self.requests = _window(self.requests, quota.requests_per_minute)
        self.tokens = _window(self.tokens, quota.tokens_per_minute)


def _window(known: MinuteWindow | None, limit: int | None) -> MinuteWindow | None:
    if limit is None:
        return None
    if known is None:
        return MinuteWindow(limit)
    known.limit = limit
    return known


class CredentialAt:
    """One credential at one target. Before `held_until` it must not be used; before `resting_until`, another first."""

    __slots__ = ("held_until", "refusals", "resting_until", "told", "use")

    def __init__(self, use: CredentialUse, family: Family) -> None:
        self.use = use
        self.told = ToldLimits(family)
        self.held_until = 0.0
        self.resting_until = 0.0
        self.refusals = 0


class TargetState:
    """One target. Before `held_until` it must not be called; before `resting_until`, another first."""

    __slots__ = (
        "breaker",
        "credentials",
        "family",
        "gate",
        "held_code",
        "held_until",
        "latency",
        "limit",
        "place",
        "provider",
        "refusals",
        "resting_until",
        "seed",
    )

    def __init__(self, provider: Provider, model: str) -> None:
        self.place: Place = (provider.id, model)
        self.provider = provider
        self.family = Family.ANTHROPIC if provider.kind is ProviderKind.ANTHROPIC else Family.OPENAI
        self.breaker = Breaker()
        self.latency = PeakEwma()
        self.limit = Gradient()
        self.gate = Gate(self.limit, "The provider")
        self.credentials: dict[str, CredentialAt] = {}
        self.held_until = 0.0
        self.held_code = ""
        self.resting_until = 0.0
        self.refusals = 0
        self.seed = hash_of(provider.id.encode(), model.encode("utf-8", "replace"))

    def idle(self, now: float) -> bool:
        """Whether nothing would be lost by forgetting it."""
        return (
            self.gate.in_flight == 0
            and self.gate.waiting == 0
            and (not self.breaker.state or now > self.breaker.until + MOST_SECONDS)
            and now >= max(self.held_until, self.resting_until)
            and all(now >= max(at.held_until, at.resting_until) for at in self.credentials.values())
        )

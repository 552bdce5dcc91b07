"""Which of a provider's credentials a call uses: by weight among those that are ready.

Owns the credentials' quotas and cool-downs in this process. An operator's quota and a provider's Retry-After hold
whatever happens; what a provider told of its limits, and a key that was refused, only mean that others go first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tollway.core.catalog import Credential, Provider
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.config.holder import Candidate, Routes
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.routing.targets import MOST_HELD_SECONDS, CredentialAt, CredentialUse, TargetState

BUSY_SECONDS = 1.0
"""When a credential with all of its concurrent calls under way is asked for again."""
REST_SECONDS = 1.0
MOST_REST_SECONDS = 30.0
ASIDE_SECONDS = 30.0
MOST_ASIDE_SECONDS = 600.0


class Cooling(NamedTuple):
    """Nothing may be called before `until`. `spare`: what could be used all the same, because it is only resting."""

    until: float
    code: Code = Code.PROVIDER_RATE_LIMITED
    spare: Credential | None = None

    def error(self, model: str, now: float) -> TollwayError:
        """What the client is told: when to come again."""
        if self.code is Code.PROVIDER_RATE_LIMITED:
            message = f"The providers' rate limits for the model '{model}' are reached. Retry later."
        else:
            message = f"The providers of the model '{model}' asked to be left alone for a while. Retry later."
        return ProviderFault(
            self.code,
            message,
            retryable=True,
            retry_after_seconds=max(self.until - now, 0.001),
            operator_note="nothing was called: every target or credential is cooling down",
        )


def pick_credential(credentials: Sequence[Credential], roll: Callable[[], float]) -> Credential | None:
    """One of several credentials by weight; None when there is none."""
    if len(credentials) <= 1:
        return credentials[0] if credentials else None
    point = roll() * sum(c.weight for c in credentials)
    for credential in credentials:
        point -= credential.weight
        if point < 0:
            return credential
    return credentials[-1]


class Credentials:
    """The credentials of all providers in one process."""

    def __init__(self, roll: Callable[[], float]) -> None:
        self._roll = roll
        self._uses: dict[tuple[str, str], CredentialUse] = {}

    def prepare(self, routes: Routes) -> None:
        """A new catalog is in force: quotas may have changed, credentials may be gone."""
        live = {(p.id, c.id): c for p in routes.catalog.providers.values() for c in p.credentials}
        for name, use in list(self._uses.items()):
            credential = live.get(name)
            if credential is not None and credential.api_key == use.api_key:
                use.adopt(credential)
            else:  # another key is not the one that was refused
                del self._uses[name]

    def at(self, state: TargetState, provider: Provider, credential: Credential) -> CredentialAt:
        """What is known of a credential at a target."""
        found = state.credentials.get(credential.id)
        if found is None or found.use.api_key is not credential.api_key:
            name = (provider.id, credential.id)
            use = self._uses.get(name)
            if use is None:
                use = self._uses[name] = CredentialUse(credential)
            if found is None or found.use.api_key != credential.api_key:
                found = state.credentials[credential.id] = CredentialAt(use, state.family)
            found.use = use
        return found

    def choose(self, state: TargetState, candidate: Candidate, tokens: int, now: float) -> Credential | Cooling | None:
        """The credential for a request of so many tokens; None: the provider takes none."""
        credentials = candidate.credentials
        if len(credentials) == 1:
            credential = credentials[0]
            at = self.at(state, candidate.provider, credential)
            held = _held(at, tokens, now)
            if held > now:
                return Cooling(held)
            resting = _resting(at, tokens, now)
            return credential if resting <= now else Cooling(resting, spare=credential)
        if not credentials:
            return None
        return self._among(state, candidate, tokens, now)

    def _among(self, state: TargetState, candidate: Candidate, tokens: int, now: float) -> Credential | Cooling | None:
        ready: list[Credential] = []
        until, spare, spare_at = float("inf"), None, float("inf")
        for credential in candidate.credentials:
            at = self.at(state, candidate.provider, credential)
            held = _held(at, tokens, now)
            if held > now:
                until = min(until, held)
                continue
            resting = _resting(at, tokens, now)
            if resting <= now:
                ready.append(credential)
                continue
            until = min(until, resting)
            if resting < spare_at:
                spare, spare_at = credential, resting
        return pick_credential(ready, self._roll) if ready else Cooling(until, spare=spare)

    def begin(self, at: CredentialAt, tokens: int, now: float) -> None:
        """A request of so many tokens is about to be sent with the credential."""
        use = at.use
        use.in_flight += 1
        at.told.use(tokens)
        if use.requests is not None:
            use.requests.add(1, now)
        if use.tokens is not None:
            use.tokens.add(tokens, now)

    def end(self, at: CredentialAt, tokens: int, used: int | None, now: float) -> None:
        """The request is over; `used` is how many tokens it really had, None: not known."""
        use = at.use
        use.in_flight -= 1
        if use.tokens is not None and used is not None:
            use.tokens.add(used - tokens, now)

    def refused(self, state: TargetState, at: CredentialAt | None, fault: ProviderFault, now: float) -> None:
        """A provider refused a credential, or has had enough of it: others go first, or none before its Retry-After."""
        if fault.code is Code.PROVIDER_RATE_LIMITED:
            subject = at if at is not None else state
            subject.refusals = min(subject.refusals + 1, 16)
            if fault.retry_after_seconds is not None:
                seconds = min(fault.retry_after_seconds, MOST_HELD_SECONDS)
                subject.held_until = max(subject.held_until, now + seconds)
                if subject is state:
                    state.held_code = Code.PROVIDER_RATE_LIMITED.value
            else:
                seconds = min(REST_SECONDS * 2.0 ** (subject.refusals - 1), MOST_REST_SECONDS)
                subject.resting_until = now + seconds * (0.5 + 0.5 * self._roll())
        elif at is not None and fault.status == 403:  # it may be allowed to do something else
            at.resting_until = now + ASIDE_SECONDS
        elif at is not None:
            use = at.use
            use.aside_until = now + min(ASIDE_SECONDS * 2.0**use.refused, MOST_ASIDE_SECONDS)
            use.refused = min(use.refused + 1, 16)

    def accepted(self, at: CredentialAt) -> None:
        """A call with the credential was answered: it is fine."""
        at.refusals = 0
        at.use.refused = 0
        at.use.aside_until = 0.0


def _held(at: CredentialAt, tokens: int, now: float) -> float:
    """Until when the credential must not be used; `now` or before: it may be."""
    use = at.use
    until = at.held_until
    if use.requests is not None:
        until = max(until, use.requests.ready_at(1, now))
    if use.tokens is not None:
        until = max(until, use.tokens.ready_at(tokens, now))
    if use.concurrent is not None and use.in_flight >= use.concurrent:
        until = max(until, now + BUSY_SECONDS)
    return until


def _resting(at: CredentialAt, tokens: int, now: float) -> float:
    """Until when others should be used first; `now` or before: it is as good as any."""
    until = at.resting_until
    if at.use.aside_until > until:
        until = at.use.aside_until
    told = at.told
    if told.requests < 1 or told.tokens < tokens:
        until = max(until, told.ready_at(tokens, now))
    return until

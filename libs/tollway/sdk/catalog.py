"""Providers with their credentials, and models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal
from urllib.parse import quote

from tollway.sdk.identity import present, segment
from tollway.sdk.models import Capabilities, Model, NewCredential, Price, Provider, Target, Timeouts
from tollway.sdk.paging import pages, typed
from tollway.sdk.routing import Breaker, CredentialCheck, Hedge, Quota, Retries
from tollway.sdk.transport import Transport


class Providers:
    """`/api/v1/providers`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        kind: str,
        *,
        base_url: str = "",
        api_version: str = "",
        timeouts: Timeouts | None = None,
        credentials: Sequence[NewCredential] = (),
        hangup: str = "",
        probe_seconds: float | None = None,
        verify: bool = False,
    ) -> Provider:
        """A new provider; `base_url` is optional where the kind has a well-known one.

        `probe_seconds` (1 to 3600; 0 or None: off) is how often a target that fails is asked whether it is back.
        `verify` asks the provider first: nothing is saved when it refuses a key.
        """
        body = present(
            name=name,
            kind=kind,
            base_url=base_url,
            api_version=api_version,
            timeouts=timeouts,
            credentials=list(credentials),
            hangup=hangup,
            probe_seconds=probe_seconds,
            verify=verify or None,
        )
        return typed(Provider, self._transport.call("POST", "/api/v1/providers", body=body))

    def get(self, provider: str) -> Provider:
        """The provider with this id or name."""
        return typed(Provider, self._transport.call("GET", f"/api/v1/providers/{segment(provider)}"))

    def list(self, *, limit: int | None = None) -> Iterator[Provider]:
        """All providers."""
        return pages(self._transport, "/api/v1/providers", "providers", Provider, {}, limit)

    def update(
        self,
        provider: str,
        *,
        base_url: str | None = None,
        api_version: str | None = None,
        timeouts: Timeouts | None = None,
        hangup: str | None = None,
        probe_seconds: float | None = None,
        etag: str = "",
    ) -> Provider:
        """Changes what is given; with `etag`, only if nobody changed the provider since."""
        body = present(
            base_url=base_url,
            api_version=api_version,
            timeouts=timeouts,
            hangup=hangup,
            probe_seconds=probe_seconds,
            etag=etag or None,
        )
        return typed(Provider, self._transport.call("PATCH", f"/api/v1/providers/{segment(provider)}", body=body))

    def archive(self, provider: str, *, etag: str = "") -> Provider:
        """Archives the provider; refused while a model has it as a target."""
        path = f"/api/v1/providers/{segment(provider)}"
        return typed(Provider, self._transport.call("DELETE", path, query={"etag": etag}))

    def check(self, provider: str, credential: str = "") -> Sequence[CredentialCheck]:
        """Asks the provider whether it takes its keys, or one of them; changes nothing but what is known of that."""
        path = f"/api/v1/providers/{segment(provider)}:check"
        answer = self._transport.call("POST", path, body=present(credential=credential or None))
        return [typed(CredentialCheck, found) for found in answer["checks"]]

    def add_credential(self, provider: str, credential: NewCredential, *, verify: bool = False) -> Provider:
        """Adds a provider key; with `verify`, unless the provider refuses it."""
        path = f"/api/v1/providers/{segment(provider)}/credentials"
        body = present(**vars(credential), verify=verify or None)
        return typed(Provider, self._transport.call("POST", path, body=body))

    def update_credential(
        self, provider: str, credential: str, *, weight: int | None = None, quota: Quota | None = None
    ) -> Provider:
        """Changes weight or quota of a provider key; a quota replaces the whole one, `Quota()` takes it away."""
        path = f"/api/v1/providers/{segment(provider)}/credentials/{segment(credential)}"
        return typed(Provider, self._transport.call("PATCH", path, body=present(weight=weight, quota=quota)))

    def rotate_credential(self, provider: str, credential: str, *, api_key: str, verify: bool = False) -> Provider:
        """Replaces the value of a provider key; requests in flight finish with the old one.

        With `verify`, only if the provider does not refuse the new one.
        """
        path = f"/api/v1/providers/{segment(provider)}/credentials/{segment(credential)}:rotate"
        return typed(Provider, self._transport.call("POST", path, body=present(api_key=api_key, verify=verify or None)))

    def remove_credential(self, provider: str, credential: str) -> Provider:
        """Removes a provider key."""
        path = f"/api/v1/providers/{segment(provider)}/credentials/{segment(credential)}"
        return typed(Provider, self._transport.call("DELETE", path))


class Models:
    """`/api/v1/models`. Names of models may contain slashes."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        targets: Sequence[Target],
        *,
        aliases: Sequence[str] = (),
        strategy: str = "",
        affinity: str = "",
        fallbacks: Sequence[str] = (),
        context_fallbacks: Sequence[str] = (),
        filter_fallbacks: Sequence[str] = (),
        retries: Retries | None = None,
        breaker: Breaker | None = None,
        hedge: Hedge | None = None,
        price: Price | None = None,
        capabilities: Capabilities | None = None,
    ) -> Model:
        """A new model. Fallbacks are names of models; without `hedge` there is no second call."""
        body = present(
            name=name,
            aliases=list(aliases),
            strategy=strategy,
            affinity=affinity,
            targets=list(targets),
            fallbacks=list(fallbacks),
            context_fallbacks=list(context_fallbacks),
            filter_fallbacks=list(filter_fallbacks),
            retries=retries,
            breaker=breaker,
            hedge=hedge,
            price=price,
            capabilities=capabilities,
        )
        return typed(Model, self._transport.call("POST", "/api/v1/models", body=body))

    def get(self, model: str) -> Model:
        """The model with this id or name."""
        return typed(Model, self._transport.call("GET", _path(model)))

    def list(self, *, limit: int | None = None) -> Iterator[Model]:
        """All models."""
        return pages(self._transport, "/api/v1/models", "models", Model, {}, limit)

    def update(
        self,
        model: str,
        *,
        targets: Sequence[Target] | None = None,
        aliases: Sequence[str] | None = None,
        strategy: str | None = None,
        affinity: str | None = None,
        fallbacks: Sequence[str] | None = None,
        context_fallbacks: Sequence[str] | None = None,
        filter_fallbacks: Sequence[str] | None = None,
        retries: Retries | None = None,
        breaker: Breaker | None = None,
        hedge: Hedge | Literal[False] | None = None,
        price: Price | None = None,
        capabilities: Capabilities | None = None,
        etag: str = "",
    ) -> Model:
        """Changes what is given; with `etag`, only if nobody changed the model since.

        Members that `retries`, `breaker` and `hedge` leave out become the defaults; `hedge=False` takes it away.
        """
        body = present(
            targets=targets,
            aliases=aliases,
            strategy=strategy,
            affinity=affinity,
            fallbacks=fallbacks,
            context_fallbacks=context_fallbacks,
            filter_fallbacks=filter_fallbacks,
            retries=retries,
            breaker=breaker,
            hedge=hedge or None,
            price=price,
            capabilities=capabilities,
            etag=etag or None,
        )
        if hedge is False:
            body["hedge"] = None
        return typed(Model, self._transport.call("PATCH", _path(model), body=body))

    def archive(self, model: str, *, etag: str = "") -> Model:
        """Archives the model, to which no other may fall back: clients get `model_not_found` from then on."""
        return typed(Model, self._transport.call("DELETE", _path(model), query={"etag": etag}))


def _path(model: str) -> str:
    # The contract's pattern is {model=**}: slashes stay.
    return "/api/v1/models/" + quote(model, safe="/:@")

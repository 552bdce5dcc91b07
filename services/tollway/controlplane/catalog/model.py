"""Providers and models as values: the messages of the contract and the rows behind them. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.catalog.routing import Routing, RoutingColumns
from tollway.controlplane.credentials.model import Credential, NewCredential
from tollway.controlplane.resources import etag
from tollway.core import catalog, pricing
from tollway.core.money import format_dollars


class Timeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on one upstream call, in seconds; None: the default."""

    connect_seconds: float | None = None
    first_byte_seconds: float | None = None
    between_chunks_seconds: float | None = None
    total_seconds: float | None = None


class Provider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as it is shown."""

    id: str
    name: str
    kind: str
    base_url: str
    api_version: str
    timeouts: Timeouts
    credentials: list[Credential]
    created_at: datetime
    updated_at: datetime
    etag: str
    hangup: str
    probe_seconds: float


class CreateProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    kind: str
    base_url: str = ""
    api_version: str = ""
    timeouts: Timeouts | None = None
    credentials: list[NewCredential] = []
    hangup: str = ""
    probe_seconds: float = 0.0
    verify: bool = False


class GetProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    provider: str


class ListProvidersRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""


class ListProvidersResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    providers: list[Provider]
    next_page_token: str = ""


class UpdateProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract; the mask is in the call."""

    provider: str
    base_url: str = ""
    api_version: str = ""
    timeouts: Timeouts | None = None
    hangup: str = ""
    probe_seconds: float = 0.0
    etag: str = ""


class ArchiveProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    provider: str
    etag: str = ""


class AddCredentialRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    provider: str
    name: str
    api_key: str
    weight: int = 0
    quota: catalog.Quota | None = None
    verify: bool = False

    def __repr__(self) -> str:
        return f"AddCredentialRequest(provider={self.provider!r}, name={self.name!r})"


class UpdateCredentialRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract; the mask is in the call."""

    provider: str
    credential: str
    weight: int = 0
    quota: catalog.Quota | None = None


class RotateCredentialRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    provider: str
    credential: str
    api_key: str
    verify: bool = False

    def __repr__(self) -> str:
        return f"RotateCredentialRequest(provider={self.provider!r}, credential={self.credential!r})"


class RemoveCredentialRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    provider: str
    credential: str


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's model behind a name; `provider` is a name or an id, shown as the name."""

    provider: str
    model: str
    weight: int | None = None
    priority: int = 0


class TokenPrices(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens as decimal strings; empty: as the kind it is a part of."""

    input: str = ""
    output: str = ""
    cached_input: str = ""
    cache_write_5m: str = ""
    cache_write_1h: str = ""
    audio_input: str = ""
    image_input: str = ""
    reasoning: str = ""
    audio_output: str = ""
    image_output: str = ""
    prediction_accepted: str = ""
    prediction_rejected: str = ""


class PriceTier(TokenPrices, frozen=True, kw_only=True):
    """Prices for the whole of a request with more than `above` input tokens; empty: as below every tier."""

    above: int = 0


class Price(TokenPrices, frozen=True, kw_only=True):
    """A price as it is set and shown: beside tokens what is sold by other units; empty: nothing."""

    free: bool = False
    version: str = ""
    image: str = ""
    audio_minute: str = ""
    audio_hour: str = ""
    characters: str = ""
    search: str = ""
    request: str = ""
    tiers: list[PriceTier] = []


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a model can do; empty or None: from the price book and the shipped table."""

    input_modalities: list[str] = []
    output_modalities: list[str] = []
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: bool | None = None
    streaming: bool | None = None


class Model(Routing, frozen=True, kw_only=True):
    """A model as it is shown, with the price and the capabilities in force."""

    id: str
    name: str
    aliases: list[str]
    strategy: str
    targets: list[Target]
    price: Price | None
    price_overridden: bool
    capabilities: Capabilities
    created_at: datetime
    updated_at: datetime
    etag: str


class CreateModelRequest(Routing, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    targets: list[Target]
    aliases: list[str] = msgspec.field(default_factory=list)
    strategy: str = ""
    price: Price | None = None
    capabilities: Capabilities | None = None


class GetModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    model: str


class ListModelsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""


class ListModelsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    models: list[Model]
    next_page_token: str = ""


class UpdateModelRequest(Routing, frozen=True, kw_only=True):
    """Message of the contract; the mask is in the call."""

    model: str
    aliases: list[str] = msgspec.field(default_factory=list)
    strategy: str = ""
    targets: list[Target] = msgspec.field(default_factory=list)
    price: Price | None = None
    capabilities: Capabilities | None = None
    etag: str = ""


class ArchiveModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    model: str
    etag: str = ""


class ProviderRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `providers`; `timeouts` holds the seconds that were set, by the names of `core.catalog.Timeouts`."""

    id: UUID
    name: str
    kind: str
    base_url: str
    api_version: str
    timeouts: dict[str, float]
    hangup: str
    probe_seconds: float
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    managed_by: str | None = None
    applied_digest: bytes | None = None

    def view(self, credentials: list[Credential]) -> Provider:
        """The provider as it is shown."""
        return Provider(
            id=str(self.id),
            name=self.name,
            kind=self.kind,
            base_url=self.base_url,
            api_version=self.api_version,
            timeouts=shown_timeouts(effective_timeouts(self.timeouts)),
            credentials=credentials,
            created_at=self.created_at,
            updated_at=self.updated_at,
            etag=etag(self.id, self.revision),
            hangup=self.hangup,
            probe_seconds=self.probe_seconds,
        )


class StoredTarget(msgspec.Struct, frozen=True, kw_only=True):
    """A target as the table keeps it."""

    provider_id: UUID
    model: str
    weight: int = 1
    priority: int = 0


class StoredPrice(pricing.Rates, frozen=True, kw_only=True, omit_defaults=True):
    """A price override as the table keeps it."""

    free: bool = False

    def at(self, version: str) -> pricing.Price:
        """The price with the name that ledger rows store."""
        rates: dict[str, Any] = {name: getattr(self, name) for name in pricing.Rates.__struct_fields__}
        return pricing.Price(version=version, **rates)


class ModelRow(RoutingColumns, frozen=True, kw_only=True):
    """A row of `models`."""

    id: UUID
    name: str
    aliases: list[str]
    strategy: str
    targets: list[StoredTarget]
    price: StoredPrice | None
    capabilities: Capabilities
    price_revision: int
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    managed_by: str | None = None
    applied_digest: bytes | None = None


MINUTES = 60
"""Of an hour."""


def effective_timeouts(stored: dict[str, float]) -> catalog.Timeouts:
    """The seconds in force."""
    return catalog.Timeouts(**stored)


def shown_timeouts(timeouts: catalog.Timeouts) -> Timeouts:
    """The message of the seconds in force."""
    return Timeouts(
        connect_seconds=timeouts.connect,
        first_byte_seconds=timeouts.first_byte,
        between_chunks_seconds=timeouts.between_chunks,
        total_seconds=timeouts.total,
    )


def stored_timeouts(timeouts: Timeouts | None) -> dict[str, float]:
    """The seconds that a message sets, by the names of `core.catalog.Timeouts`."""
    given = msgspec.structs.asdict(timeouts) if timeouts is not None else {}
    return {name.removesuffix("_seconds"): value for name, value in given.items() if value is not None}


def shown_price(price: pricing.Price) -> Price:
    """The message of a price; all rates zero is `free`. Sound is shown by the minute where that is exact."""
    rates = {name: getattr(price, name) for name in (*pricing.TOKEN_RATES, *pricing.UNIT_RATES, "request")}
    tiers = [PriceTier(above=tier.above, **_texts(tier, pricing.TOKEN_RATES)) for tier in price.tiers]
    texts = _texts(price, rates)
    if price.audio_hour is not None and price.audio_hour % MINUTES == 0:
        texts |= {"audio_hour": "", "audio_minute": format_dollars(price.audio_hour // MINUTES)}
    free = not any(rates.values()) and not price.tiers
    return Price(free=free, version=price.version, tiers=tiers, **texts)


def _texts(rates: pricing.TokenRates, names: Iterable[str]) -> dict[str, Any]:
    """The rates as decimal dollars; empty for none."""
    return {name: "" if (rate := getattr(rates, name)) is None else format_dollars(rate) for name in names}

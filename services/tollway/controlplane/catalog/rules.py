"""Rules of providers and models that need no database: addresses, price overrides, targets, names. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.catalog.model import MINUTES, Price, PriceTier, StoredPrice, TokenPrices
from tollway.core.catalog import ProviderKind
from tollway.core.money import parse_dollars
from tollway.core.netguard import Guard, url_refusal
from tollway.core.pricing import TOKEN_RATES, Tier
from tollway.core.provider_kinds import WELL_KNOWN_BASE_URLS

SOLD_ALONE = frozenset({"image", "audio_minute", "audio_hour", "characters", "request"})
"""Rates that can be a model's whole price. Searches come with tokens."""
MIN_PROBE_SECONDS = 1
OTHER_RATES = (*sorted(SOLD_ALONE), "search")


def base_url(kind: str, given: str, field: str = "base_url") -> str:
    """The address of a provider, without trailing slash: the given one, or the well-known one of its kind."""
    url = given.strip().rstrip("/")
    if not url:
        known = WELL_KNOWN_BASE_URLS.get(ProviderKind(kind))
        if known is None:
            raise ApiError(ApiCode.INVALID, f"{field} is required for the kind {kind!r}", field=field)
        return known
    refusal = url_refusal(url, Guard.OPERATOR)
    if refusal is None and not url.isprintable():
        refusal = "is not a valid URL"
    if refusal is None and ("?" in url or "#" in url or urlsplit(url).query):
        refusal = "must have no query and no fragment"
    if refusal is not None:
        # The URL is not repeated: it may hold what should not be in it.
        raise ApiError(ApiCode.INVALID, f"{field} {refusal}", field=field)
    return url


def price_override(price: Price | None, field: str = "price") -> StoredPrice | None:
    """The stored form of an override; None for no override, which means the price book.

    `input` and `output` are required, but for models that are sold by other units alone: there both are zero.
    """
    if price is None:
        return None
    rates = _rates(price, (*TOKEN_RATES, *OTHER_RATES), field)
    tiers = _tiers(price.tiers, f"{field}.tiers")
    if price.free:
        if any(rates.values()) or tiers:
            raise ApiError(ApiCode.INVALID, f"{field} is either free or has rates, not both", field=f"{field}.free")
        return StoredPrice(input=0, output=0, free=True)
    if not rates.keys() & {"input", "output"} and rates.keys() & SOLD_ALONE and not tiers:
        rates |= {"input": 0, "output": 0}
    for name in ("input", "output"):
        if name not in rates:
            raise ApiError(ApiCode.INVALID, f"{field}.{name} is required", field=f"{field}.{name}")
    if "audio_minute" in rates:
        if "audio_hour" in rates:
            where = f"{field}.audio_minute"
            raise ApiError(ApiCode.INVALID, f"{where} and {field}.audio_hour exclude each other", field=where)
        rates["audio_hour"] = rates.pop("audio_minute") * MINUTES
    return msgspec.structs.replace(msgspec.convert(rates, StoredPrice), tiers=tiers)


def _rates(price: TokenPrices, names: Iterable[str], field: str) -> dict[str, int]:
    """The rates that are given, in nano-dollars."""
    return {name: _nano(text, f"{field}.{name}") for name in names if (text := getattr(price, name))}


def _tiers(given: list[PriceTier], field: str) -> tuple[Tier, ...]:
    """Tiers in the order of their beginnings. Refuses repetitions, and tiers without a beginning or a rate."""
    found: dict[int, Tier] = {}
    for index, tier in enumerate(given):
        where = f"{field}[{index}]"
        if tier.above <= 0:
            raise ApiError(ApiCode.INVALID, f"{where}.above must be 1 or more", field=f"{where}.above")
        if tier.above in found:
            raise ApiError(ApiCode.INVALID, f"{where}.above repeats {tier.above}", field=f"{where}.above")
        rates = _rates(tier, TOKEN_RATES, where)
        if not rates:
            raise ApiError(ApiCode.INVALID, f"{where} has no rate", field=where)
        found[tier.above] = msgspec.convert({"above": tier.above, **rates}, Tier)
    return tuple(found[above] for above in sorted(found))


def probe_seconds(given: float, field: str = "probe_seconds") -> float:
    """How often a target that fails is asked whether it is back; 0: never. Refuses more often than once a second."""
    if 0 < given < MIN_PROBE_SECONDS:
        raise ApiError(ApiCode.INVALID, f"{field} must be 0 (off) or from 1 to 3600 seconds", field=field)
    return given


def _nano(text: str, field: str) -> int:
    try:
        return parse_dollars(text)
    except ValueError as error:
        raise ApiError(ApiCode.INVALID, f"{field}: {error}", field=field) from None


def aliases(name: str, given: list[str], field: str = "aliases") -> list[str]:
    """The other names of a model. Refuses its own name and repetitions."""
    for index, alias in enumerate(given):
        if alias == name or alias in given[:index]:
            raise ApiError(ApiCode.INVALID, f"{field}[{index}] repeats {alias!r}", field=f"{field}[{index}]")
    return list(given)

"""Rules of providers and models that need no database: addresses, price overrides, targets, names. Pure."""

from __future__ import annotations

from urllib.parse import urlsplit

import msgspec

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.catalog.model import RATE_NAMES, Price, StoredPrice
from tollway.core.catalog import ProviderKind
from tollway.core.money import parse_dollars
from tollway.core.netguard import Guard, url_refusal
from tollway.core.provider_kinds import WELL_KNOWN_BASE_URLS


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
    """The stored form of an override; None for no override, which means the price book."""
    if price is None:
        return None
    given = {name: text for name in RATE_NAMES if (text := getattr(price, name))}
    if price.free:
        if any(_nano(text, f"{field}.{name}") for name, text in given.items()):
            raise ApiError(ApiCode.INVALID, f"{field} is either free or has rates, not both", field=f"{field}.free")
        return StoredPrice(input=0, output=0, free=True)
    for name in ("input", "output"):
        if name not in given:
            raise ApiError(ApiCode.INVALID, f"{field}.{name} is required", field=f"{field}.{name}")
    rates = {name: _nano(text, f"{field}.{name}") for name, text in given.items()}
    return msgspec.convert(rates, StoredPrice)


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

"""Use cases of the price book: list it, read a version, set and end an override."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.catalog import postgres, rules
from tollway.controlplane.catalog.model import shown_price
from tollway.controlplane.db.statements import Database
from tollway.controlplane.ledger.filters import names
from tollway.controlplane.prices import book, published, store
from tollway.controlplane.prices.book import OVERRIDE, asked_keys
from tollway.controlplane.prices.model import (
    EndPriceRequest,
    GetPriceRequest,
    ListPricesRequest,
    ListPricesResponse,
    PriceHistory,
    PricePublication,
    PriceVersion,
    SetPriceRequest,
)
from tollway.controlplane.resources import from_ms, not_found, page_limit, page_start, page_token, snapshot

LISTING = "prices"
MAX_OVERRIDES = 10_000
MAX_YEAR = 9_000
"""Of the beginning of an override, so that there is a time after it."""
_LAST = (1 << 63) - 1


async def _shown(db: Database, versions: Iterable[book.PriceVersion]) -> list[PriceVersion]:
    """Versions with the names of providers."""
    found = list(versions)
    named = await names(db, "provider", {v.provider for v in found if v.source == OVERRIDE})
    return [
        PriceVersion(
            version=v.version,
            source=v.source,
            model=v.model,
            provider=named.of(v.provider),
            target_model=v.target_model,
            price=shown_price(v.price),
            valid_from=v.valid_from,
            valid_until=v.valid_until,
            note=v.note,
            created_by=v.created_by,
            created_at=v.created_at,
        )
        for v in found
    ]


async def list_prices(call: Call, request: ListPricesRequest) -> ListPricesResponse:
    """Versions in the price book, newest first. `provider` is a name or id, or of the imported book its own id."""
    size = page_limit(request.page_size)
    start = page_start(LISTING, request.page_token)
    if start and not (start.isascii() and start.isdigit() and int(start) <= _LAST):
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")
    provider = request.provider
    if provider and request.source != book.SHIPPED:
        known = await postgres.provider(call.db, provider)
        provider = str(known.id) if known is not None else provider
    rows = await store.versions_page(
        call.db,
        before=int(start) if start else _LAST,
        limit=size + 1,
        source=request.source,
        model=request.model,
        provider=provider,
        target_model=request.target_model,
        at=request.at,
    )
    following = page_token(LISTING, str(rows[size - 1].number)) if len(rows) > size else ""
    return ListPricesResponse(prices=await _shown(call.db, rows[:size]), next_page_token=following)


async def get_price(call: Call, request: GetPriceRequest) -> PriceHistory:
    """The rates of a version that was ever made or published, and the models that had it."""
    publications = await store.publications_named(call.db, request.version, request.model)
    keys = {key for found in publications for target in found.targets for key in asked_keys(target)}
    versions = await store.versions_named(call.db, request.version, sorted(keys))
    if not publications and not versions and not await store.version_is_known(call.db, request.version):
        raise not_found("price", request.version, "version")
    return PriceHistory(
        version=request.version,
        versions=await _shown(call.db, versions),
        publications=[_publication(found) for found in publications],
    )


def _publication(found: store.Publication) -> PricePublication:
    price = published.price_of(found)
    return PricePublication(
        model=found.model,
        version=found.version or "",
        source=found.source,
        price=shown_price(price) if price is not None else None,
        published_at=found.published_at,
    )


async def set_price(call: Call, request: SetPriceRequest) -> PriceVersion:
    """A new override of one of our models, or of a provider's models."""
    rates = rules.price_override(request.price)
    if rates is None:
        raise ApiError(ApiCode.INVALID, "price is required", field="price")
    if bool(request.model) == bool(request.target_model):
        raise ApiError(ApiCode.INVALID, "give either model or target_model", field="model")
    if request.provider and request.model:
        raise ApiError(ApiCode.INVALID, "provider goes with target_model, not with model", field="provider")
    at = from_ms(call.clock.now_ms())
    valid_from = request.valid_from or at
    if valid_from.year > MAX_YEAR:
        raise ApiError(ApiCode.INVALID, "valid_from lies beyond the calendar", field="valid_from")
    if request.valid_until is not None and request.valid_until <= valid_from:
        raise ApiError(ApiCode.INVALID, "valid_until must lie after valid_from", field="valid_until")
    await store.lock(call.db)
    if await store.override_count(call.db) >= MAX_OVERRIDES:
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"there are {MAX_OVERRIDES} overrides already, which is the most")
    number = await store.next_number(call.db)
    row: dict[str, Any] = {
        "number": number,
        "version": f"price@{number}",
        "source": OVERRIDE,
        "model": await _model(call, request.model),
        "provider": await _provider(call, request.provider),
        "target_model": request.target_model,
        "rates": rates,
        "valid_from": valid_from,
        "valid_until": request.valid_until,
        "book_start": None,
        "note": request.note,
    }
    await store.insert_versions(call.db, [row], import_id=None, by=call.principal.name, at=at)
    view = await _override(call, row["version"])
    call.audit(f"price:{view.version}", None, snapshot(view))
    call.catalog_change()
    return view


async def _model(call: Call, reference: str) -> str:
    if not reference:
        return ""
    found = await postgres.model(call.db, reference)
    if found is None:
        raise not_found("model", reference, "model")
    return found.name


async def _provider(call: Call, reference: str) -> str:
    if not reference:
        return ""
    found = await postgres.provider(call.db, reference)
    if found is None:
        raise not_found("provider", reference, "provider")
    return str(found.id)


async def _override(call: Call, version: str) -> PriceVersion:
    (view,) = await _shown(call.db, await store.versions_named(call.db, version, []))
    return view


async def end_price(call: Call, request: EndPriceRequest) -> PriceVersion:
    """Ends an override. What it said of the time before its end stays; one that has ended is not changed."""
    await store.lock(call.db)
    found = await store.versions_named(call.db, request.version, [])
    if not found:
        raise not_found("override", request.version, "version")
    at = from_ms(call.clock.now_ms())
    version = found[0]
    until = request.valid_until or at
    if request.valid_until is None and version.valid_from is not None and version.valid_from >= at:
        until = version.valid_from + timedelta(microseconds=1)  # has not begun: it never will
    _check_end(version, until, at)
    (before,) = await _shown(call.db, [version])
    await store.end_version(call.db, version.id, until)
    view = await _override(call, version.version)
    call.audit(f"price:{version.version}", snapshot(before), snapshot(view))
    call.catalog_change()
    return view


def _check_end(version: book.PriceVersion, until: datetime, at: datetime) -> None:
    if version.valid_until is not None and version.valid_until <= at:
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"{version.version} has ended already", field="version")
    if version.valid_from is not None and until <= version.valid_from:
        raise ApiError(
            ApiCode.INVALID, f"valid_until must lie after {version.valid_from.isoformat()}", field="valid_until"
        )

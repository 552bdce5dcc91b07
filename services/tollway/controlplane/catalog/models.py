"""Use cases of models: what clients ask for by name, with their targets and prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.catalog import fallbacks, postgres, routing, rules
from tollway.controlplane.catalog.capabilities import effective_capabilities
from tollway.controlplane.catalog.model import (
    ArchiveModelRequest,
    Capabilities,
    CreateModelRequest,
    GetModelRequest,
    ListModelsRequest,
    ListModelsResponse,
    Model,
    ModelRow,
    ProviderRow,
    StoredTarget,
    Target,
    UpdateModelRequest,
    shown_price,
)
from tollway.controlplane.prices import published
from tollway.controlplane.prices.book import PriceBook
from tollway.controlplane.resources import (
    changed_fields,
    check_etag,
    etag,
    from_ms,
    not_found,
    page_limit,
    page_start,
    page_token,
    refuse_id_as_name,
    snapshot,
    taken,
)
from tollway.core import catalog
from tollway.core.catalog import ProviderKind
from tollway.core.pricing import Price

DEFAULT_STRATEGY = "weighted"
_CHANGEABLE = frozenset({"aliases", "strategy", "targets", "price", "capabilities"}) | routing.FIELDS
Facts = tuple[ProviderKind, str, str]


def target_facts(row: ModelRow, providers: Mapping[UUID, ProviderRow]) -> list[Facts]:
    """(kind, base URL, provider's model name) of each target."""
    found = ((providers[target.provider_id], target.model) for target in row.targets)
    return [(ProviderKind(provider.kind), provider.base_url, model) for provider, model in found]


def price_of(row: ModelRow, providers: Mapping[UUID, ProviderRow], book: PriceBook, at: datetime) -> Price | None:
    """The price in force by the book of that model; None: not known."""
    return book.price(row.name, published.own_price(row), published.targets_of(row, providers), at)


def capabilities_of(row: ModelRow, providers: Mapping[UUID, ProviderRow]) -> catalog.Capabilities:
    """The capabilities in force."""
    return effective_capabilities(row.capabilities, target_facts(row, providers))


async def _providers_of(call: Call, rows: Sequence[ModelRow]) -> dict[UUID, ProviderRow]:
    wanted = {target.provider_id for row in rows for target in row.targets}
    return {provider_id: await postgres.provider_by_id(call.db, provider_id) for provider_id in wanted}


def _view(row: ModelRow, providers: Mapping[UUID, ProviderRow], book: PriceBook, at: datetime) -> Model:
    price = price_of(row, providers, book, at)
    able = capabilities_of(row, providers)
    return Model(
        id=str(row.id),
        name=row.name,
        aliases=row.aliases,
        strategy=row.strategy,
        targets=[
            Target(
                provider=providers[target.provider_id].name,
                model=target.model,
                weight=target.weight,
                priority=target.priority,
            )
            for target in row.targets
        ],
        price=shown_price(price) if price is not None else None,
        price_overridden=row.price is not None,
        capabilities=Capabilities(
            input_modalities=list(able.input_modalities),
            output_modalities=list(able.output_modalities),
            context_tokens=able.context_tokens,
            max_output_tokens=able.max_output_tokens,
            tools=able.tools,
            streaming=able.streaming,
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
        etag=etag(row.id, row.revision),
        **routing.shown(row),
    )


async def _views(call: Call, rows: Sequence[ModelRow]) -> list[Model]:
    providers = await _providers_of(call, rows)
    book = await published.book_of(call.db, rows, providers)
    now = from_ms(call.clock.now_ms())
    return [_view(row, providers, book, now) for row in rows]


async def _stored_targets(call: Call, targets: Sequence[Target]) -> list[StoredTarget]:
    """Targets with the ids of live providers, which cannot be archived before this transaction ends."""
    if not targets:
        raise ApiError(ApiCode.INVALID, "targets must not be empty", field="targets")
    stored = []
    for index, target in enumerate(targets):
        provider = await postgres.provider(call.db, target.provider, "_for_share")
        if provider is None:
            field = f"targets[{index}].provider"
            raise ApiError(ApiCode.INVALID, f"{field}: there is no provider {target.provider!r}", field=field)
        stored.append(
            StoredTarget(
                provider_id=provider.id,
                model=target.model,
                weight=1 if target.weight is None else target.weight,
                priority=target.priority,
            )
        )
    return stored


async def check_names(call: Call) -> None:
    """Refuses when two live models claim the same name or alias."""
    repeated = await postgres.repeated_model_name(call.db)
    if repeated is not None:
        raise ApiError(
            ApiCode.ALREADY_EXISTS, f"{repeated!r} is the name or an alias of another model", field="aliases"
        )


async def fallback_chains(call: Call) -> Mapping[str, fallbacks.Chains]:
    """The fallbacks of all live models; nobody else changes them until the transaction ends."""
    await postgres.lock_model_names(call.db)
    return await postgres.chains(call.db)


async def _check_fallbacks(call: Call, row: ModelRow) -> None:
    problem = fallbacks.problem(await fallback_chains(call), [row.name])
    if problem is not None:
        raise ApiError(ApiCode.INVALID, f"{problem.place}: {problem.message}", field=problem.place)


async def check_unused(call: Call, name: str) -> None:
    """Refuses while a live model falls back to the one with that name."""
    await postgres.lock_model_names(call.db)
    users = await postgres.models_with_fallback(call.db, name)
    if users:
        raise ApiError(
            ApiCode.FAILED_PRECONDITION,
            f"model {name!r} is still a fallback of {', '.join(users)}; change or archive them first",
        )


async def create_model(call: Call, request: CreateModelRequest, *, references_later: bool = False) -> Model:
    """A new model. `references_later`: after several changes the caller checks names and fallbacks itself."""
    refuse_id_as_name(request.name)
    row = ModelRow(
        id=uuid7(),
        name=request.name,
        aliases=rules.aliases(request.name, request.aliases),
        strategy=request.strategy or DEFAULT_STRATEGY,
        targets=await _stored_targets(call, request.targets),
        price=rules.price_override(request.price),
        capabilities=request.capabilities or Capabilities(),
        price_revision=1 if request.price is not None else 0,
        revision=1,
        created_at=from_ms(call.clock.now_ms()),
        updated_at=from_ms(call.clock.now_ms()),
        **routing.settled(request, request.name),
    )
    await postgres.lock_model_names(call.db)
    if not await postgres.insert_model(call.db, row):
        raise taken("model", request.name)
    if not references_later:
        await check_names(call)
        if any(routing.chains(row).values()):
            await _check_fallbacks(call, row)
    (view,) = await _views(call, [await postgres.model_by_id(call.db, row.id)])
    call.audit(f"model:{view.name}", None, snapshot(view))
    call.catalog_change()
    return view


async def get_model(call: Call, request: GetModelRequest) -> Model:
    """A live model by id, name or alias."""
    row = await postgres.model(call.db, request.model)
    if row is None:
        raise not_found("model", request.model, "model")
    (view,) = await _views(call, [row])
    return view


async def list_models(call: Call, request: ListModelsRequest) -> ListModelsResponse:
    """Live models by name, a page at a time."""
    limit = page_limit(request.page_size)
    rows = await postgres.models(call.db, page_start("models", request.page_token), limit + 1)
    following = page_token("models", rows[limit - 1].name) if len(rows) > limit else ""
    return ListModelsResponse(models=await _views(call, rows[:limit]), next_page_token=following)


async def _locked(call: Call, reference: str) -> ModelRow:
    row = await postgres.model_for_update(call.db, reference)
    if row is None:
        raise not_found("model", reference, "model")
    return row


async def update_model(call: Call, request: UpdateModelRequest, *, references_later: bool = False) -> Model:
    """Changes what can change of a model. Price masked and absent: back to the price book; hedge: none any more."""
    await postgres.lock_model_names(call.db)
    row = await _locked(call, request.model)
    check_etag(request.etag, row.id, row.revision, f"model {row.name!r}")
    fields = changed_fields(call.update_mask, request, _CHANGEABLE)
    changed = msgspec.structs.replace(row, **routing.settled(request, row.name, sorted(fields & routing.FIELDS)))
    if "aliases" in fields:
        changed = msgspec.structs.replace(changed, aliases=rules.aliases(row.name, request.aliases))
    if "strategy" in fields:
        changed = msgspec.structs.replace(changed, strategy=request.strategy or DEFAULT_STRATEGY)
    if "targets" in fields:
        changed = msgspec.structs.replace(changed, targets=await _stored_targets(call, request.targets))
    if "capabilities" in fields:
        changed = msgspec.structs.replace(changed, capabilities=request.capabilities or Capabilities())
    if "price" in fields:
        changed = msgspec.structs.replace(changed, price=rules.price_override(request.price))
    if changed.price != row.price:
        changed = msgspec.structs.replace(changed, price_revision=row.price_revision + 1)
    (before,) = await _views(call, [row])
    if changed == row:
        return before
    await postgres.update_model(call.db, changed, from_ms(call.clock.now_ms()))
    if not references_later:
        await check_names(call)
        if routing.chains(changed) != routing.chains(row):
            await _check_fallbacks(call, changed)
    (view,) = await _views(call, [await postgres.model_by_id(call.db, row.id)])
    call.audit(f"model:{view.name}", snapshot(before), snapshot(view))
    call.catalog_change()
    return view


async def archive_model(call: Call, request: ArchiveModelRequest, *, references_later: bool = False) -> Model:
    """Archives a model to which no live one falls back; clients get model_not_found from then on."""
    await postgres.lock_model_names(call.db)
    row = await _locked(call, request.model)
    check_etag(request.etag, row.id, row.revision, f"model {row.name!r}")
    if not references_later:
        await check_unused(call, row.name)
    (before,) = await _views(call, [row])
    await postgres.archive_model(call.db, row.id, from_ms(call.clock.now_ms()))
    call.audit(f"model:{row.name}", snapshot(before), None)
    call.catalog_change()
    (view,) = await _views(call, [await postgres.model_by_id(call.db, row.id)])
    return view

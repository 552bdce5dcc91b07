"""Use cases of providers and of their credentials."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.catalog import checks, postgres, rules
from tollway.controlplane.catalog.model import (
    AddCredentialRequest,
    ArchiveProviderRequest,
    CreateProviderRequest,
    GetProviderRequest,
    ListProvidersRequest,
    ListProvidersResponse,
    Provider,
    ProviderRow,
    RemoveCredentialRequest,
    RotateCredentialRequest,
    UpdateCredentialRequest,
    UpdateProviderRequest,
    stored_timeouts,
)
from tollway.controlplane.credentials import postgres as credential_rows
from tollway.controlplane.credentials import service as credentials
from tollway.controlplane.credentials.checking import Checked
from tollway.controlplane.credentials.model import NewCredential
from tollway.controlplane.resources import (
    changed_fields,
    check_etag,
    from_ms,
    not_found,
    page_limit,
    page_start,
    page_token,
    refuse_id_as_name,
    snapshot,
    taken,
)
from tollway.core.catalog import Quota

DEFAULT_HANGUP = "close"


async def _provider(call: Call, reference: str, lock: postgres.Lock = "") -> ProviderRow:
    row = await postgres.provider(call.db, reference, lock)
    if row is None:
        raise not_found("provider", reference, "provider")
    return row


async def _view(call: Call, row: ProviderRow) -> Provider:
    found = await credential_rows.credentials(call.db, [row.id])
    return row.view([credential.view() for credential in found])


async def create_provider(call: Call, request: CreateProviderRequest) -> Provider:
    """A new provider with its first credentials."""
    refuse_id_as_name(request.name)
    base_url = rules.base_url(request.kind, request.base_url, "base_url")
    found: dict[str, Checked] = call.prepared if request.verify else {}
    provider_id = await postgres.insert_provider(
        call.db,
        request.name,
        kind=request.kind,
        base_url=base_url,
        api_version=request.api_version,
        timeouts=stored_timeouts(request.timeouts),
        hangup=request.hangup or DEFAULT_HANGUP,
        probe_seconds=rules.probe_seconds(request.probe_seconds),
    )
    if provider_id is None:
        raise taken("provider", request.name)
    for index, new in enumerate(request.credentials):
        await credentials.add(call, provider_id, new, f"credentials[{index}].api_key")
    await checks.keep(call, provider_id, found)
    view = await _view(call, await postgres.provider_by_id(call.db, provider_id))
    call.audit(f"provider:{view.name}", None, snapshot(view))
    call.catalog_change()
    return view


async def get_provider(call: Call, request: GetProviderRequest) -> Provider:
    """A live provider by id or name."""
    return await _view(call, await _provider(call, request.provider))


async def list_providers(call: Call, request: ListProvidersRequest) -> ListProvidersResponse:
    """Live providers by name, a page at a time."""
    limit = page_limit(request.page_size)
    found = await postgres.providers(call.db, page_start("providers", request.page_token), limit + 1)
    following = page_token("providers", found[limit - 1].name) if len(found) > limit else ""
    rows = found[:limit]
    owned: dict[UUID, list[Any]] = {row.id: [] for row in rows}
    for credential in await credential_rows.credentials(call.db, list(owned)):
        owned[credential.provider_id].append(credential.view())
    return ListProvidersResponse(providers=[row.view(owned[row.id]) for row in rows], next_page_token=following)


async def update_provider(call: Call, request: UpdateProviderRequest) -> Provider:
    """Changes address, API version, timeouts, what happens after a hang-up or how often failing targets are probed."""
    row = await _provider(call, request.provider, "_for_update")
    check_etag(request.etag, row.id, row.revision, f"provider {row.name!r}")
    known = frozenset({"base_url", "api_version", "timeouts", "hangup", "probe_seconds"})
    fields = changed_fields(call.update_mask, request, known)
    after: dict[str, Any] = {name: getattr(row, name) for name in known}
    wanted: dict[str, Any] = {
        "base_url": lambda: rules.base_url(row.kind, request.base_url, "base_url"),
        "api_version": lambda: request.api_version,
        "timeouts": lambda: stored_timeouts(request.timeouts),
        "hangup": lambda: request.hangup or DEFAULT_HANGUP,
        "probe_seconds": lambda: rules.probe_seconds(request.probe_seconds),
    }
    changed = after | {name: wanted[name]() for name in fields}
    before = await _view(call, row)
    if changed == after:
        return before
    await postgres.update_provider(call.db, row.id, **changed, at=from_ms(call.clock.now_ms()))
    return await _changed(call, before, row.id)


async def _changed(call: Call, before: Provider, provider_id: UUID) -> Provider:
    view = await _view(call, await postgres.provider_by_id(call.db, provider_id))
    call.audit(f"provider:{view.name}", snapshot(before), snapshot(view))
    call.catalog_change()
    return view


async def archive_provider(call: Call, request: ArchiveProviderRequest) -> Provider:
    """Archives a provider that no live model has as a target, and forgets its credentials."""
    row = await _provider(call, request.provider, "_for_update")
    check_etag(request.etag, row.id, row.revision, f"provider {row.name!r}")
    users = await postgres.models_with_target(call.db, row.id)
    if users:
        raise ApiError(
            ApiCode.FAILED_PRECONDITION,
            f"provider {row.name!r} is still a target of {', '.join(users)}; change or archive them first",
        )
    before = await _view(call, row)
    for credential in await credential_rows.credentials(call.db, [row.id]):
        await credentials.remove(call, credential)
    await postgres.archive_provider(call.db, row.id, from_ms(call.clock.now_ms()))
    call.audit(f"provider:{row.name}", snapshot(before), None)
    call.catalog_change()
    return await _view(call, await postgres.provider_by_id(call.db, row.id))


async def add_credential(call: Call, request: AddCredentialRequest) -> Provider:
    """A further credential."""
    row = await _provider(call, request.provider, "_for_update")
    before = await _view(call, row)
    new = NewCredential(name=request.name, api_key=request.api_key, weight=request.weight, quota=request.quota)
    await credentials.add(call, row.id, new)
    await checks.keep(call, row.id, {request.name: call.prepared} if request.verify else {})
    return await _credentials_changed(call, before, row.id)


async def rotate_credential(call: Call, request: RotateCredentialRequest) -> Provider:
    """Another value for a credential."""
    row = await _provider(call, request.provider, "_for_update")
    before = await _view(call, row)
    credential = await credentials.find(call, row.id, request.credential)
    await credentials.replace(call, credential, request.api_key)
    await checks.keep(call, row.id, {credential.name: call.prepared} if request.verify else {})
    return await _credentials_changed(call, before, row.id)


async def update_credential(call: Call, request: UpdateCredentialRequest) -> Provider:
    """Another weight or quota for a credential."""
    row = await _provider(call, request.provider, "_for_update")
    fields = changed_fields(call.update_mask, request, frozenset({"weight", "quota"}))
    before = await _view(call, row)
    credential = await credentials.find(call, row.id, request.credential)
    weight = request.weight or 1 if "weight" in fields else credential.weight
    quota = request.quota or Quota() if "quota" in fields else credential.quota
    if not await credentials.change(call, credential, weight, quota):
        return before
    return await _credentials_changed(call, before, row.id)


async def remove_credential(call: Call, request: RemoveCredentialRequest) -> Provider:
    """Takes a credential away."""
    row = await _provider(call, request.provider, "_for_update")
    before = await _view(call, row)
    await credentials.remove(call, await credentials.find(call, row.id, request.credential))
    return await _credentials_changed(call, before, row.id)


async def _credentials_changed(call: Call, before: Provider, provider_id: UUID) -> Provider:
    await postgres.touch_provider(call.db, provider_id, from_ms(call.clock.now_ms()))
    return await _changed(call, before, provider_id)

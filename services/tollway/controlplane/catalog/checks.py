"""Use cases of checking provider keys: on entry, and on request.

On entry, a key that the provider refuses is not saved; a provider that is down keeps nobody from saving. A check holds
no row: locks are taken after the provider has answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.catalog import postgres
from tollway.controlplane.catalog.model import CreateProviderRequest, ProviderRow
from tollway.controlplane.credentials import checking
from tollway.controlplane.credentials import postgres as credential_rows
from tollway.controlplane.credentials import service as credentials
from tollway.controlplane.credentials.checking import Checked, Outcome
from tollway.controlplane.credentials.model import CredentialCheck
from tollway.controlplane.resources import from_ms, not_found, snapshot
from tollway.core.catalog import ProviderKind
from tollway.core.netguard import Guard

MAX_AT_ONCE = 16
"""Keys of one call: each waits for the provider, and the call waits for all."""
GUARD = Guard.OPERATOR
"""Who may set a provider's address may send the gateway there; so the check goes where requests would go."""


class CheckProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    provider: str
    credential: str = ""


class CheckProviderResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    checks: list[CredentialCheck]


async def of_new(request: CreateProviderRequest, base_url: str) -> dict[str, Checked]:
    """Checks the keys of a provider that is to be created; what was found, by name. Raises ApiError for a refusal."""
    _bounded(len(request.credentials), "credentials")

    async def one(index: int, api_key: str) -> Checked:
        field = f"credentials[{index}].api_key"
        value = credentials.usable_value(api_key, field)
        kind = ProviderKind(request.kind)
        return _saved(await checking.check(kind, base_url, request.api_version, value, GUARD), field)

    found = await asyncio.gather(*(one(index, new.api_key) for index, new in enumerate(request.credentials)))
    return {new.name: checked for new, checked in zip(request.credentials, found, strict=True)}


async def of_value(call: Call, provider: str, api_key: str) -> Checked:
    """Checks a value that is to be saved for a provider. Raises ApiError for a refusal."""
    row = await _provider(call, provider)
    return _saved(await _ask(row, credentials.usable_value(api_key, "api_key")), "api_key")


def _saved(found: Checked, field: str) -> Checked:
    if found.outcome is Outcome.REFUSED:
        raise ApiError(
            ApiCode.INVALID,
            f"{field}: {found.detail}; nothing was saved. Give a key that works, or save this one without verify",
            field=field,
        )
    if found.outcome is Outcome.BLOCKED:
        raise ApiError(ApiCode.INVALID, f"base_url: {found.detail}; nothing was saved", field="base_url")
    return found


async def keep(call: Call, provider_id: UUID, found: Mapping[str, Checked]) -> None:
    """Keeps what was found, by the credential's name."""
    if not found:
        return
    for row in await credential_rows.credentials(call.db, [provider_id]):
        if (checked := found.get(row.name)) is not None:
            await credentials.keep_check(call, row, checked, from_ms(call.clock.now_ms()))


async def check_provider(call: Call, request: CheckProviderRequest) -> CheckProviderResponse:
    """Asks a provider about its keys, or about one. Without any, whether it answers at all."""
    provider = await _provider(call, request.provider)
    rows = await credential_rows.credentials(call.db, [provider.id])
    if request.credential:
        rows = [row for row in rows if request.credential in (row.name, str(row.id))]
        if not rows:
            raise not_found("credential", request.credential, "credential")
    _bounded(len(rows), "credential")
    if not rows:
        return CheckProviderResponse(checks=[await _without_key(call, provider)])
    values = [await credentials.value_of(call, row) for row in rows]
    found = await asyncio.gather(*(_ask(provider, value) for value in values))
    checks, now = [], from_ms(call.clock.now_ms())
    for row, checked in zip(rows, found, strict=True):
        await credentials.keep_check(call, row, checked, now)
        checks.append(_check(row.name, checked, now))
    before = [check for row in rows if (check := row.check()) is not None]
    call.audit(
        f"provider:{provider.name}",
        snapshot(CheckProviderResponse(checks=before)),
        snapshot(CheckProviderResponse(checks=checks)),
    )
    return CheckProviderResponse(checks=checks)


async def _without_key(call: Call, provider: ProviderRow) -> CredentialCheck:
    found = await _ask(provider, checking.NOT_A_KEY)
    if found.outcome is Outcome.REFUSED:
        found = msgspec.structs.replace(found, detail="the provider wants a key, and there is none here")
    check = _check("", found, from_ms(call.clock.now_ms()))
    call.audit(f"provider:{provider.name}", None, snapshot(CheckProviderResponse(checks=[check])))
    return check


def _check(name: str, found: Checked, at: datetime) -> CredentialCheck:
    return CredentialCheck(
        credential=name,
        outcome=found.outcome.value,
        status=found.status,
        detail=found.detail,
        checked_at=at,
    )


async def _ask(provider: ProviderRow, value: str) -> Checked:
    return await checking.check(ProviderKind(provider.kind), provider.base_url, provider.api_version, value, GUARD)


async def _provider(call: Call, reference: str) -> ProviderRow:
    row = await postgres.provider(call.db, reference)
    if row is None:
        raise not_found("provider", reference, "provider")
    return row


def _bounded(count: int, field: str) -> None:
    if count > MAX_AT_ONCE:
        raise ApiError(
            ApiCode.INVALID, f"{field}: at most {MAX_AT_ONCE} keys are checked in one call; name one", field=field
        )

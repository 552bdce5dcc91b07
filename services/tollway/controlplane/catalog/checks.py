"""Use cases of checking provider keys: on entry, and on request.

On entry, a key that the provider refuses is not saved; a provider that is down keeps nobody from saving. Providers are
asked before the transaction of the call begins (`prepare` of its method): however long they take, a check holds neither
row nor connection.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.call import ApiCode, ApiError, Call, Outside
from tollway.controlplane.catalog import postgres, rules
from tollway.controlplane.catalog.model import (
    AddCredentialRequest,
    CreateProviderRequest,
    ProviderRow,
    RotateCredentialRequest,
)
from tollway.controlplane.credentials import checking
from tollway.controlplane.credentials import postgres as credential_rows
from tollway.controlplane.credentials import service as credentials
from tollway.controlplane.credentials.checking import Checked, Outcome
from tollway.controlplane.credentials.model import CredentialCheck, CredentialRow
from tollway.controlplane.resources import from_ms, not_found, refuse_id_as_name, snapshot
from tollway.core.catalog import ProviderKind
from tollway.core.netguard import Guard
from tollway.core.proxies import Proxies

MAX_AT_ONCE = 16
"""Keys of one call: each waits for the provider, and the call waits for all."""
GUARD = Guard.OPERATOR
"""Who may set a provider's address may send the gateway there; so the check goes where and how requests would go."""


class CheckProviderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    provider: str
    credential: str = ""


class CheckProviderResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    checks: list[CredentialCheck]


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What was found of the keys that a provider had; without any, of the provider alone."""

    rows: list[CredentialRow]
    found: list[Checked]


async def prepare_new(call: Call, request: CreateProviderRequest) -> Outside | None:
    """Checks the keys of a provider that is to be created: what was found, by name. Raises ApiError for a refusal."""
    if not request.verify:
        return None
    refuse_id_as_name(request.name)
    base_url = rules.base_url(request.kind, request.base_url, "base_url")
    _bounded(len(request.credentials), "credentials")
    fields = [f"credentials[{index}].api_key" for index in range(len(request.credentials))]
    given = zip(request.credentials, fields, strict=True)
    values = [credentials.usable_value(new.api_key, field) for new, field in given]
    ask = _asking(request.kind, base_url, request.api_version, values, call.proxies)

    async def outside() -> dict[str, Checked]:
        found = await ask()
        accepted = [_saved(checked, field) for checked, field in zip(found, fields, strict=True)]
        return {new.name: checked for new, checked in zip(request.credentials, accepted, strict=True)}

    return outside


async def prepare_value(call: Call, request: AddCredentialRequest | RotateCredentialRequest) -> Outside | None:
    """Checks a value that is to be saved for a provider. Raises ApiError for a refusal."""
    if not request.verify:
        return None
    row = await _provider(call, request.provider)
    value = credentials.usable_value(request.api_key, "api_key")
    ask = _asking(row.kind, row.base_url, row.api_version, [value], call.proxies)

    async def outside() -> Checked:
        (found,) = await ask()
        return _saved(found, "api_key")

    return outside


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


async def prepare_check(call: Call, request: CheckProviderRequest) -> Outside:
    """Asks a provider about its keys, or about one. Without any, whether it answers at all."""
    provider = await _provider(call, request.provider)
    rows = await credential_rows.credentials(call.db, [provider.id])
    if request.credential:
        rows = [row for row in rows if request.credential in (row.name, str(row.id))]
        if not rows:
            raise not_found("credential", request.credential, "credential")
    _bounded(len(rows), "credential")
    values = [await credentials.value_of(call, row) for row in rows] or [checking.NOT_A_KEY]
    ask = _asking(provider.kind, provider.base_url, provider.api_version, values, call.proxies)

    async def outside() -> _Asked:
        return _Asked(rows=rows, found=await ask())

    return outside


async def check_provider(call: Call, request: CheckProviderRequest) -> CheckProviderResponse:
    """Keeps what a provider said of its keys, each if it still has the value that was asked about."""
    asked: _Asked = call.prepared
    provider, now = await _provider(call, request.provider), from_ms(call.clock.now_ms())
    if not asked.rows:
        return _without_key(call, provider, asked.found[0], now)
    checks = []
    for row, checked in zip(asked.rows, asked.found, strict=True):
        await credentials.keep_check(call, row, checked, now)
        checks.append(shown(row.name, checked, now))
    before = [check for row in asked.rows if (check := row.check()) is not None]
    call.audit(
        f"provider:{provider.name}",
        snapshot(CheckProviderResponse(checks=before)),
        snapshot(CheckProviderResponse(checks=checks)),
    )
    return CheckProviderResponse(checks=checks)


def _without_key(call: Call, provider: ProviderRow, found: Checked, now: datetime) -> CheckProviderResponse:
    if found.outcome is Outcome.REFUSED:
        found = msgspec.structs.replace(found, detail="the provider wants a key, and there is none here")
    response = CheckProviderResponse(checks=[shown("", found, now)])
    call.audit(f"provider:{provider.name}", None, snapshot(response))
    return response


def shown(credential: str, found: Checked, at: datetime) -> CredentialCheck:
    """What was found of a credential at that time, as it is shown."""
    return CredentialCheck(
        credential=credential,
        outcome=found.outcome.value,
        status=found.status,
        detail=found.detail,
        checked_at=at,
    )


def _asking(
    kind: str, base_url: str, api_version: str, values: Sequence[str], proxies: Proxies
) -> Callable[[], Awaitable[list[Checked]]]:
    """Asks one provider about all these values at once; what it said, in their order."""

    async def ask() -> list[Checked]:
        each = (checking.check(ProviderKind(kind), base_url, api_version, value, GUARD, proxies) for value in values)
        return list(await asyncio.gather(*each))

    return ask


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

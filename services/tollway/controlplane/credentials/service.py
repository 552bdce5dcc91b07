"""Use cases of provider credentials: add, replace, weigh, remove. Those of the provider audit and publish them."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from uuid_utils.compat import uuid7

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.credentials import postgres
from tollway.controlplane.credentials.checking import Checked
from tollway.controlplane.credentials.model import CredentialRow, NewCredential, header_safe, place
from tollway.controlplane.credentials.vault import ensure_peppers, value_fingerprint
from tollway.controlplane.resources import from_ms, not_found
from tollway.core.catalog import Quota


def usable_value(value: str, field: str) -> str:
    """The value as it is stored. Raises ApiError when it could not travel in a header."""
    usable = header_safe(value)
    if usable is None:
        raise ApiError(
            ApiCode.INVALID, f"{field} must be printable ASCII without spaces, as it travels in a header", field=field
        )
    return usable


async def add(call: Call, provider_id: UUID, new: NewCredential, field: str = "api_key") -> None:
    """Seals and stores a new credential of a provider. `field` is the request's path of the value, for errors."""
    value = usable_value(new.api_key, field)
    credential_id = uuid7()
    peppers = await ensure_peppers(call.db, call.vault)
    data_key, sealed = await call.vault.seal(call.db, value.encode(), place(credential_id))
    row = CredentialRow(
        id=credential_id,
        provider_id=provider_id,
        name=new.name,
        weight=new.weight or 1,
        quota=new.quota or Quota(),
        sealed=sealed,
        data_key=data_key,
        fingerprint=value_fingerprint(peppers, str(credential_id), value),
        created_at=from_ms(call.clock.now_ms()),
    )
    if not await postgres.insert_credential(call.db, row):
        raise ApiError(
            ApiCode.ALREADY_EXISTS, f"the provider has a credential {new.name!r} already; rotate it", field="name"
        )


async def keep_check(call: Call, row: CredentialRow, found: Checked, at: datetime) -> None:
    """Keeps what a check of the credential's value found at that time."""
    await postgres.record_check(call.db, row, found.outcome.value, found.status, at)


async def value_of(call: Call, row: CredentialRow) -> str:
    """The credential itself, for a check; it leaves this process towards the provider alone."""
    return (await call.vault.open(call.db, row.data_key, row.sealed, place(row.id))).decode()


async def find(call: Call, provider_id: UUID, reference: str) -> CredentialRow:
    """The live credential with that id or name, locked until the transaction ends."""
    row = await postgres.credential_for_update(call.db, provider_id, reference)
    if row is None:
        raise not_found("credential", reference, "credential")
    return row


async def replace(call: Call, row: CredentialRow, api_key: str) -> None:
    """Another value in the place of the present one; requests in flight finish with the old one."""
    value = usable_value(api_key, "api_key")
    peppers = await ensure_peppers(call.db, call.vault)
    data_key, sealed = await call.vault.seal(call.db, value.encode(), place(row.id))
    fingerprint = value_fingerprint(peppers, str(row.id), value)
    await postgres.replace_value(call.db, row.id, data_key, sealed, fingerprint, from_ms(call.clock.now_ms()))


async def change(call: Call, row: CredentialRow, weight: int, quota: Quota) -> bool:
    """Another share of the provider's traffic, another quota; whether that changed anything."""
    if (weight, quota) == (row.weight, row.quota):
        return False
    await postgres.update_credential(call.db, row.id, weight, quota)
    return True


async def remove(call: Call, row: CredentialRow) -> None:
    """Takes the credential away and forgets its ciphertext."""
    await postgres.remove_credential(call.db, row.id, from_ms(call.clock.now_ms()))

"""Use cases of rotation: what is in use, and the start of a rotation. The worker carries it on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from uuid_utils.compat import uuid7

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.credentials.keks import kind_of
from tollway.controlplane.resources import from_ms
from tollway.controlplane.rotation import postgres
from tollway.controlplane.rotation.model import (
    DataKeyStatus,
    GetSecretsStatusRequest,
    Holder,
    KekStatus,
    KeyRow,
    Kind,
    RotateDataKeyRequest,
    RotateKekRequest,
    RotationRow,
    RotationStatus,
    SecretsStatus,
    TableStatus,
    current,
)

SHOWN_ROTATIONS = 10


async def get_status(call: Call, _request: GetSecretsStatusRequest) -> SecretsStatus:
    """Which keys wrap and seal how much, and how far rotations are."""
    return await _status(call)


async def _status(call: Call) -> SecretsStatus:
    keys = await postgres.data_keys(call.db)
    by_table = await postgres.uses(call.db)
    used = postgres.in_use(by_table)
    newest = current(keys)
    newest_id = newest.id if newest is not None else ""
    return SecretsStatus(
        keks=_keks(call.vault.keks, keys, await postgres.holders(call.db)),
        data_keys=[
            DataKeyStatus(
                id=key.id,
                kek=key.kek,
                current=key.id == newest_id,
                values=used[key.id],
                created_at=key.created_at,
                retired_at=key.retired_at,
            )
            for key in keys
        ],
        tables=[
            TableStatus(name=table, values=found.total(), left=found.total() - found[newest_id])
            for table, found in by_table.items()
        ],
        rotations=[_rotation(row, keys, used) for row in await postgres.rotations(call.db, SHOWN_ROTATIONS)],
    )


def _keks(given: Sequence[str], keys: Sequence[KeyRow], holders: Sequence[Holder]) -> list[KekStatus]:
    wrapped = Counter(key.kek for key in keys)
    names = dict.fromkeys([*given, *wrapped, *(name for holder in holders for name in holder.keks)])
    return [
        KekStatus(
            name=name,
            kind=kind_of(name),
            current=name == given[0],
            data_keys=wrapped[name],
            missing_on=[holder.label for holder in holders if name not in holder.keks],
            removable=name != given[0] and not wrapped[name],
        )
        for name in names
    ]


def _rotation(row: RotationRow, keys: Sequence[KeyRow], used: Counter[str]) -> RotationStatus:
    left = 0
    if row.state == "running":
        left = (
            used.total() - used[row.target] if row.kind is Kind.DATA_KEY else sum(key.kek != row.target for key in keys)
        )
    return RotationStatus(
        id=str(row.id),
        kind=row.kind.value,
        target=row.target,
        state=row.state,
        total=row.total,
        changed=row.changed,
        left=left,
        problem=row.problem,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        finished_at=row.finished_at,
    )


async def rotate_data_key(call: Call, _request: RotateDataKeyRequest) -> SecretsStatus:
    """Makes another data key and has everything sealed under it. While that goes on, asking again changes nothing."""
    await postgres.lock(call.db)
    if any(row.kind is Kind.DATA_KEY for row in await postgres.running(call.db)):
        return await _status(call)
    before = current(await postgres.data_keys(call.db))
    total = postgres.in_use(await postgres.uses(call.db)).total()
    made = await call.vault.new_data_key(call.db)
    await _begin(call, Kind.DATA_KEY, made.id, total)
    call.audit("secrets:data_key", {"data_key": before.id} if before else None, {"data_key": made.id})
    return await _status(call)


async def rotate_kek(call: Call, _request: RotateKekRequest) -> SecretsStatus:
    """Has every data key wrapped under the first key of `TOLLWAY_KEK`, once all control planes have that key."""
    await postgres.lock(call.db)
    target = call.vault.fingerprint
    under_way = [row for row in await postgres.running(call.db) if row.kind is Kind.KEK]
    keys = await postgres.data_keys(call.db)
    todo = [key for key in keys if key.kek != target]
    if any(row.target == target for row in under_way) or not (todo or under_way):
        return await _status(call)
    lacking = [holder.label for holder in await postgres.holders(call.db) if target not in holder.keks]
    if lacking:
        raise ApiError(
            ApiCode.FAILED_PRECONDITION,
            f"the key-encryption key {target} is not in TOLLWAY_KEK of every control plane; it is missing on "
            f"{', '.join(lacking)}: restart them with the new key and the old one, then ask again",
        )
    for row in under_way:
        await postgres.supersede(call.db, row.id, from_ms(call.clock.now_ms()))
    await _begin(call, Kind.KEK, target, len(todo))
    call.audit("secrets:kek", {"keks": sorted({key.kek for key in keys})}, {"keks": [target]})
    return await _status(call)


async def _begin(call: Call, kind: Kind, target: str, total: int) -> None:
    now = from_ms(call.clock.now_ms())
    await postgres.begin(call.db, uuid7(), kind, target, total=total, by=call.principal.name, at=now)

"""What there is to say of keys and their rotation, as the contract's messages. Pure; no key is in any of them."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Kind(StrEnum):
    """What is rotated: the data key that values are sealed under, or the key-encryption key that wraps data keys."""

    DATA_KEY = "data_key"
    KEK = "kek"


class GetSecretsStatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class RotateDataKeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class RotateKekRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class KekStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A key-encryption key by its name; `data_keys` are wrapped by it, `missing_on` are processes that lack it."""

    name: str
    kind: str
    current: bool
    data_keys: int
    missing_on: list[str]
    removable: bool


class DataKeyStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A data key; `values` are sealed under it."""

    id: str
    kek: str
    current: bool
    values: int
    created_at: datetime
    retired_at: datetime | None = None


class TableStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Sealed values of one table; `left` are not under the current data key."""

    name: str
    values: int
    left: int


class RotationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One rotation: `changed` of `total` values (or data keys) are done, `left` are not."""

    id: str
    kind: str
    target: str
    state: str
    total: int
    changed: int
    left: int
    problem: str
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None = None


class SecretsStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Which keys are in use, and how far rotations are; the newest rotation first."""

    keks: list[KekStatus]
    data_keys: list[DataKeyStatus]
    tables: list[TableStatus]
    rotations: list[RotationStatus]


class RotationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `secret_rotations`."""

    id: UUID
    kind: Kind
    target: str
    state: str
    total: int
    changed: int
    problem: str
    requested_by: str
    requested_at: datetime
    finished_at: datetime | None = None


class KeyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `data_keys`."""

    id: str
    wrapped: bytes
    kek: str
    created_at: datetime
    retired_at: datetime | None = None

    def __repr__(self) -> str:
        return f"KeyRow(id={self.id!r}, kek={self.kek!r})"


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A running control plane, and the names of the key-encryption keys that it was given."""

    id: UUID
    host: str
    keks: list[str]

    @property
    def label(self) -> str:
        """How an operator finds it."""
        return f"{self.host} ({str(self.id)[-6:]})"


def current(keys: list[KeyRow]) -> KeyRow | None:
    """The data key that is sealed under now: the newest that is not retired. `keys` are by age, oldest first."""
    return next((key for key in reversed(keys) if key.retired_at is None), None)

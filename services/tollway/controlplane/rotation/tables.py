"""Every table with sealed values, and the place that each value is bound to. A test walks the schema against this list.

A table that is added here has its three statements in `queries.sql`: `NAME_batch`, `NAME_reseal` and `NAME_uses`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from uuid import UUID

import msgspec

from tollway.controlplane.alerts import channels
from tollway.controlplane.api import idempotency
from tollway.controlplane.credentials import model as credentials
from tollway.controlplane.credentials.vault import pepper_place
from tollway.controlplane.signin import issuers, sessions


class SealedRow(msgspec.Struct, frozen=True, kw_only=True):
    """One sealed value. `sealed` is empty or None where the value was forgotten; `purpose` is of peppers."""

    id: str
    data_key: str
    sealed: bytes | None
    purpose: str = ""

    def __repr__(self) -> str:
        return f"SealedRow(id={self.id!r})"


Place = Callable[[SealedRow], bytes]

TABLES: Mapping[str, Place] = MappingProxyType(
    {
        "alert_channels": lambda row: channels.place(UUID(row.id)),
        "credentials": lambda row: credentials.place(UUID(row.id)),
        "idempotency_records": lambda row: idempotency.place(row.id),
        "peppers": lambda row: pepper_place(row.id, row.purpose),
        "signin_issuers": lambda row: issuers.place(row.id),
        "signin_sessions": lambda row: sessions.place(row.id),
    }
)
"""Name of the table -> the associated data of a row's value."""

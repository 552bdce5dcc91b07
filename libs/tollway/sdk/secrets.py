"""The keys that protect stored secrets, and their rotation. No key is ever in an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from tollway.sdk.paging import typed
from tollway.sdk.threads import awaitable
from tollway.sdk.transport import Transport


@dataclass(frozen=True, kw_only=True)
class KekStatus:
    """A key-encryption key: `data_keys` are wrapped by it; `missing_on` are control planes that were not given it.

    `current` is the one that `rotate_kek` goes to; one that is `removable` may leave TOLLWAY_KEK.
    """

    name: str = ""
    kind: str = ""
    current: bool = False
    data_keys: int = 0
    missing_on: list[str] = field(default_factory=list)
    removable: bool = False


@dataclass(frozen=True, kw_only=True)
class DataKeyStatus:
    """A data key under the key-encryption key `kek`; `values` are sealed under it."""

    id: str = ""
    kek: str = ""
    current: bool = False
    values: int = 0
    created_at: datetime | None = None
    retired_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SealedTable:
    """Sealed values of one table; `left` are not yet under the current data key."""

    name: str = ""
    values: int = 0
    left: int = 0


@dataclass(frozen=True, kw_only=True)
class SecretRotation:
    """A rotation of the kind data_key or kek. `state` is running, done or superseded; `problem` holds it up."""

    id: str = ""
    kind: str = ""
    target: str = ""
    state: str = ""
    total: int = 0
    changed: int = 0
    left: int = 0
    problem: str = ""
    requested_by: str = ""
    requested_at: datetime | None = None
    finished_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class SecretsStatus:
    """Which keys are in use, and the last rotations, newest first."""

    keks: list[KekStatus] = field(default_factory=list)
    data_keys: list[DataKeyStatus] = field(default_factory=list)
    tables: list[SealedTable] = field(default_factory=list)
    rotations: list[SecretRotation] = field(default_factory=list)


class Secrets:
    """`/api/v1/secrets`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def status(self) -> SecretsStatus:
        """Which keys are in use, and how far rotations are."""
        return typed(SecretsStatus, self._transport.call("GET", "/api/v1/secrets"))

    def rotate_data_key(self) -> SecretsStatus:
        """Begins to seal every stored secret anew under another data key."""
        return typed(SecretsStatus, self._transport.call("POST", "/api/v1/secrets:rotateDataKey", body={}))

    def rotate_kek(self) -> SecretsStatus:
        """Begins to wrap every data key anew under the first key of TOLLWAY_KEK."""
        return typed(SecretsStatus, self._transport.call("POST", "/api/v1/secrets:rotateKek", body={}))


class AsyncSecrets:
    """As `Secrets`, with coroutines."""

    def __init__(self, sync: Secrets) -> None:
        self.status = awaitable(sync.status)
        self.rotate_data_key = awaitable(sync.rotate_data_key)
        self.rotate_kek = awaitable(sync.rotate_kek)

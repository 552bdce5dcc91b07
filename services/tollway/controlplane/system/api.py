"""The system service's methods."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from tollway.controlplane.call import Call, Method
from tollway.controlplane.db.migrate import schema_version, shipped
from tollway.controlplane.db.versions import installation


class Connected(Protocol):
    """A subscriber of the configuration stream."""

    @property
    def replica(self) -> str:
        """Its name."""

    @property
    def behind(self) -> int:
        """How many versions it has not been sent."""

    @property
    def connected_at_ms(self) -> int:
        """Unix milliseconds."""


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    replica: str
    behind: int
    connected_at: datetime


class GetStatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    version: str
    epoch: str
    config_version: int
    schema_version: int
    subscribers: list[Subscriber]
    quarantined_rows: int


def methods(
    version: str, subscribers: Callable[[], Sequence[Connected]], quarantined: Callable[[], Awaitable[int]]
) -> dict[str, Method]:
    """The methods, bound to what this process knows of itself."""

    async def get_status(call: Call, _request: GetStatusRequest) -> Status:
        here = await installation(call.db)
        return Status(
            version=version,
            epoch=here.epoch,
            config_version=here.version,
            schema_version=schema_version(shipped()),
            subscribers=[
                Subscriber(
                    replica=found.replica,
                    behind=found.behind,
                    connected_at=datetime.fromtimestamp(found.connected_at_ms / 1000, UTC),
                )
                for found in subscribers()
            ],
            quarantined_rows=await quarantined(),
        )

    return {"tollway.control.v1.SystemService/GetStatus": Method(GetStatusRequest, get_status)}

"""`SystemService`: how the platform is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from importlib import metadata

import msgspec

from tollway.controlplane.call import Call, Method
from tollway.controlplane.db.migrate import applied
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.publish.model import SubscriberStatus
from tollway.controlplane.resources import from_ms

_SQL = Statements(__package__ or "")


class GetStatusRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class Subscriber(msgspec.Struct, frozen=True, kw_only=True):
    """A data plane on this process's push stream."""

    replica: str
    behind: int
    connected_at: datetime


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The platform's state; `subscribers` are those of the process that answered."""

    version: str
    epoch: str
    config_version: int
    schema_version: int
    subscribers: list[Subscriber]
    quarantined_rows: int


class _Installation(msgspec.Struct):
    epoch: str
    version: int
    quarantined_rows: int


def version() -> str:
    """The version of this installation of Tollway."""
    return metadata.version("tollway")


async def _installation(db: Database) -> _Installation:
    found = await _SQL.one(db, "status", _Installation)
    assert found is not None
    return found


def methods(subscribers: Callable[[], Sequence[SubscriberStatus]]) -> dict[str, Method]:
    """The methods of the service; `subscribers` tells who is connected."""

    async def get_status(call: Call, _request: GetStatusRequest) -> Status:
        found = await _installation(call.db)
        done = await applied(call.db)
        return Status(
            version=version(),
            epoch=found.epoch,
            config_version=found.version,
            schema_version=max((row.number for row in done), default=0),
            subscribers=[
                Subscriber(replica=s.replica, behind=s.behind, connected_at=from_ms(s.connected_at_ms))
                for s in subscribers()
            ],
            quarantined_rows=found.quarantined_rows,
        )

    return {"tollway.control.v1.SystemService/GetStatus": Method(GetStatusRequest, get_status)}

"""Config push between the generated messages and plain values; the rest of the code sees only the values."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.wire.gen.tollway.config.v1 import config_pb2 as pb


class Position(msgspec.Struct, frozen=True):
    """A place in the history of the configuration; versions of different epochs cannot be compared."""

    epoch: str
    version: int


class CatalogSnapshot(msgspec.Struct, frozen=True):
    """The whole catalog at `position`, sealed to the fleet key."""

    position: Position
    sealed: bytes


class KeyChange(msgspec.Struct, frozen=True):
    """One directory entry at the version of the change that made it; `sealed` is empty for a tombstone."""

    lookup: str
    version: int
    sealed: bytes


class KeyChanges(msgspec.Struct, frozen=True):
    """A batch of entries. In a snapshot, `position` holds only after the part that is `complete`."""

    position: Position
    changes: tuple[KeyChange, ...]
    snapshot: bool = False
    complete: bool = False


class Heartbeat(msgspec.Struct, frozen=True):
    """A sign of life: nothing up to `position` is missing."""

    position: Position


ConfigEvent = CatalogSnapshot | KeyChanges | Heartbeat


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """What a subscriber has and wants."""

    replica: str
    catalog: Position | None = None
    directory: Position | None = None
    want_directory_snapshot: bool = False


def _position_out(position: Position) -> pb.Position:
    return pb.Position(epoch=position.epoch, version=position.version)


def _position_in(message: Any) -> Position:
    return Position(message.epoch, message.version)


def encode_subscription(value: Subscription) -> pb.SubscribeRequest:
    """The request of a subscriber."""
    message = pb.SubscribeRequest(replica=value.replica, want_directory_snapshot=value.want_directory_snapshot)
    if value.catalog is not None:
        message.catalog.CopyFrom(_position_out(value.catalog))
    if value.directory is not None:
        message.directory.CopyFrom(_position_out(value.directory))
    return message


def decode_subscription(message: pb.SubscribeRequest) -> Subscription:
    """The request of a subscriber."""
    return Subscription(
        replica=message.replica,
        catalog=_position_in(message.catalog) if message.HasField("catalog") else None,
        directory=_position_in(message.directory) if message.HasField("directory") else None,
        want_directory_snapshot=message.want_directory_snapshot,
    )


def encode_event(event: ConfigEvent) -> pb.ConfigEvent:
    """An event as it goes on the stream."""
    position = _position_out(event.position)
    if isinstance(event, Heartbeat):
        return pb.ConfigEvent(heartbeat=pb.Heartbeat(position=position))
    if isinstance(event, CatalogSnapshot):
        return pb.ConfigEvent(catalog=pb.CatalogSnapshot(position=position, sealed=event.sealed))
    changes = [pb.KeyChange(lookup=c.lookup, version=c.version, sealed=c.sealed) for c in event.changes]
    return pb.ConfigEvent(
        keys=pb.KeyChanges(position=position, changes=changes, snapshot=event.snapshot, complete=event.complete)
    )


def decode_event(message: pb.ConfigEvent) -> ConfigEvent | None:
    """An event from the stream; None for one of a kind that this version does not know."""
    kind = message.WhichOneof("event")
    if kind == "heartbeat":
        return Heartbeat(_position_in(message.heartbeat.position))
    if kind == "catalog":
        return CatalogSnapshot(_position_in(message.catalog.position), message.catalog.sealed)
    if kind == "keys":
        keys = message.keys
        changes = tuple(KeyChange(c.lookup, c.version, c.sealed) for c in keys.changes)
        return KeyChanges(_position_in(keys.position), changes, keys.snapshot, keys.complete)
    return None

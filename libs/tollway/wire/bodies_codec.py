"""Bodies for the request log between the generated messages and `tollway.core.requestlog`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.requestlog import LoggedBody
from tollway.wire.gen.tollway.usage.v1 import bodies_pb2 as pb

_FIELDS = tuple(field.name for field in msgspec.structs.fields(LoggedBody))
_PLAIN = tuple(name for name in _FIELDS if name != "tags")


def encode_body(body: LoggedBody) -> pb.LoggedBody:
    """One request and its answer as they are sent. Raises ValueError or TypeError for what the wire cannot carry."""
    return pb.LoggedBody(**{name: getattr(body, name) for name in _FIELDS})


def decode_body(message: Any) -> LoggedBody:
    """One request and its answer; nothing is checked here."""
    return LoggedBody(**{name: getattr(message, name) for name in _PLAIN}, tags=dict(message.tags))


def encode_bodies(replica: str, bodies: Sequence[LoggedBody], dropped: int) -> pb.StoreBodiesRequest:
    """A batch as it is sent; `dropped` counts the bodies that the sender had to drop since its last answered call."""
    return pb.StoreBodiesRequest(replica=replica, bodies=[encode_body(body) for body in bodies], dropped=dropped)


def decode_bodies(message: pb.StoreBodiesRequest) -> tuple[str, list[LoggedBody], int]:
    """The sender, the bodies, and how many it dropped."""
    return message.replica, [decode_body(body) for body in message.bodies], message.dropped

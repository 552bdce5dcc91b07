"""Notices between the generated messages and `tollway.core.notices`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from tollway.core.notices import Notice
from tollway.wire.gen.tollway.usage.v1 import notices_pb2 as pb

_FIELDS = tuple(field.name for field in msgspec.structs.fields(Notice))


def encode_report(replica: str, notices: Sequence[Notice], lost: int) -> pb.ReportRequest:
    """A report as it is sent; `lost` counts the notices that the sender had no room for since its last report."""
    told = [pb.Notice(**{name: getattr(notice, name) for name in _FIELDS}) for notice in notices]
    return pb.ReportRequest(replica=replica, notices=told, lost=lost)


def decode_report(message: Any) -> tuple[str, list[Notice], int]:
    """The sender, its notices, and how many it lost; nothing is checked here."""
    told = [Notice(**{name: getattr(notice, name) for name in _FIELDS}) for notice in message.notices]
    return message.replica, told, message.lost

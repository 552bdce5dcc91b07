"""One request and its answer as the request log takes them: what they were, and their bodies packed.

`content` is one JSON object, by itself or in a zstd frame; its form is told in docs/reference/request-log.md. Times are
Unix milliseconds. Pure values: nothing here packs, sends or stores.
"""

from __future__ import annotations

import msgspec

RETENTION_CLASSES = (1, 7, 30, 90, 365)
"""The numbers of days for which bodies can be kept."""


class LoggedBody(msgspec.Struct, frozen=True, kw_only=True):
    """A request, its answer, and for how many days they are kept (one of `RETENTION_CLASSES`).

    `request_id` is the request's id in the ledger (a UUIDv7); `status` is 0 when the client was gone before there was
    one; `masked` says that `content` was masked, `truncated` that a body was longer than what is kept of one;
    `plain_bytes` is the size of `content` unpacked.
    """

    request_id: str
    started_ms: int
    organisation: str = ""
    business_unit: str = ""
    project: str = ""
    key_id: str = ""
    key_public_id: str = ""
    user: str = ""
    endpoint: str = ""
    model: str = ""
    provider: str = ""
    stream: bool = False
    status: int = 0
    outcome: str = ""
    error_code: str = ""
    client_request_id: str = ""
    tags: dict[str, str] = {}
    client_address: str = ""
    user_agent: str = ""
    retention_days: int = 30
    masked: bool = False
    truncated: bool = False
    plain_bytes: int = 0
    content: bytes = b""
    duration_ms: int = 0

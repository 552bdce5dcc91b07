"""What the usage methods take and give: the messages of `UsageService`, by field name. Times are aware datetimes."""

from __future__ import annotations

from datetime import datetime

import msgspec


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one group. Costs are decimal dollars; `cached_requests`: those that the response cache answered."""

    group: str
    requests: int = 0
    errors: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: str = "0"
    estimated_cost: str = "0"
    unpriced_requests: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    prediction_accepted_tokens: int = 0
    prediction_rejected_tokens: int = 0
    images: int = 0
    audio_ms: int = 0
    characters: int = 0
    searches: int = 0
    cached_requests: int = 0


class QueryUsageRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over [`from`, `to`) by a dimension; filters name a project, a key, a model or a business unit.

    With `limit`, only so many groups, the dearest ones. `projects` are ids.
    """

    by: str = ""
    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None
    project: str = ""
    key: str = ""
    model: str = ""
    business_unit: str = ""
    limit: int | None = None
    projects: list[str] = []


class QueryUsageResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The groups, and the sum over all requests (which a request that asked two providers enters once).

    `others` is what the groups add up to that a limit leaves out; `groups` says how many there are with them.
    """

    rows: list[UsageRow]
    total: UsageRow
    others: UsageRow | None = None
    groups: int = 0


class LedgerAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream call, or the adjustment of one (`outcome` "adjustment", amounts to add, perhaps negative)."""

    id: str
    number: int
    provider: str
    target_model: str
    outcome: str
    status: int
    error_code: str
    input_tokens: int
    cached_input_tokens: int
    output_tokens: int
    reasoning_tokens: int
    cost: str
    price_version: str
    estimated: bool
    started_at: datetime
    ended_at: datetime
    provider_request_id: str
    cache_write_5m_tokens: int
    cache_write_1h_tokens: int
    audio_input_tokens: int
    image_input_tokens: int
    audio_output_tokens: int
    image_output_tokens: int
    prediction_accepted_tokens: int
    prediction_rejected_tokens: int
    images: int
    audio_ms: int
    characters: int
    searches: int


class LedgerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One client request. `cost` is the sum over its attempts; `estimated`: part of it rests on an estimate.

    `cache` is what the response cache did: nothing (empty), "miss", "hit", or "shared" (it joined another's call).
    """

    id: str
    project: str
    key_public_id: str
    endpoint: str
    model: str
    stream: bool
    outcome: str
    status: int
    error_code: str
    cost: str
    estimated: bool
    client_request_id: str
    tags: dict[str, str]
    started_at: datetime
    ended_at: datetime
    attempts: list[LedgerAttempt]
    cache: str


class ListRequestsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A page of the ledger, newest first."""

    page_size: int = 0
    page_token: str = ""
    project: str = ""
    key: str = ""
    model: str = ""
    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None


class ListRequestsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """`next_page_token` is empty on the last page."""

    requests: list[LedgerRequest]
    next_page_token: str

"""The methods of `UsageService`. They read only, inside the call's transaction."""

from __future__ import annotations

from tollway.controlplane.call import Call, Method
from tollway.controlplane.ledger import reports
from tollway.controlplane.ledger.model import (
    ListRequestsRequest,
    ListRequestsResponse,
    QueryUsageRequest,
    QueryUsageResponse,
)
from tollway.controlplane.resources import from_ms


async def query_usage(call: Call, request: QueryUsageRequest) -> QueryUsageResponse:
    """`UsageService.QueryUsage`; the period defaults to the last 30 days."""
    return await reports.query_usage(call.db, request, from_ms(call.clock.now_ms()), call.reach)


async def list_requests(call: Call, request: ListRequestsRequest) -> ListRequestsResponse:
    """`UsageService.ListRequests`."""
    return await reports.list_requests(call.db, request, call.reach)


_USAGE = "tollway.control.v1.UsageService"

METHODS: dict[str, Method] = {
    f"{_USAGE}/QueryUsage": Method(QueryUsageRequest, query_usage, filters=True),
    f"{_USAGE}/ListRequests": Method(ListRequestsRequest, list_requests, filters=True),
}

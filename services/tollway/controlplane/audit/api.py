"""The audit service's methods."""

from __future__ import annotations

from tollway.controlplane.audit.model import AuditEvent, ListAuditEventsRequest, ListAuditEventsResponse
from tollway.controlplane.call import ApiCode, ApiError, Call, Method
from tollway.controlplane.db.statements import Statements
from tollway.controlplane.resources import as_uuid, page_limit, page_start, page_token

_sql = Statements(__package__ or "")
_KIND = "audit"


async def list_events(call: Call, request: ListAuditEventsRequest) -> ListAuditEventsResponse:
    """The entries, newest first."""
    start = page_start(_KIND, request.page_token)
    if start and as_uuid(start) is None:
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")
    limit = page_limit(request.page_size)
    events = await _sql.all(
        call.db,
        "list_events",
        AuditEvent,
        start=start or None,
        resource=request.resource,
        action=request.action,
        limit=limit + 1,
    )
    more = page_token(_KIND, str(events[limit - 1].id)) if len(events) > limit else ""
    return ListAuditEventsResponse(events=events[:limit], next_page_token=more)


METHODS: dict[str, Method] = {
    "tollway.control.v1.AuditService/ListAuditEvents": Method(ListAuditEventsRequest, list_events),
}

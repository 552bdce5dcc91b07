"""The method of the audit log."""

from __future__ import annotations

from tollway.controlplane.audit import model, service
from tollway.controlplane.call import Method

METHODS: dict[str, Method] = {
    "tollway.control.v1.AuditService/ListAuditEvents": Method(model.ListAuditEventsRequest, service.list_events),
}

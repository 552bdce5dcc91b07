"""The methods of the audit log."""

from __future__ import annotations

from tollway.controlplane.audit import model, service
from tollway.controlplane.audit.verify import verify_audit
from tollway.controlplane.call import Method

_AUDIT = "tollway.control.v1.AuditService"
METHODS: dict[str, Method] = {
    f"{_AUDIT}/ListAuditEvents": Method(model.ListAuditEventsRequest, service.list_events),
    f"{_AUDIT}/GetAuditHead": Method(model.GetAuditHeadRequest, service.get_head),
    f"{_AUDIT}/VerifyAudit": Method(model.VerifyAuditRequest, verify_audit),
}

"""The methods of `ReconciliationService`."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.reconciliation import model, service

_RECONCILIATION = "tollway.control.v1.ReconciliationService"

METHODS: dict[str, Method] = {
    f"{_RECONCILIATION}/UploadBill": Method(model.UploadBillRequest, service.upload_bill),
    f"{_RECONCILIATION}/GetReconciliation": Method(model.GetReconciliationRequest, service.get_reconciliation),
    f"{_RECONCILIATION}/ListReconciliations": Method(model.ListReconciliationsRequest, service.list_reconciliations),
}

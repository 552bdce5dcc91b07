"""The methods of `SecretService`."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.rotation import model, service

_SECRETS = "tollway.control.v1.SecretService"

METHODS: dict[str, Method] = {
    f"{_SECRETS}/GetSecretsStatus": Method(model.GetSecretsStatusRequest, service.get_status),
    f"{_SECRETS}/RotateDataKey": Method(model.RotateDataKeyRequest, service.rotate_data_key),
    f"{_SECRETS}/RotateKek": Method(model.RotateKekRequest, service.rotate_kek),
}

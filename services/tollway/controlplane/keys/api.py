"""The methods of virtual keys."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.keys import model, service

_KEYS = "tollway.control.v1.KeyService"

METHODS: dict[str, Method] = {
    f"{_KEYS}/CreateKey": Method(model.CreateKeyRequest, service.create_key),
    f"{_KEYS}/GetKey": Method(model.GetKeyRequest, service.get_key),
    f"{_KEYS}/ListKeys": Method(model.ListKeysRequest, service.list_keys, filters=True),
    f"{_KEYS}/UpdateKey": Method(model.UpdateKeyRequest, service.update_key),
    f"{_KEYS}/RotateKey": Method(model.RotateKeyRequest, service.rotate_key),
    f"{_KEYS}/EndKeyGrace": Method(model.EndKeyGraceRequest, service.end_grace),
    f"{_KEYS}/RevokeKey": Method(model.RevokeKeyRequest, service.revoke_key),
}

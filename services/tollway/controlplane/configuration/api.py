"""The method of declarative configuration."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.configuration import model, service

METHODS: dict[str, Method] = {
    "tollway.control.v1.ConfigurationService/Apply": Method(model.ApplyRequest, service.apply, prepare=service.prepare),
}

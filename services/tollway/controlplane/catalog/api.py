"""The methods of providers, their credentials, and models."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.catalog import checks, model, models, providers

_PROVIDERS = "tollway.control.v1.ProviderService"
_MODELS = "tollway.control.v1.ModelService"

METHODS: dict[str, Method] = {
    f"{_PROVIDERS}/CreateProvider": Method(
        model.CreateProviderRequest, providers.create_provider, prepare=checks.prepare_new
    ),
    f"{_PROVIDERS}/GetProvider": Method(model.GetProviderRequest, providers.get_provider),
    f"{_PROVIDERS}/ListProviders": Method(model.ListProvidersRequest, providers.list_providers),
    f"{_PROVIDERS}/UpdateProvider": Method(model.UpdateProviderRequest, providers.update_provider),
    f"{_PROVIDERS}/ArchiveProvider": Method(model.ArchiveProviderRequest, providers.archive_provider),
    f"{_PROVIDERS}/AddCredential": Method(
        model.AddCredentialRequest, providers.add_credential, prepare=checks.prepare_value
    ),
    f"{_PROVIDERS}/UpdateCredential": Method(model.UpdateCredentialRequest, providers.update_credential),
    f"{_PROVIDERS}/RotateCredential": Method(
        model.RotateCredentialRequest, providers.rotate_credential, prepare=checks.prepare_value
    ),
    f"{_PROVIDERS}/RemoveCredential": Method(model.RemoveCredentialRequest, providers.remove_credential),
    f"{_PROVIDERS}/CheckProvider": Method(
        checks.CheckProviderRequest, checks.check_provider, prepare=checks.prepare_check
    ),
    f"{_MODELS}/CreateModel": Method(model.CreateModelRequest, models.create_model),
    f"{_MODELS}/ListModels": Method(model.ListModelsRequest, models.list_models),
    f"{_MODELS}/GetModel": Method(model.GetModelRequest, models.get_model),
    f"{_MODELS}/UpdateModel": Method(model.UpdateModelRequest, models.update_model),
    f"{_MODELS}/ArchiveModel": Method(model.ArchiveModelRequest, models.archive_model),
}

"""The paths of Azure's SDKs as our own.

Source: https://learn.microsoft.com/azure/ai-services/openai/reference; `api-version` is read by nobody here.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote

_AZURE = "/openai/"
_DEPLOYMENTS = "/openai/deployments/"
_V1 = "/openai/v1/"


class Place(NamedTuple):
    """A path of our own; `model` is the deployment that an Azure path names."""

    path: str
    model: str | None = None


def place_of(raw_path: str) -> Place:
    """Where a path leads: `/openai/v1/...`, `/openai/deployments/{model}/...` and `/openai/...` to `/v1/...`."""
    path = raw_path.partition("?")[0]
    if not path.startswith(_AZURE):
        return Place(path)
    if path.startswith(_DEPLOYMENTS):
        model, _, rest = path.removeprefix(_DEPLOYMENTS).partition("/")
        return Place(f"/v1/{rest}", unquote(model))
    return Place("/v1/" + path.removeprefix(_V1 if path.startswith(_V1) else _AZURE))

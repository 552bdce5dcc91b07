"""The methods of `RequestLogService`."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.requestlog import model
from tollway.controlplane.requestlog.bodies import Bodies
from tollway.controlplane.requestlog.search import search
from tollway.controlplane.requestlog.store import ContentStore

_LOG = "tollway.control.v1.RequestLogService"


def methods(contents: ContentStore) -> dict[str, Method]:
    """The methods over contents that are kept in `contents`."""
    bodies = Bodies(contents)
    return {
        f"{_LOG}/SearchRequestLog": Method(model.SearchRequestLogRequest, search, filters=True),
        f"{_LOG}/GetLoggedRequest": Method(model.GetLoggedRequestRequest, bodies.read),
        f"{_LOG}/DeleteLoggedRequests": Method(model.DeleteLoggedRequestsRequest, bodies.erase),
    }

"""The methods of business units and projects."""

from __future__ import annotations

from tollway.controlplane.call import Method
from tollway.controlplane.identity import model, service

_UNITS = "tollway.control.v1.BusinessUnitService"
_PROJECTS = "tollway.control.v1.ProjectService"

METHODS: dict[str, Method] = {
    f"{_UNITS}/CreateBusinessUnit": Method(model.CreateBusinessUnitRequest, service.create_unit),
    f"{_UNITS}/GetBusinessUnit": Method(model.GetBusinessUnitRequest, service.get_unit),
    f"{_UNITS}/ListBusinessUnits": Method(model.ListBusinessUnitsRequest, service.list_units, filters=True),
    f"{_UNITS}/UpdateBusinessUnit": Method(model.UpdateBusinessUnitRequest, service.update_unit),
    f"{_UNITS}/ArchiveBusinessUnit": Method(model.ArchiveBusinessUnitRequest, service.archive_unit),
    f"{_PROJECTS}/CreateProject": Method(model.CreateProjectRequest, service.create_project),
    f"{_PROJECTS}/GetProject": Method(model.GetProjectRequest, service.get_project),
    f"{_PROJECTS}/ListProjects": Method(model.ListProjectsRequest, service.list_projects, filters=True),
    f"{_PROJECTS}/UpdateProject": Method(model.UpdateProjectRequest, service.update_project),
    f"{_PROJECTS}/ArchiveProject": Method(model.ArchiveProjectRequest, service.archive_project),
}

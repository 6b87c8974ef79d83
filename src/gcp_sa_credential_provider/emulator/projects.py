"""Projects: who may call an API there, and Resource Manager's view of one.

Imports state and rejection. Shapes: Cloud Resource Manager v1 and v3 API messages; texts as users
report them from Google.
"""

from collections.abc import Mapping
from typing import Any

from gcp_sa_credential_provider.emulator.call import Call, Method
from gcp_sa_credential_provider.emulator.rejection import (
    ApiError,
    error_info,
    quota_exceeded,
    service_disabled,
)
from gcp_sa_credential_provider.emulator.resources import Project
from gcp_sa_credential_provider.emulator.state import Google

_IAM = "iam.googleapis.com"
RESOURCE_MANAGER = "cloudresourcemanager.googleapis.com"
ARTIFACT_REGISTRY = "artifactregistry.googleapis.com"
_TITLES = {
    _IAM: "Identity and Access Management (IAM) API",
    RESOURCE_MANAGER: "Cloud Resource Manager API",
    ARTIFACT_REGISTRY: "Artifact Registry API",
}


def admitted(google: Google, name: str, kind: str, api: str = _IAM) -> Project:
    """The project by id or number, if its quota (`iamReads`, `iamWrites`) has room.

    `api` is what must be enabled there. Raises ApiError: 403 for no such project or a disabled
    API, 429.
    """
    project = known(google, name)
    if api in project.disabled_services:
        raise service_disabled(_TITLES[api], api, project.number)
    quotas = google.resources.options.quotas
    if not google.quotas.take(kind, project.number, quotas, google.clock.now()):
        metric = "Read requests" if kind == "iamReads" else "Write requests"
        raise quota_exceeded(metric, _IAM, project.number)
    return project


def known(google: Google, name: str) -> Project:
    """The project by id or number. Raises ApiError 403."""
    project = google.resources.projects.get(name)
    if project is None:
        raise ApiError(
            403,
            f"Permission denied on resource project {name}.",
            f"no project {name}",
            [error_info("CONSUMER_INVALID", _IAM, consumer=f"projects/{name}")],
        )
    return project


def _get_v1(google: Google, call: Call) -> Mapping[str, Any]:
    project = admitted(google, call.params["project"], "iamReads", RESOURCE_MANAGER)
    return {
        "projectId": project.id,
        "projectNumber": project.number,
        "name": project.id,
        "lifecycleState": "ACTIVE",
    }


def _get_v3(google: Google, call: Call) -> Mapping[str, Any]:
    project = admitted(google, call.params["project"], "iamReads", RESOURCE_MANAGER)
    return {
        "name": f"projects/{project.number}",
        "projectId": project.id,
        "displayName": project.id,
        "state": "ACTIVE",
    }


METHODS = (
    Method(
        "GET",
        "/v1/projects/{project}",
        "cloudresourcemanager.projects.get",
        _get_v1,
        response="Project",
    ),
    Method(
        "GET",
        "/v3/projects/{project}",
        "cloudresourcemanager.v3.projects.get",
        _get_v3,
        response="ProjectV3",
    ),
)

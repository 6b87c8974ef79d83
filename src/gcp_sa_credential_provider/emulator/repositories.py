"""Artifact Registry v1: repositories, as its REST API shows them (get, list).

Imports state. Shapes: Artifact Registry v1 API messages (Repository).
"""

from collections.abc import Mapping
from typing import Any

from gcp_sa_credential_provider.emulator import rest
from gcp_sa_credential_provider.emulator.call import Call, Method
from gcp_sa_credential_provider.emulator.projects import ARTIFACT_REGISTRY, admitted
from gcp_sa_credential_provider.emulator.rejection import ApiError
from gcp_sa_credential_provider.emulator.resources import Repository
from gcp_sa_credential_provider.emulator.state import Google


def repository_of(google: Google, call: Call, kind: str, permission: str) -> Repository:
    """The repository that the path names. Raises ApiError 403, also where there is none."""
    project = admitted(google, call.params["project"], kind, ARTIFACT_REGISTRY)
    name = _parent(call, project.id) + f"/{call.params['repository']}"
    repository = google.resources.repositories.get(name)
    if repository is None:
        raise ApiError(
            403,
            f"Permission '{permission}' denied on resource '//artifactregistry.googleapis.com/"
            f"{name}' (or it may not exist).",
            f"no repository {name}",
        )
    return repository


def _get(google: Google, call: Call) -> Mapping[str, Any]:
    return _shown(repository_of(google, call, "iamReads", "artifactregistry.repositories.get"))


def _list(google: Google, call: Call) -> Mapping[str, Any]:
    project = admitted(google, call.params["project"], "iamReads", ARTIFACT_REGISTRY)
    parent = _parent(call, project.id)
    entries, more = rest.page(
        {
            name: _shown(repository)
            for name, repository in google.resources.repositories.items()
            if name.rpartition("/")[0] == parent
        },
        call.query,
    )
    return {**({"repositories": entries} if entries else {}), **more}


def _parent(call: Call, project: str) -> str:
    return f"projects/{project}/locations/{call.params['location']}/repositories"


def _shown(repository: Repository) -> dict[str, Any]:
    return {"name": repository.name, "format": "DOCKER", "mode": "STANDARD_REPOSITORY"}


_PATH = "/v1/projects/{project}/locations/{location}/repositories"
_NAME = "artifactregistry.projects.locations.repositories"
METHODS = (
    Method(
        "GET",
        _PATH,
        f"{_NAME}.list",
        _list,
        ("pageSize", "pageToken"),
        response="ListRepositoriesResponse",
    ),
    Method("GET", f"{_PATH}/{{repository}}", f"{_NAME}.get", _get, response="Repository"),
)

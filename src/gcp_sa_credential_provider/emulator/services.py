"""Service Usage v1: which APIs a project has enabled (get, list, enable, batchEnable).

Imports state. Shapes: Service Usage v1 API messages (Service, BatchEnableServicesRequest,
ListServicesRequest); the refusal of an unknown service as users report it.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gcp_sa_credential_provider.emulator import rest
from gcp_sa_credential_provider.emulator.call import Call, Method
from gcp_sa_credential_provider.emulator.projects import known
from gcp_sa_credential_provider.emulator.rejection import ApiError, error_info
from gcp_sa_credential_provider.emulator.resources import Project, Resources
from gcp_sa_credential_provider.emulator.state import Google

_OWN = "serviceusage.googleapis.com"
_SERVED = (
    "artifactregistry.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    _OWN,
    "sts.googleapis.com",
)
_BATCH_MAX = 20
_TYPES = "type.googleapis.com/google.api.serviceusage.v1."
_STATES = ("ENABLED", "DISABLED")


def _shown(project: Project, service: str) -> dict[str, Any]:
    name = f"projects/{project.number}"
    return {
        "name": f"{name}/services/{service}",
        "parent": name,
        "config": {"name": service},
        "state": "DISABLED" if service in project.disabled_services else "ENABLED",
    }


def _check(project: Project, services: Sequence[str]) -> None:
    """Raise ApiError for a service that is neither served nor declared as disabled."""
    unknown = sorted({*services} - {*_SERVED} - project.disabled_services)
    if unknown:
        raise ApiError(
            403,
            f"Not found or permission denied for service(s): {', '.join(unknown)}.",
            details=[error_info("SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED", _OWN)],
        )


def _get(google: Google, call: Call) -> Mapping[str, Any]:
    project = known(google, call.params["project"])
    _check(project, [call.params["service"]])
    return _shown(project, call.params["service"])


def _list(google: Google, call: Call) -> Mapping[str, Any]:
    project = known(google, call.params["project"])
    wanted = call.query.get("filter", "")
    if wanted not in ("", *(f"state:{state}" for state in _STATES)):
        raise ApiError(400, f"Invalid filter: {wanted}", "state:ENABLED or state:DISABLED")
    services = {
        name: shown
        for name in {*_SERVED, *project.disabled_services}
        if (shown := _shown(project, name))["state"] in (wanted.removeprefix("state:") or _STATES)
    }
    entries, more = rest.page(services, call.query)
    return {**({"services": entries} if entries else {}), **more}


def _enable(google: Google, call: Call) -> Mapping[str, Any]:
    rest.body(call.body, {})
    return _enabled(google, call, [call.params["service"]], "EnableServiceResponse")


def _batch_enable(google: Google, call: Call) -> Mapping[str, Any]:
    services = rest.body(call.body, {"serviceIds": [str]}).get("serviceIds", [])
    if not 1 <= len(services) <= _BATCH_MAX:
        raise ApiError(400, f"Between 1 and {_BATCH_MAX} services can be enabled at once.")
    return _enabled(google, call, services, "BatchEnableServicesResponse")


def _enabled(google: Google, call: Call, services: Sequence[str], kind: str) -> Mapping[str, Any]:
    project = known(google, call.params["project"])
    _check(project, services)

    def edit(resources: Resources) -> Resources:
        old = resources.projects[project.id]
        new = replace(old, disabled_services=old.disabled_services - {*services})
        table = {name: new if entry is old else entry for name, entry in resources.projects.items()}
        return replace(resources, projects=table)

    google.change(edit)
    shown = [_shown(google.resources.projects[project.id], service) for service in services]
    response = {"service": shown[0]} if kind == "EnableServiceResponse" else {"services": shown}
    return google.operations.add(
        f"operations/acf.p2-{project.number}-{secrets.token_hex(16)}",
        {
            "@type": f"{_TYPES}OperationMetadata",
            "resourceNames": [service["name"] for service in shown],
        },
        {"@type": f"{_TYPES}{kind}", **response},
        google.clock.now(),
        google.resources.options.operation_seconds,
    )


def _operation(google: Google, call: Call) -> Mapping[str, Any]:
    return google.operations.get(f"operations/{call.params['id']}", google.clock.now())


_PATH = "/v1/projects/{project}/services"
METHODS = (
    Method(
        "GET",
        _PATH,
        "serviceusage.services.list",
        _list,
        ("filter", "pageSize", "pageToken"),
        response="ListServicesResponse",
    ),
    Method("GET", f"{_PATH}/{{service}}", "serviceusage.services.get", _get, response="Service"),
    Method(
        "POST",
        f"{_PATH}/{{service}}:enable",
        "serviceusage.services.enable",
        _enable,
        response="Operation",
    ),
    Method(
        "POST",
        f"{_PATH}:batchEnable",
        "serviceusage.services.batchEnable",
        _batch_enable,
        request="BatchEnableServicesRequest",
        response="Operation",
    ),
    Method(
        "GET",
        "/v1/operations/{id}",
        "serviceusage.operations.get",
        _operation,
        response="Operation",
    ),
)

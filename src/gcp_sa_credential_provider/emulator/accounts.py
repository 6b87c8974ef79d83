"""IAM v1: service accounts, as far as impersonation needs them (create, get, list).

Imports state. Shapes: IAM v1 API messages (ServiceAccount, CreateServiceAccountRequest), which
also say that an unknown account below `projects/-` is a 403.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gcp_sa_credential_provider.emulator import rest
from gcp_sa_credential_provider.emulator.call import Call, Method
from gcp_sa_credential_provider.emulator.projects import admitted
from gcp_sa_credential_provider.emulator.rejection import ApiError, Invalid, error_info, not_found
from gcp_sa_credential_provider.emulator.resources import Resources, ServiceAccount, unique_id
from gcp_sa_credential_provider.emulator.state import Google

_ID = re.compile(r"[a-z][-a-z0-9]{4,28}[a-z0-9]")
_TEXTS = {"displayName": 100, "description": 256}
ACCOUNT_SHAPE: rest.Shape = {
    "name": str,
    "projectId": str,
    "uniqueId": str,
    "email": str,
    "displayName": str,
    "description": str,
    "etag": str,
    "oauth2ClientId": str,
    "disabled": bool,
}
_CREATE: rest.Shape = {"accountId": str, "serviceAccount": ACCOUNT_SHAPE}


def account_of(google: Google, call: Call, kind: str) -> ServiceAccount:
    """The account that the path names by e-mail or unique id. Raises ApiError."""
    account = google.resources.service_accounts.get(call.params["account"])
    written = call.params["project"]
    if written == "-":
        if account is None:
            raise ApiError(
                403,
                "Permission 'iam.serviceAccounts.get' denied on resource (or it may not exist).",
                f"no account {call.params['account']}",
                [
                    error_info(
                        "IAM_PERMISSION_DENIED",
                        "iam.googleapis.com",
                        permission="iam.serviceAccounts.get",
                    )
                ],
            )
        written = account.project
    project = admitted(google, written, kind)
    if account is None or account.project != project.id:
        raise not_found(f"projects/{project.id}/serviceAccounts/{call.params['account']}")
    return account


def shown(account: ServiceAccount) -> dict[str, Any]:
    """The REST resource."""
    return {
        "name": account.name,
        "projectId": account.project,
        "uniqueId": account.unique_id,
        "email": account.email,
        **account.resource,
        "oauth2ClientId": account.unique_id,
    }


def _create(google: Google, call: Call) -> Mapping[str, Any]:
    project = admitted(google, call.params["project"], "iamWrites")
    given = rest.body(call.body, _CREATE)
    account_id = given.get("accountId", "")
    if not _ID.fullmatch(account_id):
        raise Invalid(
            "accountId",
            f"Invalid service account ID: {account_id!r}.",
            "use 6 to 30 of a-z, 0-9 and -, beginning with a letter",
        )
    texts = {key: given.get("serviceAccount", {}).get(key, "") for key in _TEXTS}
    for key, limit in _TEXTS.items():
        if len(texts[key].encode()) > limit:
            raise Invalid(key, f"The value exceeds {limit} bytes.", "shorten it")
    email = f"{account_id}@{project.id}.iam.gserviceaccount.com"
    account = ServiceAccount(
        email,
        project.id,
        unique_id(email),
        resource={key: text for key, text in texts.items() if text},
    )

    def edit(resources: Resources) -> Resources:
        if email in resources.service_accounts:
            raise ApiError(
                409,
                f"Service account {account_id} already exists within project"
                f" projects/{project.id}.",
            )
        added = {email: account, account.unique_id: account}
        return replace(resources, service_accounts={**resources.service_accounts, **added})

    google.change(edit)
    return shown(account)


def _get(google: Google, call: Call) -> Mapping[str, Any]:
    return shown(account_of(google, call, "iamReads"))


def _list(google: Google, call: Call) -> Mapping[str, Any]:
    project = admitted(google, call.params["project"], "iamReads")
    accounts = {
        account.name: shown(account)
        for account in google.resources.service_accounts.values()
        if account.project == project.id
    }
    entries, more = rest.page(accounts, call.query)
    return {**({"accounts": entries} if entries else {}), **more}


_PATH = "/v1/projects/{project}/serviceAccounts"
_NAME = "iam.projects.serviceAccounts"
METHODS = (
    Method(
        "POST",
        _PATH,
        f"{_NAME}.create",
        _create,
        request="CreateServiceAccountRequest",
        response="ServiceAccount",
    ),
    Method(
        "GET",
        _PATH,
        f"{_NAME}.list",
        _list,
        ("pageSize", "pageToken"),
        response="ListServiceAccountsResponse",
    ),
    Method("GET", f"{_PATH}/{{account}}", f"{_NAME}.get", _get, response="ServiceAccount"),
)

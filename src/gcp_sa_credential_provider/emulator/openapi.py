"""The OpenAPI document of the emulator, made from the methods themselves.

Imports the services. OpenAPI Specification 3.1. The control listener serves it at /openapi.json,
docs/emulator-openapi.json is a copy.
"""

import re
from collections.abc import Mapping
from typing import Any

from gcp_sa_credential_provider.emulator import accounts, iam_policies, iam_pools, rest
from gcp_sa_credential_provider.emulator.call import Method
from gcp_sa_credential_provider.emulator.methods import METHODS

_TEXT = {"type": "string"}
_TYPES: Mapping[Any, dict[str, Any]] = {
    str: _TEXT,
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    dict: {"type": "object"},
}
_OUTPUT: rest.Shape = {"name": str, "state": str, "expireTime": str}
_EXCHANGE = "grantType audience scope requestedTokenType subjectToken subjectTokenType options"
_TEXTS = {
    "ExchangeTokenRequest": _EXCHANGE,
    "IntrospectTokenRequest": "token tokenTypeHint",
    "Project": "projectId projectNumber name lifecycleState",
    "ProjectV3": "name projectId displayName state",
    "Repository": "name format mode",
    "GenerateAccessTokenResponse": "accessToken expireTime",
}
_SHAPES: dict[str, rest.Shape] = {
    **{name: dict.fromkeys(members.split(), str) for name, members in _TEXTS.items()},
    "ExchangeTokenResponse": {
        "access_token": str,
        "issued_token_type": str,
        "token_type": str,
        "expires_in": int,
    },
    "IntrospectTokenResponse": {
        "active": bool,
        **dict.fromkeys(["client_id", "exp", "iat", "iss", "scope", "sub", "username"], str),
    },
    "GenerateAccessTokenRequest": {"scope": [str], "lifetime": str, "delegates": [str]},
    "WorkloadIdentityPool": {**_OUTPUT, **iam_pools.POOL_SHAPE},
    "WorkloadIdentityPoolProvider": {**_OUTPUT, **iam_pools.PROVIDER_SHAPE},
    "ServiceAccount": accounts.ACCOUNT_SHAPE,
    "CreateServiceAccountRequest": {
        "accountId": str,
        "serviceAccount": accounts.ACCOUNT_SHAPE,
    },
    "Policy": iam_policies.POLICY_SHAPE,
    "SetIamPolicyRequest": {"policy": iam_policies.POLICY_SHAPE, "updateMask": str},
    "GetIamPolicyRequest": {"options": {"requestedPolicyVersion": int}},
    "Service": {"name": str, "parent": str, "config": {"name": str}, "state": str},
    "BatchEnableServicesRequest": {"serviceIds": [str]},
    "Operation": {"name": str, "metadata": dict, "done": bool, "response": dict},
}
_LISTS = {
    "ListWorkloadIdentityPoolsResponse": ("workloadIdentityPools", "WorkloadIdentityPool"),
    "ListWorkloadIdentityPoolProvidersResponse": (
        "workloadIdentityPoolProviders",
        "WorkloadIdentityPoolProvider",
    ),
    "ListServiceAccountsResponse": ("accounts", "ServiceAccount"),
    "ListRepositoriesResponse": ("repositories", "Repository"),
    "ListServicesResponse": ("services", "Service"),
}
_ERRORS = {
    "OAuthError": {"error": str, "error_description": str},
    "ApiError": {"error": {"code": int, "message": str, "status": str, "details": [dict]}},
}
_FORM_TOO = ("ExchangeTokenRequest", "IntrospectTokenRequest")


def document() -> dict[str, Any]:
    """The document as plain JSON values."""
    paths: dict[str, dict[str, Any]] = {}
    for method in METHODS:
        paths.setdefault(method.path, {})[method.verb.lower()] = _operation(method)
    lists = {
        name: _object({member: {"type": "array", "items": _ref(item)}, "nextPageToken": _TEXT})
        for name, (member, item) in _LISTS.items()
    }
    shapes = {name: _schema(shape) for name, shape in {**_SHAPES, **_ERRORS}.items()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Google in a box",
            "version": "1",
            "description": (
                "What the emulator serves of STS v1, IAM v1, IAM Credentials v1, Artifact Registry"
                " v1, Resource Manager v1 and v3 and Service Usage v1. Images are served by the"
                " OCI distribution specification below /v2/."
            ),
        },
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted({**shapes, **lists}.items()))},
    }


def _operation(method: Method) -> dict[str, Any]:
    path_parameters = re.findall(r"\{(\w+)\}", method.path)
    parameters = [
        {"name": name, "in": where, "required": where == "path", "schema": _TEXT}
        for where, names in (("path", path_parameters), ("query", method.query))
        for name in names
    ]
    error = "OAuthError" if method.name.startswith("sts.") else "ApiError"
    operation: dict[str, Any] = {
        "operationId": method.name,
        "responses": {
            "200": {"description": "Success", "content": _json(method.response)},
            "default": {"description": "Google's own error", "content": _json(error)},
        },
    }
    if parameters:
        operation["parameters"] = parameters
    if method.request:
        content = _json(method.request)
        if method.request in _FORM_TOO:
            content["application/x-www-form-urlencoded"] = {
                "schema": _schema({_snake(name): str for name in _SHAPES[method.request]})
            }
        operation["requestBody"] = {"content": content}
    return operation


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": _ref(schema)}}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


def _schema(shape: Any) -> dict[str, Any]:
    if isinstance(shape, list):
        return {"type": "array", "items": _schema(shape[0])}
    if shape == rest.MAP:
        return {"type": "object", "additionalProperties": _TEXT}
    if isinstance(shape, Mapping):
        return _object({name: _schema(inner) for name, inner in shape.items()})
    return _TYPES[shape]


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", name)

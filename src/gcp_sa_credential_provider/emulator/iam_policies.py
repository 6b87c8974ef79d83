"""IAM policies of projects, service accounts and repositories: get, set, etags.

Imports state. Policy and etag: Google, "Policy" and "setIamPolicy" of the three APIs (IAM v1,
Cloud Resource Manager v1 and v3, Artifact Registry v1). The etag is a digest of the policy: equal
policies have equal etags.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from gcp_sa_credential_provider.emulator import rest
from gcp_sa_credential_provider.emulator.accounts import account_of
from gcp_sa_credential_provider.emulator.call import Call, Method
from gcp_sa_credential_provider.emulator.config import check_member, check_role
from gcp_sa_credential_provider.emulator.principals import Binding, Policy
from gcp_sa_credential_provider.emulator.projects import RESOURCE_MANAGER, admitted
from gcp_sa_credential_provider.emulator.rejection import ApiError, ConfigError
from gcp_sa_credential_provider.emulator.repositories import repository_of
from gcp_sa_credential_provider.emulator.resources import policy_of, with_policy
from gcp_sa_credential_provider.emulator.state import Google

POLICY_SHAPE: rest.Shape = {
    "version": int,
    "etag": str,
    "bindings": [{"role": str, "members": [str], "condition": dict}],
    "auditConfigs": [dict],
}
_SET: rest.Shape = {"policy": POLICY_SHAPE, "updateMask": str}
_GET: rest.Shape = {"options": {"requestedPolicyVersion": int}}
_EMPTY_ETAG = "ACAB"

Named = Callable[[Google, Call, str], str]
"""The name of the resource that a call is about; raises ApiError where it is not there."""


def shown(policy: Policy) -> dict[str, Any]:
    """The policy as JSON, one binding for a role, with its etag."""
    members: dict[str, set[str]] = {}
    for binding in policy:
        members.setdefault(binding.role, set()).update(binding.members)
    bindings = [{"role": role, "members": sorted(members[role])} for role in sorted(members)]
    if not bindings:
        return {"etag": _EMPTY_ETAG}
    digest = hashlib.sha256(json.dumps(bindings).encode()).digest()
    return {"version": 1, "etag": base64.b64encode(digest[:8]).decode(), "bindings": bindings}


def _getter(named: Named) -> Callable[[Google, Call], Mapping[str, Any]]:
    def get(google: Google, call: Call) -> Mapping[str, Any]:
        rest.body(call.body, _GET)
        return shown(policy_of(google.resources, named(google, call, "iamReads")))

    return get


def _setter(named: Named) -> Callable[[Google, Call], Mapping[str, Any]]:
    def set_(google: Google, call: Call) -> Mapping[str, Any]:
        name = named(google, call, "iamWrites")
        given = rest.body(call.body, _SET).get("policy", {})
        new = _policy(given)

        def replaced(old: Policy) -> Policy:
            if _plain(given.get("etag", "")) not in ("", _plain(shown(old)["etag"])):
                raise ApiError(
                    409,
                    "There were concurrent policy changes. Please retry the whole"
                    " read-modify-write with exponential backoff.",
                    f"etag {given['etag']} is not {shown(old)['etag']}",
                    status="ABORTED",
                )
            return new

        google.change(lambda resources: with_policy(resources, name, replaced))
        return shown(policy_of(google.resources, name))

    return set_


def _plain(etag: str) -> str:
    """Without the choices that base64 leaves: gcloud answers in the URL-safe alphabet."""
    return etag.translate(str.maketrans("-_", "+/", "="))


def _policy(given: Mapping[str, Any]) -> Policy:
    bindings = []
    for binding in given.get("bindings", []):
        if "condition" in binding:
            raise ApiError(400, "The emulator does not evaluate conditions of IAM bindings.")
        try:
            check_role("bindings", binding.get("role", ""))
            for member in binding.get("members", []):
                check_member("bindings", member)
        except ConfigError as error:
            raise ApiError(400, f"Invalid argument: {error.what}.", str(error)) from error
        if binding.get("members"):
            bindings.append(Binding(binding["role"], frozenset(binding["members"])))
    return tuple(bindings)


def _project(google: Google, call: Call, kind: str) -> str:
    project = admitted(google, call.params["project"], kind, RESOURCE_MANAGER)
    return f"projects/{project.id}"


def _account(google: Google, call: Call, kind: str) -> str:
    return account_of(google, call, kind).name


def _repository(google: Google, call: Call, kind: str) -> str:
    verb = "getIamPolicy" if kind == "iamReads" else "setIamPolicy"
    return repository_of(google, call, kind, f"artifactregistry.repositories.{verb}").name


def _methods(
    path: str, prefix: str, named: Named, verb: str, query: tuple[str, ...] = ()
) -> tuple[Method, Method]:
    get, set_ = _getter(named), _setter(named)
    request = "GetIamPolicyRequest" if verb == "POST" else ""
    return (
        Method(
            verb, f"{path}:getIamPolicy", f"{prefix}.getIamPolicy", get, query, request, "Policy"
        ),
        Method(
            "POST",
            f"{path}:setIamPolicy",
            f"{prefix}.setIamPolicy",
            set_,
            request="SetIamPolicyRequest",
            response="Policy",
        ),
    )


_VERSION = ("options.requestedPolicyVersion",)
METHODS = (
    *_methods("/v1/projects/{project}", "cloudresourcemanager.projects", _project, "POST"),
    *_methods("/v3/projects/{project}", "cloudresourcemanager.v3.projects", _project, "POST"),
    *_methods(
        "/v1/projects/{project}/serviceAccounts/{account}",
        "iam.projects.serviceAccounts",
        _account,
        "POST",
        _VERSION,
    ),
    *_methods(
        "/v1/projects/{project}/locations/{location}/repositories/{repository}",
        "artifactregistry.projects.locations.repositories",
        _repository,
        "GET",
        _VERSION,
    ),
)

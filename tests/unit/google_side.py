"""What Google holds of a fleet, in one form: read from a plan, from Terraform, from the emulator.

The plan is read here without the renderers' own gathering, so that a comparison means something.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import hcl2

from gcp_sa_credential_provider.fleet.plan import Plan

Body = dict[str, Any]
TERRAFORM = "google/terraform"
POOLS = "google_iam_workload_identity_pool"
PROVIDERS = "google_iam_workload_identity_pool_provider"
READERS = "google_artifact_registry_repository_iam_member"
USERS = "google_service_account_iam_member"
ACCOUNTS = "google_service_account"

_OPTIONS = hcl2.SerializationOptions(with_comments=False, explicit_blocks=False)


@dataclass(frozen=True)
class GoogleSide:
    """Everything by its name."""

    pools: Mapping[str, str]
    """Id to display name."""
    providers: Mapping[str, Body]
    """`POOL/PROVIDER` to what it says."""
    accounts: frozenset[str]
    """E-mails of the service accounts that are made."""
    grants: frozenset[tuple[str, str, str]] = field(default_factory=frozenset)
    """(repository's name or account's e-mail, role, member)."""


def of_plan(plan: Plan) -> GoogleSide:
    """What the plan asks for."""
    project = plan.fleet.google.project_id
    return GoogleSide(
        {cluster.pool: cluster.pool_display for cluster in plan.clusters},
        {
            f"{cluster.pool}/{cluster.provider}": provider(
                cluster.provider_display,
                cluster.issuer,
                cluster.jwks,
                cluster.mapping,
                cluster.condition,
            )
            for cluster in plan.clusters
        },
        frozenset(
            email
            for email in plan.service_accounts
            if email.endswith(f"@{project}.iam.gserviceaccount.com")
        ),
        frozenset(
            (
                f"projects/{there.project}/locations/{there.location}/repositories/{there.name}"
                if (there := grant.repository)
                else str(grant.account),
                grant.role,
                grant.member,
            )
            for grant in plan.grants
        ),
    )


def resources(text: str, kind: str = "resource") -> Iterable[tuple[str, str, Body]]:
    """Type, name and body of each resource (or `data`) of a file."""
    for block in hcl2.loads(text, serialization_options=_OPTIONS).get(kind, []):
        for type_, named in block.items():
            for name, body in named.items():
                yield literal(type_), literal(name), body


def of_terraform(files: Mapping[str, str]) -> GoogleSide:
    """What Terraform would make. References are followed, `for_each` is unrolled."""
    main = files[f"{TERRAFORM}/main.tf"]
    known = {(type_, name): body for type_, name, body in resources(main)}

    def value(expression: str) -> str:
        """A string: a literal, or what a reference leads to."""
        reference = re.fullmatch(r"\$\{(google_\w+)\.([\w-]+)\.(\w+)\}", expression)
        return (
            value(known[reference[1], reference[2]][reference[3]])
            if reference
            else literal(expression)
        )

    def account(expression: str) -> str:
        reference = re.fullmatch(r"\$\{google_service_account\.([\w-]+)\.name\}", expression)
        if reference is None:
            return literal(expression).partition("/serviceAccounts/")[2]
        return emails[reference[1]]

    def grants() -> Iterable[tuple[str, str, str]]:
        for (type_, _), body in known.items():
            if type_ not in (READERS, USERS):
                continue
            assert body["member"] == "${each.value}"
            if type_ == READERS:
                project, location, name = (
                    literal(body[key]) for key in ("project", "location", "repository")
                )
                where = f"projects/{project}/locations/{location}/repositories/{name}"
            else:
                where = account(body["service_account_id"])
            for member in members(body["for_each"]):
                yield where, literal(body["role"]), member

    project = _project(main)
    emails = {
        name: f"{literal(body['account_id'])}@{project}.iam.gserviceaccount.com"
        for (type_, name), body in known.items()
        if type_ == ACCOUNTS
    }
    return GoogleSide(
        {
            literal(body["workload_identity_pool_id"]): literal(body["display_name"])
            for (type_, _), body in known.items()
            if type_ == POOLS
        },
        {
            "/".join(
                [
                    value(body["workload_identity_pool_id"]),
                    literal(body["workload_identity_pool_provider_id"]),
                ]
            ): _terraform_provider(body, files)
            for (type_, _), body in known.items()
            if type_ == PROVIDERS
        },
        frozenset(emails.values()),
        frozenset(grants()),
    )


def of_emulator(document: Mapping[str, Any], like: GoogleSide) -> GoogleSide:
    """What the emulator's state holds of the resources that `like` names."""
    end = "/locations/global/workloadIdentityPools/"
    active = {
        key: {
            entry["name"].partition(end)[2].replace("/providers/", "/"): entry
            for entry in document[key]
            if entry["state"] == "ACTIVE" and not entry.get("disabled")
        }
        for key in ("workloadIdentityPools", "workloadIdentityPoolProviders")
    }
    holders = [
        *((entry["name"], entry["iamPolicy"]) for entry in document["repositories"]),
        *(
            (entry["name"].rpartition("/")[2], entry["iamPolicy"])
            for entry in document["serviceAccounts"]
        ),
    ]
    return GoogleSide(
        {
            name: entry.get("displayName", "")
            for name, entry in active["workloadIdentityPools"].items()
            if name in like.pools
        },
        {
            name: provider(
                entry.get("displayName", ""),
                entry["oidc"]["issuerUri"],
                entry["oidc"].get("jwksJson"),
                entry["attributeMapping"],
                entry.get("attributeCondition"),
            )
            | (
                {"audiences": entry["oidc"]["allowedAudiences"]}
                if "allowedAudiences" in entry["oidc"]
                else {}
            )
            for name, entry in active["workloadIdentityPoolProviders"].items()
            if name.partition("/")[0] in like.pools
        },
        frozenset(
            entry["name"].rpartition("/")[2]
            for entry in document["serviceAccounts"]
            if entry["name"].rpartition("/")[2] in like.accounts
        ),
        frozenset(
            (holder, binding["role"], member)
            for holder, policy in holders
            for binding in policy["bindings"]
            for member in binding["members"]
            if holder in {where for where, _, _ in like.grants}
        ),
    )


def members(expression: str) -> list[str]:
    """The texts of `toset([…])`."""
    inner = re.fullmatch(r"\$\{toset\((\[.*\])\)\}", expression, re.DOTALL)
    assert inner, expression
    return [
        literal(item)
        for item in hcl2.loads(f"x = {inner[1]}\n", serialization_options=_OPTIONS)["x"]
    ]


def literal(expression: str) -> str:
    """The text of a quoted literal, by the HCL specification."""
    assert expression[0] == expression[-1] == '"', f"no literal: {expression}"
    assert not re.search(r"(?<!\$)\$\{|(?<!%)%\{", expression), f"a template: {expression}"
    text = expression.replace("$${", "${").replace("%%{", "%{")
    return str(json.loads(re.sub(r"\\U([0-9a-f]{8})", lambda found: _surrogates(found[1]), text)))


def _surrogates(digits: str) -> str:
    return json.dumps(chr(int(digits, 16)))[1:-1]


def _project(main: str) -> str:
    [(_, _, body)] = resources(main, "data")
    return literal(body["project_id"])


def _terraform_provider(body: Body, files: Mapping[str, str]) -> Body:
    [oidc] = body["oidc"]
    keys = None
    if "jwks_json" in oidc:
        path = re.fullmatch(r'\$\{file\("\$\{path\.module\}/\.\./([^"]+)"\)\}', oidc["jwks_json"])
        assert path, oidc["jwks_json"]
        keys = files[f"google/{path[1]}"]
    condition = body.get("attribute_condition")
    return provider(
        literal(body["display_name"]),
        literal(oidc["issuer_uri"]),
        keys,
        {literal(key): literal(text) for key, text in body["attribute_mapping"].items()},
        None if condition is None else literal(condition),
    )


def provider(
    display: str, issuer: str, keys: str | None, mapping: Mapping[str, str], condition: str | None
) -> Body:
    return {
        "display": display,
        "issuer": issuer,
        "keys": None if keys is None else json.loads(keys),
        "mapping": dict(mapping),
        "condition": condition,
    }

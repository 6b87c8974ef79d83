"""A fleet's Google side as a bash script around gcloud, which may be run again and again.

Imports the plan and shell. The functions stand in gcloud.sh beside this file; what is written
here is their calls. Flags: `gcloud iam workload-identity-pools … --help`; separators of a flag's
pairs: `gcloud topic escaping`.
"""

import json
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any

from gcp_sa_credential_provider.fleet.grants import READER
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan
from gcp_sa_credential_provider.render import iam
from gcp_sa_credential_provider.render.comment import HEADER, comment, decisions
from gcp_sa_credential_provider.render.shell import Verbatim, command

SCRIPT = "google/gcloud.sh"
_INDENT = "  "
_SEPARATORS = (",", ";", "|", "~", "@@", "##")


def files(plan: Plan) -> dict[str, str]:
    """The script, and the keys that it and Terraform upload; path to text."""
    keys = {
        f"google/jwks/{cluster.cluster.name}.json": cluster.jwks.rstrip() + "\n"
        for cluster in plan.clusters
        if cluster.jwks is not None
    }
    return {SCRIPT: _script(plan), **keys}


def _script(plan: Plan) -> str:
    google = plan.fleet.google
    settings = [
        f"PROJECT={command([google.project_id])}",
        f"NUMBER={command([google.project_number])}",
        f"POOLS=({command(list(iam.pools(plan)))})",
        f"ACCOUNTS=({command(list(iam.created_accounts(plan)))})",
        f"OTHER_ACCOUNTS=({command(iam.other_accounts(plan))})",
    ]
    if google.universe_domain != "googleapis.com":
        settings.append(f"export CLOUDSDK_CORE_UNIVERSE_DOMAIN={command([google.universe_domain])}")
    functions = resources.files(__package__).joinpath("gcloud.sh").read_text(encoding="utf-8")
    return "\n".join(
        [
            "#!/usr/bin/env bash",
            *comment(HEADER),
            "set -euo pipefail",
            "",
            *settings,
            "",
            "converge() {",
            *_calls(plan),
            "}",
            "",
            functions,
            'main "$@"',
            "",
        ]
    )


def _calls(plan: Plan) -> Iterator[str]:
    yield command(["enable", *iam.SERVICES], _INDENT)
    for pool, first in iam.pools(plan).items():
        yield ""
        yield from _indented(decisions(first.decisions, "pool"))
        wanted = {"displayName": first.pool_display, "state": "ACTIVE"}
        yield command(
            ["pool", pool, _json(wanted), f"--display-name={first.pool_display}"], _INDENT
        )
    for cluster in plan.clusters:
        yield from _provider(cluster)
    yield ""
    for email, account_id in iam.created_accounts(plan).items():
        yield command(["account", account_id, email, iam.ACCOUNT_DISPLAY], _INDENT)
    for granted in (*iam.grants(plan), *_of_nobody(plan)):
        yield command(["grant", granted.role, *_resource(plan, granted)], _INDENT)


def _provider(cluster: ClusterPlan) -> Iterator[str]:
    name = cluster.cluster.name
    wanted: dict[str, Any] = {
        "attributeMapping": dict(cluster.mapping),
        "displayName": cluster.provider_display,
        "oidc": {"issuerUri": cluster.issuer},
        "state": "ACTIVE",
    }
    if cluster.condition is not None:
        wanted["attributeCondition"] = cluster.condition
    keys = "/dev/null" if cluster.jwks is None else Verbatim(f'"$HERE"/jwks/{command([name])}.json')
    yield ""
    yield from _indented(comment(f"the cluster {name}; audience {cluster.audience}"))
    yield from _indented(decisions(cluster.decisions, "keys", "mapping", "condition"))
    yield command(
        [
            *("provider", cluster.pool, cluster.provider, keys, _json(wanted)),
            f"--display-name={cluster.provider_display}",
            f"--issuer-uri={cluster.issuer}",
            f"--attribute-mapping={pairs(cluster.mapping)}",
            f"--attribute-condition={cluster.condition or ''}",
        ],
        _INDENT,
    )


def _of_nobody(plan: Plan) -> Iterator[iam.Members]:
    """Repositories that nobody may pull from (any more): what is granted there is to be told."""
    granted = {grant.repository for grant in plan.grants}
    for repository in plan.repositories:
        if repository not in granted:
            yield iam.Members(READER, (), repository)


def _resource(plan: Plan, granted: iam.Members) -> list[str]:
    if repository := granted.repository:
        place = [f"--location={repository.location}", f"--project={repository.project}"]
        words = ["artifacts", "repositories", repository.name, *place]
    else:
        email = granted.account or ""
        project = f"--project={iam.account_project(plan, email)}"
        words = ["iam", "service-accounts", email, project]
    return [*words, "--", *granted.members]


def pairs(mapping: Mapping[str, str]) -> str:
    """A flag's value of `key=value` pairs; another separator than the comma where one occurs."""
    written = [f"{key}={value}" for key, value in mapping.items()]
    separator = next(sign for sign in _SEPARATORS if not any(sign in pair for pair in written))
    joined = separator.join(written)
    return joined if separator == "," else f"^{separator}^{joined}"


def _json(resource: Mapping[str, Any]) -> str:
    """As `gcloud --format=json` prints it."""
    return json.dumps(resource, indent=2, sort_keys=True)


def _indented(lines: list[str]) -> list[str]:
    return [_INDENT + line for line in lines]

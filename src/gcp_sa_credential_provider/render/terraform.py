"""A fleet's Google side as Terraform (or OpenTofu): plain resources, one directory, no module.

Imports the plan and hcl. Resources and arguments: the Google provider's documentation
(google_iam_workload_identity_pool_provider and its like); its 6.50.0 is what tests compare with.
"""

from collections.abc import Iterable, Iterator

from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan
from gcp_sa_credential_provider.render import iam
from gcp_sa_credential_provider.render.comment import HEADER, comment, decisions
from gcp_sa_credential_provider.render.hcl import (
    Block,
    Call,
    Expression,
    Value,
    document,
    label,
    quoted,
)

FOLDER = "google/terraform"
_PROJECT = Expression("data.google_project.pools.project_id")


def files(plan: Plan) -> dict[str, str]:
    """The three files, path to text."""
    head = comment(HEADER)
    return {
        f"{FOLDER}/versions.tf": document(head, _versions(plan)),
        f"{FOLDER}/main.tf": document(head, _main(plan)),
        f"{FOLDER}/outputs.tf": document(head, _outputs(plan)),
    }


def _versions(plan: Plan) -> Iterator[Block]:
    google = plan.fleet.google
    source = {"source": "hashicorp/google", "version": ">= 6.0.0"}
    yield Block(
        "terraform",
        arguments={"required_version": ">= 1.5.0"},
        blocks=(Block("required_providers", arguments={"google": source}),),
    )
    provider: dict[str, Value] = {"project": google.project_id}
    if google.universe_domain != "googleapis.com":
        provider["universe_domain"] = google.universe_domain
    yield Block("provider", ("google",), provider)


def _main(plan: Plan) -> Iterator[Block]:
    yield _project(plan)
    yield Block(
        "resource",
        ("google_project_service", "api"),
        {
            "for_each": Call("toset", iam.SERVICES),
            "project": _PROJECT,
            "service": Expression("each.value"),
            "disable_on_destroy": False,
        },
    )
    for pool, first in iam.pools(plan).items():
        yield Block(
            "resource",
            ("google_iam_workload_identity_pool", label(pool)),
            {
                "project": _PROJECT,
                "workload_identity_pool_id": pool,
                "display_name": first.pool_display,
                "depends_on": _references(["google_project_service.api"]),
            },
            comments=decisions(first.decisions, "pool"),
        )
    yield from map(_provider, plan.clusters)
    for email, account_id in iam.created_accounts(plan).items():
        yield Block(
            "resource",
            ("google_service_account", label(account_id)),
            {
                "project": _PROJECT,
                "account_id": account_id,
                "display_name": iam.ACCOUNT_DISPLAY,
                "depends_on": _references(["google_project_service.api"]),
            },
            comments=comment(f"impersonated by pullers of this fleet: {email}"),
        )
    for granted in iam.grants(plan):
        yield _members(plan, granted)


def _project(plan: Plan) -> Block:
    """Audiences hold the project's number, Terraform works with its id: both must be one project's.

    Nothing is created before this was read.
    """
    google = plan.fleet.google
    return Block(
        "data",
        ("google_project", "pools"),
        {"project_id": google.project_id},
        blocks=(
            Block(
                "lifecycle",
                blocks=(
                    Block(
                        "postcondition",
                        arguments={
                            "condition": Expression(
                                f"self.number == {quoted(google.project_number)}"
                            ),
                            "error_message": (
                                f"The project {google.project_id} does not have the number"
                                f" {google.project_number}. Fix google.projectNumber in fleet.yaml"
                                " and render again."
                            ),
                        },
                    ),
                ),
            ),
        ),
    )


def _provider(cluster: ClusterPlan) -> Block:
    name = cluster.cluster.name
    pool = f"google_iam_workload_identity_pool.{label(cluster.pool)}"
    arguments: dict[str, Value] = {
        "project": _PROJECT,
        "workload_identity_pool_id": Expression(f"{pool}.workload_identity_pool_id"),
        "workload_identity_pool_provider_id": cluster.provider,
        "display_name": cluster.provider_display,
        "attribute_mapping": cluster.mapping,
    }
    if cluster.condition is not None:
        arguments["attribute_condition"] = cluster.condition
    oidc: dict[str, Value] = {"issuer_uri": cluster.issuer}
    if cluster.jwks is not None:
        path = quoted(f"/../jwks/{name}.json")
        oidc["jwks_json"] = Expression('file("${path.module}' + path.removeprefix('"') + ")")
    return Block(
        "resource",
        ("google_iam_workload_identity_pool_provider", label(name)),
        arguments,
        (Block("oidc", arguments=oidc),),
        [
            *comment(f"the cluster {name}; audience {cluster.audience}"),
            *decisions(cluster.decisions, "keys", "mapping", "condition"),
        ],
    )


def _members(plan: Plan, granted: iam.Members) -> Block:
    role: dict[str, Value] = {"role": granted.role, "member": Expression("each.value")}
    everyone: dict[str, Value] = {"for_each": Call("toset", granted.members)}
    if repository := granted.repository:
        kind = "google_artifact_registry_repository_iam_member"
        name = f"{repository.project}_{repository.location}_{repository.name}"
        resource: dict[str, Value] = {
            "project": repository.project,
            "location": repository.location,
            "repository": repository.name,
        }
    else:
        email = granted.account or ""
        kind = "google_service_account_iam_member"
        name = iam.created_accounts(plan).get(email, email)
        resource = {"service_account_id": _account(plan, email)}
    needed: dict[str, Value] = {"depends_on": _references(_needed(plan, granted.members))}
    return Block("resource", (kind, label(name)), {**everyone, **resource, **role, **needed})


def _account(plan: Plan, email: str) -> Value:
    account_id = iam.created_accounts(plan).get(email)
    if account_id is None:
        return f"projects/{iam.account_project(plan, email)}/serviceAccounts/{email}"
    return Expression(f"google_service_account.{label(account_id)}.name")


def _needed(plan: Plan, members: Iterable[str]) -> list[str]:
    """What must be there before IAM takes these members."""
    needed = {"google_project_service.api": None}
    for member in members:
        pool = iam.pool_of(plan, member)
        account = iam.created_accounts(plan).get(member.removeprefix("serviceAccount:"))
        if pool is not None:
            needed[f"google_iam_workload_identity_pool.{label(pool)}"] = None
        if account is not None:
            needed[f"google_service_account.{label(account)}"] = None
    return list(needed)


def _references(names: Iterable[str]) -> list[Value]:
    return [Expression(name) for name in names]


def _outputs(plan: Plan) -> Iterator[Block]:
    def provider(cluster: ClusterPlan) -> str:
        return f"google_iam_workload_identity_pool_provider.{label(cluster.cluster.name)}"

    yield Block(
        "output",
        ("audiences",),
        {
            "description": "GCP_AUDIENCE of each cluster, and the audience of its tokens.",
            "value": {
                cluster.cluster.name: Expression(
                    f'"//{cluster.audience.split("/")[2]}/${{{provider(cluster)}.name}}"'
                )
                for cluster in plan.clusters
            },
        },
    )
    yield Block(
        "output",
        ("principals",),
        {
            "description": "Who may pull, by repository.",
            "value": {
                granted.repository.image_prefix.rstrip("/"): list(granted.members)
                for granted in iam.grants(plan)
                if granted.repository is not None
            },
        },
    )

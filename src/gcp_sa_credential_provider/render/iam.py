"""What a fleet needs of Google, in the order of creation: the same for Terraform and for gcloud.

Imports the plan and google. Services: Google, "Configure Workload Identity Federation with
Kubernetes" (IAM, Resource Manager, Service Account Credentials, STS); Artifact Registry is what is
pulled from.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan, RepositoryPlan
from gcp_sa_credential_provider.google.names import pool_name

SERVICES = (
    "artifactregistry.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "sts.googleapis.com",
)
"""The APIs that the pools' project has enabled."""

ACCOUNT_DISPLAY = "pulls images for Kubernetes"
_ACCOUNT_DOMAIN = ".iam.gserviceaccount.com"


@dataclass(frozen=True)
class Members:
    """All who have one role on one resource."""

    role: str
    members: tuple[str, ...]
    repository: RepositoryPlan | None = None
    account: str | None = None
    """E-mail. Exactly one of the two is given."""


def pools(plan: Plan) -> Mapping[str, ClusterPlan]:
    """Each pool's id, to the first of its clusters."""
    first: dict[str, ClusterPlan] = {}
    for cluster in plan.clusters:
        first.setdefault(cluster.pool, cluster)
    return first


def pool_of(plan: Plan, member: str) -> str | None:
    """The id of this fleet's pool that a principal is of; None for any other member."""
    number = plan.fleet.google.project_number
    return next((pool for pool in pools(plan) if f"/{pool_name(number, pool)}/" in member), None)


def account_project(plan: Plan, email: str) -> str:
    """The project of a service account, by its e-mail: an id, or the number of a default account.

    A project id of the form SCOPE:NAME is written NAME.SCOPE in e-mails (Google, "Service account
    types": user-managed and default service accounts).
    """
    name, _, domain = email.partition("@")
    if domain == "developer.gserviceaccount.com":
        return name.removesuffix("-compute")
    if domain == "appspot.gserviceaccount.com":
        domain = name + _ACCOUNT_DOMAIN
    if not domain.endswith(_ACCOUNT_DOMAIN):
        return plan.fleet.google.project_id
    project, _, scope = domain.removesuffix(_ACCOUNT_DOMAIN).partition(".")
    return f"{scope}:{project}" if scope else project


def created_accounts(plan: Plan) -> Mapping[str, str]:
    """The service accounts of the pools' project, e-mail to id; others are expected to exist."""
    return {
        email: email.partition("@")[0]
        for email in plan.service_accounts
        if email.endswith(_ACCOUNT_DOMAIN)
        and account_project(plan, email) == plan.fleet.google.project_id
    }


def other_accounts(plan: Plan) -> tuple[str, ...]:
    """E-mails of the service accounts that are expected to exist."""
    made = created_accounts(plan)
    return tuple(email for email in plan.service_accounts if email not in made)


def grants(plan: Plan) -> tuple[Members, ...]:
    """The plan's grants, gathered by resource and role, in the plan's order."""
    gathered: dict[tuple[str, RepositoryPlan | None, str | None], list[str]] = {}
    for grant in plan.grants:
        key = (grant.role, grant.repository, grant.account)
        gathered.setdefault(key, []).append(grant.member)
    return tuple(
        Members(role, tuple(members), repository, account)
        for (role, repository, account), members in gathered.items()
    )

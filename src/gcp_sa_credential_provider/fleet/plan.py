"""What follows from a fleet's description: the one input of all renderers.

Nothing here is decided by a renderer again. Made by `decide.plan_of`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gcp_sa_credential_provider.fleet.model import Cluster, Fleet, NodeGroup, Puller


@dataclass(frozen=True)
class Decision:
    """One choice, as it is written into comments."""

    topic: str
    """Of what: `keys`, `pool`, `mapping`, `condition`, `cacheType`, `rbac`, `matchImages`."""
    choice: str
    reason: str
    """One sentence."""


@dataclass(frozen=True)
class Grant:
    """One IAM binding. Exactly one of `repository` and `account` is given."""

    role: str
    member: str
    """`principal://…`, `principalSet://…` or `serviceAccount:EMAIL`."""
    repository: "RepositoryPlan | None" = None
    account: str | None = None
    """E-mail of the service account that may be impersonated."""


@dataclass(frozen=True)
class RepositoryPlan:
    """A repository with its defaults filled in."""

    name: str
    """Its id."""
    location: str
    project: str
    image_prefix: str
    """Registry and path of its images, with a slash at the end."""

    @property
    def registry(self) -> str:
        """The host."""
        return self.image_prefix.partition("/")[0]


@dataclass(frozen=True)
class Rbac:
    """What the nodes of a cluster may ask the API server for."""

    namespace: str | None
    """None: in all namespaces (ClusterRole)."""
    service_accounts: tuple[str, ...]
    """Empty: all."""


@dataclass(frozen=True)
class ClusterPlan:
    """A cluster with everything that follows."""

    cluster: Cluster
    pool: str
    """Id."""
    provider: str
    """Id."""
    pool_display: str
    """At most 32 characters."""
    provider_display: str
    audience: str
    """`//iam.googleapis.com/projects/NUMBER/…/providers/PROVIDER`; what tokens are asked for."""
    issuer: str
    jwks: str | None
    """What is uploaded: JSON with only what Google takes; None: Google fetches."""
    mapping: Mapping[str, str]
    """Google's attribute to a CEL expression, in a fixed order."""
    condition: str | None
    """CEL; None: every ServiceAccount of the cluster may federate."""
    pullers: tuple[Puller, ...]
    rbac: tuple[Rbac, ...]
    node_get_service_accounts: bool
    """1.33 without the API server's gate: nodes need RBAC to read ServiceAccounts."""
    annotations: Mapping[tuple[str, str], str]
    """(namespace, ServiceAccount) to the e-mail that it impersonates."""
    match_images: tuple[str, ...]
    environment: Mapping[str, str]
    """The plugin's, in a fixed order; GCP_AUDIENCE first."""
    decisions: tuple[Decision, ...]

    @property
    def nodes(self) -> tuple[NodeGroup, ...]:
        """The node groups."""
        return self.cluster.nodes


@dataclass(frozen=True)
class Plan:
    """A fleet with everything that follows."""

    fleet: Fleet
    clusters: tuple[ClusterPlan, ...]
    repositories: tuple[RepositoryPlan, ...]
    grants: tuple[Grant, ...]
    """Without duplicates, in a fixed order."""
    service_accounts: tuple[str, ...]
    """E-mails of Google service accounts that are impersonated, sorted."""

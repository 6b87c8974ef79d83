"""Who a token stands for, and which IAM members that identity answers to.

Imports the standard library. Member forms: Google, "Principal identifiers" and
"Workload Identity Federation"; a `/` inside a value is written `%2F`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Federated:
    """A federated principal: a subject of a pool, with its mapped attributes."""

    pool: str
    """`projects/NUMBER/locations/global/workloadIdentityPools/POOL`."""
    subject: str
    attributes: Mapping[str, str] = field(default_factory=dict)
    """Without the `attribute.` prefix."""
    groups: tuple[str, ...] = ()
    universe: str = "googleapis.com"

    @property
    def principal(self) -> str:
        """The `principal://` member to grant."""
        return f"principal://iam.{self.universe}/{self.pool}/subject/{_escaped(self.subject)}"

    @property
    def members(self) -> frozenset[str]:
        """Every member string that names this identity.

        `allAuthenticatedUsers` is not among them: it excludes federated identities (Google,
        "Principal identifiers").
        """
        pool = f"principalSet://iam.{self.universe}/{self.pool}"
        return frozenset(
            [
                "allUsers",
                self.principal,
                f"{pool}/*",
                *(f"{pool}/group/{_escaped(group)}" for group in self.groups),
                *(
                    f"{pool}/attribute.{name}/{_escaped(value)}"
                    for name, value in self.attributes.items()
                ),
            ]
        )


@dataclass(frozen=True)
class ServiceAccountIdentity:
    """A Google service account, reached by impersonation."""

    email: str

    @property
    def principal(self) -> str:
        """The member to grant."""
        return f"serviceAccount:{self.email}"

    @property
    def members(self) -> frozenset[str]:
        """Every member string that names this identity."""
        return frozenset(["allUsers", "allAuthenticatedUsers", self.principal])


Identity = Federated | ServiceAccountIdentity

_WRITERS = frozenset(
    [
        "roles/artifactregistry.writer",
        "roles/artifactregistry.repoAdmin",
        "roles/artifactregistry.admin",
        "roles/artifactregistry.createOnPushWriter",
        "roles/artifactregistry.createOnPushRepoAdmin",
        "roles/editor",
        "roles/owner",
    ]
)
PULL = "artifactregistry.repositories.downloadArtifacts"
PUSH = "artifactregistry.repositories.uploadArtifacts"
ROLES = {
    PULL: _WRITERS | {"roles/artifactregistry.reader", "roles/viewer"},
    PUSH: _WRITERS,
    "iam.serviceAccounts.getAccessToken": frozenset(
        ["roles/iam.workloadIdentityUser", "roles/iam.serviceAccountTokenCreator"]
    ),
}
"""Permission -> roles that contain it (Google, "IAM roles and permissions index")."""


@dataclass(frozen=True)
class Binding:
    """One role and its members."""

    role: str
    members: frozenset[str]


Policy = tuple[Binding, ...]


def allows(policies: Iterable[Policy], permission: str, identity: Identity | None) -> bool:
    """Whether one of the policies gives the permission; `None` is the anonymous caller."""
    members = frozenset(["allUsers"]) if identity is None else identity.members
    roles = ROLES[permission]
    return any(
        binding.role in roles and not members.isdisjoint(binding.members)
        for policy in policies
        for binding in policy
    )


def granted(policy: Policy, role: str, member: str) -> Policy:
    """The policy with one more member in a role, in the role's binding if it has one."""
    for number, binding in enumerate(policy):
        if binding.role == role:
            more = Binding(role, binding.members | {member})
            return (*policy[:number], more, *policy[number + 1 :])
    return (*policy, Binding(role, frozenset([member])))


def revoked(policy: Policy, role: str, member: str) -> Policy:
    """The policy without that member in that role."""
    rest = (
        Binding(binding.role, binding.members - {member}) if binding.role == role else binding
        for binding in policy
    )
    return tuple(binding for binding in rest if binding.members)


def _escaped(value: str) -> str:
    return value.replace("/", "%2F")

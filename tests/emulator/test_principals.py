"""IAM members of an identity, and policies."""

import pytest

from emulator.world import POOL
from gcp_sa_credential_provider.emulator.principals import (
    Binding,
    Federated,
    ServiceAccountIdentity,
    allows,
    granted,
    revoked,
)

READ = "artifactregistry.repositories.downloadArtifacts"
READER = "roles/artifactregistry.reader"
BASE = f"iam.googleapis.com/{POOL}"
WHO = Federated(POOL, "a/b", {"namespace": "x/y", "team": "z"}, ("g/1", "g2"))


@pytest.mark.rule("members")
@pytest.mark.parametrize(
    ("member", "named"),
    [
        (f"principal://{BASE}/subject/a%2Fb", True),
        (f"principal://{BASE}/subject/a/b", False),
        (f"principalSet://{BASE}/attribute.namespace/x%2Fy", True),
        (f"principalSet://{BASE}/attribute.namespace/x/y", False),
        (f"principalSet://{BASE}/attribute.team/z", True),
        (f"principalSet://{BASE}/attribute.team/z/attribute.namespace/x%2Fy", False),
        (f"principalSet://{BASE}/group/g%2F1", True),
        (f"principalSet://{BASE}/group/g2", True),
        (f"principalSet://{BASE}/*", True),
        (f"principal://{BASE}/*", False),
        (f"principalSet://{BASE}/providers/k8s-one/*", False),
        (f"principal://{BASE.replace('123456789012', 'my-project')}/subject/a%2Fb", False),
        ("allUsers", True),
        ("allAuthenticatedUsers", False),
    ],
)
def test_members_of_a_federated_identity(member: str, *, named: bool) -> None:
    """A slash must be %2F, one attribute a member, number and not id, no provider segment."""
    policy = (Binding(READER, frozenset([member])),)
    assert allows([policy], READ, WHO) is named


@pytest.mark.rule("everybody")
def test_members_of_a_service_account() -> None:
    """Its e-mail, and the two sets of everybody."""
    members = ServiceAccountIdentity("a@b").members
    assert members == {"serviceAccount:a@b", "allUsers", "allAuthenticatedUsers"}


def test_grant_and_revoke() -> None:
    """Giving twice is giving once; a role has one binding; taking leaves the others."""
    policy = granted(granted((), READER, "allUsers"), READER, "allUsers")
    assert policy == (Binding(READER, frozenset(["allUsers"])),)
    assert granted(policy, READER, "user:a@b") == (
        Binding(READER, frozenset(["allUsers", "user:a@b"])),
    )
    two = (
        Binding(READER, frozenset(["allUsers", "user:a@b"])),
        Binding("roles/x", frozenset(["allUsers"])),
    )
    assert revoked(two, READER, "allUsers") == (
        Binding(READER, frozenset(["user:a@b"])),
        Binding("roles/x", frozenset(["allUsers"])),
    )

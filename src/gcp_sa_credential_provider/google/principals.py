"""IAM members that stand for Kubernetes identities.

Imports nothing. Forms: Google, "Workload Identity Federation", principal identifiers: one attribute
for each member, the project's number, no provider. `pool` is a pool's resource name.
"""


def service_account(email: str) -> str:
    """A Google service account."""
    return f"serviceAccount:{email}"


def subject(universe: str, pool: str, value: str) -> str:
    """The one identity whose `google.subject` is the value."""
    return f"principal://iam.{universe}/{pool}/subject/{value}"


def attribute(universe: str, pool: str, name: str, value: str) -> str:
    """All identities with that value of `attribute.NAME`."""
    return f"principalSet://iam.{universe}/{pool}/attribute.{name}/{value}"


def everyone(universe: str, pool: str) -> str:
    """All identities of the pool, of whichever provider: for a pool of one cluster only."""
    return f"principalSet://iam.{universe}/{pool}/*"

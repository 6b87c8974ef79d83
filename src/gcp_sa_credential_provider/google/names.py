"""Names at Google: ids of pools and providers, display names, resource names.

Imports limits. Rules: IAM v1 API messages WorkloadIdentityPool and WorkloadIdentityPoolProvider.
"""

import hashlib

from gcp_sa_credential_provider.google.limits import DISPLAY_NAME_CHARACTERS, ID_CHARACTERS

UNIVERSE = "googleapis.com"
"""The universe that Google itself runs."""

_HASH = 6  # characters; names that are cut stay apart by it


def federation_id(cluster: str) -> str:
    """The id of a cluster's own pool, and of its provider: the same for the same name."""
    wanted = f"k8s-{cluster}"
    most = ID_CHARACTERS[1]
    if len(wanted) <= most:
        return wanted
    digest = hashlib.sha256(cluster.encode()).hexdigest()[:_HASH]
    return f"{wanted[: most - _HASH - 1].rstrip('-')}-{digest}"


def display_name(text: str) -> str:
    """As much of it as Google shows."""
    if len(text) <= DISPLAY_NAME_CHARACTERS:
        return text
    return f"{text[: DISPLAY_NAME_CHARACTERS - 3].rstrip()}..."


def pool_name(project_number: str, pool: str) -> str:
    """A pool's resource name. Google writes the project's number into it, never the id."""
    return f"projects/{project_number}/locations/global/workloadIdentityPools/{pool}"


def audience(universe: str, pool: str, provider: str) -> str:
    """What tokens are asked for: a provider's full resource name. `pool` is a `pool_name`."""
    return f"//iam.{universe}/{pool}/providers/{provider}"

"""Bottlerocket: why not. Rules: bottlerocket-os/bottlerocket-core-kit (credential providers)."""

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render.comment import HEADER
from gcp_sa_credential_provider.render.distributions import page


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """A README alone: there is nothing to put on such a node."""
    text = f"""\
<!-- {HEADER} -->

# {cluster.cluster.name}, nodes {group.name}: Bottlerocket, Kubernetes {group.kubernetes}

**This does not work on Bottlerocket**, and nothing is rendered for these nodes.

The kubelet's providers are in `/usr/libexec/kubernetes/kubelet/plugins`, which is part of the
read-only image, and `settings.kubernetes.credential-providers` knows the providers of that folder
alone: ECR's. There is no setting for another folder, and no other way to the kubelet's flags.

What is left:

1. Nodes of another kind for what pulls from Google: on EKS, AL2023 (`distribution: eks`).
2. A variant of Bottlerocket of your own, built with the program in that folder. Its settings would
   have to know the provider as well. Not verified.
3. imagePullSecrets, as before.

Source: bottlerocket-os/bottlerocket-core-kit. Not verified on a running node by this project.
"""
    return {page.README: text}

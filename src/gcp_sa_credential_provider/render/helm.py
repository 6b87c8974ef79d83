"""The values of the Helm chart in deploy/helm, for each cluster.

Imports the plan, `kubelet`, `yaml_text`, `distributions.node`. Rules: the chart's
values.schema.json.
"""

from collections.abc import Sequence
from typing import Any

from gcp_sa_credential_provider.fleet.model import Distribution, NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan
from gcp_sa_credential_provider.render import kubelet, yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions.node import is_alpha

VALUES = "helm-values.yaml"
GROUP = "nodes"
LABEL = "gcp-sa-credential-provider/install"
"""Label of the nodes to be set up, where there are others that the chart cannot set up."""

# Nodes that no pod may change: their own operating system or operator does it.
_OTHERWISE: tuple[Distribution, ...] = ("talos", "bottlerocket", "openshift")


def files(plan: Plan) -> dict[str, str]:
    """CLUSTER/helm-values.yaml for every cluster with nodes that the chart can set up."""
    return {
        f"{cluster.cluster.name}/{VALUES}": values(cluster)
        for cluster in plan.clusters
        if installable(cluster)
    }


def installable(cluster: ClusterPlan) -> list[NodeGroup]:
    """The node groups that the chart can set up."""
    return [group for group in cluster.nodes if _installs(group)]


def _installs(group: NodeGroup) -> bool:
    """Whether the installer can; it refuses nodes whose file nodeadm writes until 1.34."""
    return group.distribution not in _OTHERWISE and not (
        group.distribution == "eks" and is_alpha(group)
    )


def values(cluster: ClusterPlan) -> str:
    """The text of the file.

    The chart has one group of nodes for all groups of the fleet: their entries are alike, and the
    installer sees on each node how that is run. The configuration is that of the newer minors: on
    a node of 1.33 the installer leaves cacheType out, and puts it back when that becomes 1.34.
    """
    others = [group.name for group in cluster.nodes if not _installs(group)]
    group: dict[str, Any] = {"name": GROUP}
    if others:
        group["nodeSelector"] = {LABEL: "true"}
    group["config"] = yaml_text.dump(kubelet.document(cluster, kubelet.NEXT))
    document = {"audience": cluster.audience, "nodeGroups": [group]}
    return yaml_text.file(document, comments=_comments(cluster, others))


def _comments(cluster: ClusterPlan, others: Sequence[str]) -> list[str]:
    lines = [
        *comment(
            f"Cluster {cluster.cluster.name}. Values of the chart; the command for it is in"
            " ../README.md."
        ),
        *comment(
            "The right of nodes to ask for tokens is in kubernetes.yaml, so audienceRbac is empty"
            " here."
        ),
    ]
    if others:
        lines += comment(
            f"Not for {', '.join(others)}: the chart cannot set up such nodes; see GROUP/README.md."
            f" The others are chosen by a label: kubectl label node NODE {LABEL}=true"
        )
    return lines

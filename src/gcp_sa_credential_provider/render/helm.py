"""The values of the Helm chart in deploy/helm, for each cluster.

Imports the plan, `kubelet`, `kubernetes`, `yaml_text`. Rules: the chart's values.schema.json.
"""

from collections.abc import Sequence
from typing import Any

from gcp_sa_credential_provider.fleet.model import Distribution, NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan
from gcp_sa_credential_provider.render import kubelet, kubernetes, yaml_text
from gcp_sa_credential_provider.render.comment import comment

VALUES = "helm-values.yaml"
GROUP = "nodes"
LABEL = "gcp-sa-credential-provider/install"
"""Label of the nodes to be set up, where there are others that no pod may change."""

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
    return [group for group in cluster.nodes if group.distribution not in _OTHERWISE]


def values(cluster: ClusterPlan) -> str:
    """The text of the file.

    The chart has one group of nodes for all groups of the fleet: their entries are alike, and the
    installer sees on each node how that is run. The configuration is that of the newer minors: on
    a node of 1.33 the installer leaves cacheType out, and puts it back when that becomes 1.34.
    """
    others = [group.name for group in cluster.nodes if group.distribution in _OTHERWISE]
    group: dict[str, Any] = {"name": GROUP}
    if others:
        group["nodeSelector"] = {LABEL: "true"}
    group["config"] = yaml_text.dump(kubelet.document(cluster, kubelet.NEXT))
    document = {"audience": cluster.audience, "nodeGroups": [group]}
    return yaml_text.file(document, comments=_comments(cluster, others))


def _comments(cluster: ClusterPlan, others: Sequence[str]) -> list[str]:
    lines = [
        *comment(f"Cluster {cluster.cluster.name}. Values of the chart; with the image's place:"),
        f"#   helm upgrade --install {kubernetes.NAME} deploy/helm/{kubernetes.NAME} \\",
        f"#     --namespace={kubernetes.NAME} --create-namespace \\",
        f"#     --values={VALUES} --set=image.repository=REGISTRY/{kubernetes.NAME}",
        *comment(
            "The right of nodes to ask for tokens is in kubernetes.yaml, so audienceRbac is empty"
            " here."
        ),
    ]
    if others:
        lines += comment(
            f"Not for {', '.join(others)}: no pod may change such nodes; see GROUP/README.md. The"
            f" others are chosen by a label: kubectl label node NODE {LABEL}=true"
        )
    return lines

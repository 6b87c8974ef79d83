"""How a node of each distribution is wired: one module each, with `files(cluster, group)`."""

import importlib
from typing import Protocol, cast

from gcp_sa_credential_provider.fleet.model import Distribution, NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render.distributions import node


class Wiring(Protocol):
    """A module of this package."""

    def files(self, cluster: ClusterPlan, group: NodeGroup, /) -> dict[str, str]:
        """The group's files, README.md among them, by path in the group's folder."""


def obstacle(group: NodeGroup) -> str | None:
    """Why such nodes cannot be set up, whatever is done; None for all others."""
    if group.distribution == "bottlerocket":
        return "Bottlerocket's folder of providers is read-only, and no setting names another"
    if group.distribution == "talos" and node.is_alpha(group):
        return "Talos gives kubelets of 1.33 a cacheType, on which they end; upgrade to 1.34 first"
    if group.distribution == "openshift" and node.is_alpha(group):
        return "OpenShift 4.20 (1.33) has the feature gate off; upgrade to 4.21 first"
    return None


def wiring(distribution: Distribution) -> Wiring:
    """The distribution's module, which has its name."""
    module = distribution.replace("-", "_")
    return cast("Wiring", importlib.import_module(f"{__name__}.{module}"))


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The files of a node group by path in its folder."""
    return wiring(group.distribution).files(cluster, group)

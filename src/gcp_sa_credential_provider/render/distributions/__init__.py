"""How a node of each distribution is wired: one module each, with `files(cluster, group)`."""

import importlib
from typing import Protocol, cast

from gcp_sa_credential_provider.fleet.model import Distribution, NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan


class Wiring(Protocol):
    """A module of this package."""

    def files(self, cluster: ClusterPlan, group: NodeGroup, /) -> dict[str, str]:
        """The group's files, README.md among them, by path in the group's folder."""


def wiring(distribution: Distribution) -> Wiring:
    """The distribution's module, which has its name."""
    module = distribution.replace("-", "_")
    return cast("Wiring", importlib.import_module(f"{__name__}.{module}"))


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The files of a node group by path in its folder."""
    return wiring(group.distribution).files(cluster, group)

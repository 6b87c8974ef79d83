"""Everything that a set-up wants to know of a cluster, read in order, cheapest first."""

from collections.abc import Callable
from dataclasses import dataclass

from gcp_sa_credential_provider.cluster.accounts import ServiceAccount, account_of
from gcp_sa_credential_provider.cluster.api import METADATA_ONLY, Api, Progress
from gcp_sa_credential_provider.cluster.failure import ClusterFailure, evidence
from gcp_sa_credential_provider.cluster.issuer import (
    CONFIGURATION_PATH,
    JWKS_PATH,
    Issuer,
    issuer_of,
)
from gcp_sa_credential_provider.cluster.nodes import Group, LeftOut, grouped, minor_of, node_of

# A Node has some 20 KB (its images, above all), a ServiceAccount's metadata less than 1 KB; kubectl
# asks for 500 of anything.
_NODES_PER_PAGE = 100
_ACCOUNTS_PER_PAGE = 500
_KUBEADM = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"

Watch = Callable[[str], Progress]
"""Given what is being listed, who wants to know how far it is."""


@dataclass(frozen=True)
class Observed:
    """A cluster."""

    issuer: Issuer
    minor: str | None
    """The API server's, as in 1.34; None from saved files, which do not say it."""
    groups: tuple[Group, ...] = ()
    left_out: tuple[LeftOut, ...] = ()


def observe(api: Api, watch: Watch, *, with_nodes: bool) -> Observed:
    """Issuer, keys, version, and the nodes unless they are known. Raises ClusterFailure."""
    configuration, jwks = api.read(CONFIGURATION_PATH), api.read(JWKS_PATH)
    where = (f"{api.name}{CONFIGURATION_PATH}", f"{api.name}{JWKS_PATH}")
    issuer = issuer_of(configuration, jwks, where)
    version = str(api.read("/version").get("gitVersion"))
    minor = minor_of(version)
    if minor is None:
        raise ClusterFailure(
            f"{api.name}/version",
            f"gitVersion is {evidence(version)}, not v1.N.P",
            "see whether the kubeconfig's server is a Kubernetes API server",
        )
    if not with_nodes:
        return Observed(issuer, minor)
    kubeadm = _has_kubeadm(api)
    nodes = api.collect(
        "/api/v1/nodes",
        _NODES_PER_PAGE,
        lambda document: node_of(document, kubeadm=kubeadm),
        watch("nodes"),
    )
    return Observed(issuer, minor, *grouped(nodes))


def service_accounts(api: Api, watch: Watch) -> list[ServiceAccount]:
    """All of the cluster, names only. Raises ClusterFailure."""
    return api.collect(
        "/api/v1/serviceaccounts",
        _ACCOUNTS_PER_PAGE,
        account_of,
        watch("ServiceAccounts"),
        accept=METADATA_ONLY,
    )


def _has_kubeadm(api: Api) -> bool:
    """Whether kubeadm made the cluster; not knowing is no reason to stop."""
    try:
        api.read(_KUBEADM)
    except ClusterFailure as failure:
        if failure.status in (403, 404):
            return False
        raise
    return True

"""k3s. Rules: see `rancher`; docs.k3s.io, "certificate", for its keys."""

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render.distributions import rancher

_K3S = rancher.Product(
    name="k3s",
    title="k3s",
    server="k3s.service",
    agent="k3s-agent.service",
    keys="The issuer is `https://kubernetes.default.svc.CLUSTERDOMAIN`, which Google cannot reach:"
    " the keys are uploaded. The signing key is `server/tls/service.key`. It changes by"
    " `k3s certificate rotate-ca --path …` (the new key first, the old one after it, then restart"
    " the servers) and when a cluster is built anew; `k3s certificate rotate` leaves it alone."
    " Upload the old and the new keys together **before** that.",
    sources=(
        "k3s-io/k3s pkg/cli/cmds/agent.go, pkg/daemons/agent/agent.go",
        "docs.k3s.io: Configuration File, certificate",
    ),
)


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    return rancher.files(cluster, group, _K3S)

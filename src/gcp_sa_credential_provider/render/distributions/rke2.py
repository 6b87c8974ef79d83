"""RKE2. Rules: see `rancher`; rancher/rke2-docs linux_agent_config.md, security/certificates.md."""

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render.distributions import rancher

_RKE2 = rancher.Product(
    name="rke2",
    title="RKE2",
    server="rke2-server.service",
    agent="rke2-agent.service",
    keys="The issuer is `https://kubernetes.default.svc.CLUSTERDOMAIN`, which Google cannot reach:"
    " the keys are uploaded. The signing key is `server/tls/service.key`. It changes as RKE2's"
    " documentation says under Service-Account Issuer Key (the new key and the old one together,"
    " then restart the servers) and when a cluster is built anew. Upload the old and the new keys"
    " together **before** that.",
    sources=(
        "rancher/rke2-docs linux_agent_config.md, security/certificates.md",
        "k3s-io/k3s pkg/daemons/agent/agent.go, which RKE2 uses",
    ),
)


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    return rancher.files(cluster, group, _RKE2)

"""AKS: nodes belong to Azure; a note, and our entry for those who change them all the same.

Imports `node`, `page`, `kubelet`. Rules: Azure/AgentBaker cse_config.sh (paths; AKS's own entry
uses tokenAttributes); azure-workload-identity's documentation (issuer, rotation).
"""

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import kubelet
from gcp_sa_credential_provider.render.distributions import node, page

_CONFIG = "/var/lib/kubelet/credential-provider-config.yaml"
_BIN_DIR = "/var/lib/kubelet/credential-provider"


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = node.configs(cluster, group)
    name = node.DROP_IN if group.directory else node.CONFIG
    alpha = node.is_alpha(group)
    described = page.Page(
        title="AKS",
        before="**AKS has no supported way to add a credential provider.** Its node images write"
        f" `{_CONFIG}` with Azure's entry and `{_BIN_DIR}` with its program, at each provisioning:"
        " at a scale-out, an image upgrade and a repair. What follows lasts until then, so it has"
        " to come again with every new node (from a DaemonSet), and Azure's support does not cover"
        " it. imagePullSecrets work on AKS as everywhere.",
        places={} if alpha else {page.PROGRAM: f"{_BIN_DIR}/gcp-sa-credential-provider"},
        steps=(
            (
                f"**Not on {kubelet.ALPHA}.** A kubelet that has our entry without the feature gate"
                f" `{kubelet.GATE}` ends at its start, and where AKS has the kubelet's flags is not"
                " known here. The chart, or the command above, sets the gate together with the"
                " entry."
            )
            if alpha
            else (
                f"Add the entry of `{name}` to `providers` of `{_CONFIG}`, behind Azure's own,"
                " which must stay: without it nothing comes from Azure's registry."
            ),
        ),
        restart="systemctl restart kubelet",
        upgrade=f"AKS replaces the node: add the entry of `{node.CONFIG_NEXT}` to the new one.",
        take_back=(
            f"`{page.program(group)} node uninstall`, with the same file. Or reimage the node.",
        )
        if alpha
        else (
            f"Remove our entry from `{_CONFIG}`.",
            "`systemctl restart kubelet`",
            f"Remove `{_BIN_DIR}/gcp-sa-credential-provider`. Or reimage the node.",
        ),
        keys="With the OIDC issuer (on by default from 1.34 or 1.35 on) the issuer is public, and"
        " keys rotate by themselves, about every three months: Google fetches them, never upload"
        " them. Enabling it changes the issuer: the description must say the new one.",
        sources=(
            "Azure/AgentBaker cse_config.sh",
            "azure-workload-identity's documentation",
        ),
        not_verified=("No AKS cluster was changed.",),
        # By hand the gate would be missing on 1.33.
        command=alpha,
    )
    return made | {page.README: page.text(described, cluster, group)}

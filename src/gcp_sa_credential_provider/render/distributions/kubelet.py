"""A kubelet under systemd that no distribution looks after. Rules: see `systemd`."""

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render.distributions import node, page, systemd


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = systemd.files(cluster, group)
    there = page.places(made, group, systemd.PLACE, systemd.UNIT)
    told = " ".join(node.flags(systemd.PLACE, group))
    described = page.Page(
        title="a kubelet under systemd",
        places=there,
        steps=(
            (
                f"If the unit's `ExecStart` does not end in `${systemd.VARIABLE}`, add the flags to"
                f" its end yourself: `{told}`."
            ),
            *systemd.steps(group),
        ),
        restart=systemd.RESTART,
        upgrade=systemd.upgrade(),
        take_back=systemd.take_back(there),
        keys="The issuer is what the API server's first `--service-account-issuer` says, the keys"
        " are those of `--service-account-key-file`. Where they are uploaded, upload the old and"
        " the new keys together **before** the signing key changes.",
        sources=(
            "kubernetes pkg/credentialprovider/plugin",
            "kubernetes/release 10-kubeadm.conf, for the variable",
        ),
        not_verified=("That your unit reads the variable.",),
    )
    return made | {page.README: page.text(described, cluster, group)}

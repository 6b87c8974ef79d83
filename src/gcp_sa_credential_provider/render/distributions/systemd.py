"""A kubelet that is a systemd unit with an environment variable for more flags.

Imports `node`, `page`. Shared by kubeadm, Flatcar and a plain kubelet. Rules: kubernetes/release
10-kubeadm.conf: $KUBELET_EXTRA_ARGS stands last on the kubelet's command line, and so wins; it is
read from /etc/default/kubelet (Debian's packages) or /etc/sysconfig/kubelet (rpm).
"""

from collections.abc import Mapping

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render.distributions import node, page

PLACE = node.SYSTEMD
UNIT = "kubelet.service"
VARIABLE = "KUBELET_EXTRA_ARGS"
RESTART = "systemctl daemon-reload && systemctl restart kubelet"
KEYS = (
    "The issuer is `https://kubernetes.default.svc.DNSDOMAIN` unless `--service-account-issuer`"
    " of the API server says otherwise. Google cannot reach it: the keys are uploaded. `sa.key` is"
    " never renewed by `kubeadm certs renew`; it changes by hand or when a cluster is built anew."
    " Upload the old and the new keys together **before** that."
)


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """Configurations, the choice between them, and the unit's drop-in."""
    told = f'Environment="{VARIABLE}={" ".join(node.flags(PLACE, group))}"'
    return node.wired(cluster, group, PLACE, "kubelet --version", [told])


def steps(group: NodeGroup) -> tuple[str, ...]:
    """What is left to do once the files are there."""
    told = " ".join(node.flags(PLACE, group))
    made = [
        (
            f"The drop-in sets `{VARIABLE}`. A file with that variable wins over it: where"
            " `/etc/default/kubelet` (Debian) or `/etc/sysconfig/kubelet` (rpm) has it, add there"
            f" instead: `{told}`."
        ),
        "If the kubelet has `--image-credential-provider-…` already, the last flags win: one path"
        " each. Keep the other entries: "
        + (
            f"link their file as `{PLACE.directory}/10-NAME.yaml`, and their programs into"
            f" `{PLACE.bin_dir}`."
            if group.directory
            else f"copy them into {'both our files' if node.is_alpha(group) else 'ours'}, and link"
            f" their programs into `{PLACE.bin_dir}`; from 1.34 on `directory: true` in fleet.yaml"
            " does without a copy."
        ),
    ]
    if node.is_alpha(group):
        made.append(f"Let the script choose once: `sh {PLACE.folder}/{node.SELECT}`.")
    return tuple(made)


def upgrade() -> str:
    """How 1.33 becomes 1.34."""
    return (
        f"`{node.SELECT}` asks `kubelet --version` before each start of the kubelet, and copies"
        f" `{node.CONFIG}` or `{node.CONFIG_NEXT}` to `{PLACE.file}`."
    )


def take_back(there: Mapping[str, str]) -> tuple[str, ...]:
    """The way back, the program last."""
    return (
        f"Remove `{there[node.UNIT_DROP_IN]}` (or the flags from the file that has `{VARIABLE}`).",
        f"`{RESTART}`",
        f"Remove our files from `{PLACE.folder}`.",
        f"Remove `{there[page.PROGRAM]}`.",
    )

"""MicroK8s: one file of arguments, one a line.

Imports `node`, `page`. Rules: canonical.com/microk8s/docs/configuring-services; canonical/microk8s
microk8s-resources/default-args/kube-apiserver (issuer, authorization mode).
"""

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render.distributions import node, page

# $SNAP_COMMON: unlike $SNAP_DATA it is not copied at each refresh of the snap.
_BASE = "/var/snap/microk8s/common/credential-providers"
PLACE = node.Place(_BASE, f"{_BASE}/bin")
_ARGS = "/var/snap/microk8s/current/args"
_KUBELET, _API_SERVER = "args-kubelet", "args-kube-apiserver"
_UNIT = "snap.microk8s.daemon-kubelite.service"


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = node.wired(cluster, group, PLACE, "microk8s version")
    there = page.places(made, group, PLACE, _UNIT)
    lines = "".join(f"{flag}\n" for flag in node.flags(PLACE, group))
    made[_KUBELET] = node.commented(f"Lines to be added to {_ARGS}/kubelet.") + lines
    steps = []
    if node.is_alpha(group):
        steps.append(
            f"Let the script choose once: `sh {PLACE.folder}/{node.SELECT}`, then `systemctl"
            " daemon-reload`."
        )
    steps.append(f"Add the lines of `{_KUBELET}` to `{_ARGS}/kubelet`.")
    if cluster.cluster.api_server_gate:
        gate = f"--feature-gates={node.GATE}\n"
        made[_API_SERVER] = node.commented(f"To be added to {_ARGS}/kube-apiserver.") + gate
        steps.append(f"Add the line of `{_API_SERVER}` to `{_ARGS}/kube-apiserver`.")
    described = page.Page(
        title="MicroK8s",
        before="MicroK8s starts with authorization mode AlwaysAllow: until `microk8s enable rbac`"
        " the RBAC of kubernetes.yaml changes nothing, and every node may ask for every token.",
        places=there,
        steps=tuple(steps),
        restart="snap restart microk8s",
        upgrade=f"MicroK8s carries its kubelet, so `{node.SELECT}` asks `microk8s version` before"
        f" each start of {_UNIT}, and copies `{node.CONFIG}` or `{node.CONFIG_NEXT}` to"
        f" `{PLACE.file}`.",
        take_back=(
            f"Remove the lines from `{_ARGS}/kubelet`"
            + (f" and `{_ARGS}/kube-apiserver`." if _API_SERVER in made else "."),
            "`snap restart microk8s`",
            f"Remove `{_BASE}`, the program with it"
            + (", and the drop-in of the unit." if node.is_alpha(group) else "."),
        ),
        keys="The issuer is `https://kubernetes.default.svc`, which Google cannot reach: the keys"
        " are uploaded. The key is `certs/serviceaccount.key` in `$SNAP_DATA`; it changes when a"
        " cluster is built anew.",
        sources=(
            "canonical.com/microk8s/docs/configuring-services",
            "canonical/microk8s microk8s-resources/default-args/kube-apiserver",
        ),
        not_verified=(
            "MicroK8s was not run.",
            *(
                (f"That {_UNIT} is the unit that runs the kubelet, and `microk8s version` in it.",)
                if node.is_alpha(group)
                else ()
            ),
        ),
    )
    return made | {page.README: page.text(described, cluster, group)}

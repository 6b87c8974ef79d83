"""kubeadm: nodes that are there already, and the configuration of new ones.

Imports `systemd`, `node`, `page`. Rules: kubeadm.k8s.io/v1beta4 (kubeletExtraArgs are names and
values; patches by file name, TARGET+TYPE.yaml); kubernetes cmd/kubeadm.
"""

from typing import Any

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions import node, page, systemd

_NEW_NODES = "kubeadm-config.yaml"
_PATCH = "patches/kube-apiserver+json.yaml"
_API = "kubeadm.k8s.io/v1beta4"


def arguments(flags: list[str]) -> list[dict[str, str]]:
    """Flags in the form of v1beta4: a list of names and values."""
    parts = [flag.removeprefix("--").split("=", 1) for flag in flags]
    return [{"name": name, "value": value} for name, value in parts]


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = systemd.files(cluster, group) | {_NEW_NODES: _new_nodes(cluster, group)}
    gate = cluster.cluster.api_server_gate
    if gate:
        made[_PATCH] = _patch()
    there = page.places(made, group, systemd.PLACE, systemd.UNIT)
    described = page.Page(
        title="kubeadm",
        before="For nodes that are in the cluster already. New ones get the same by"
        f" `{_NEW_NODES}`: its parts belong into the file of `kubeadm init --config` or `kubeadm"
        " join --config`; program and configuration must be on the machine before."
        + (
            f" The API server gets its gate by `{_PATCH}`: the folder is what `--patches` of"
            " `kubeadm init` and of `kubeadm upgrade` takes."
            if gate
            else ""
        ),
        places=there,
        steps=(
            *systemd.steps(group),
            (
                "`/var/lib/kubelet/kubeadm-flags.env` is kubeadm's own file, which it writes again;"
                " its flags stand before ours, so that ours win."
            ),
        ),
        restart=systemd.RESTART,
        upgrade=systemd.upgrade(),
        take_back=systemd.take_back(there),
        keys=systemd.KEYS,
        sources=("kubernetes cmd/kubeadm, manifests.go", "kubernetes/release 10-kubeadm.conf"),
        not_verified=("That `kubeadm upgrade node` leaves the kubelet's flags as they are.",),
    )
    return made | {page.README: page.text(described, cluster, group)}


def _new_nodes(cluster: ClusterPlan, group: NodeGroup) -> str:
    told = {"kubeletExtraArgs": arguments(node.flags(systemd.PLACE, group))}
    documents: list[dict[str, Any]] = [
        {"apiVersion": _API, "kind": kind, "nodeRegistration": told}
        for kind in ("InitConfiguration", "JoinConfiguration")
    ]
    if cluster.cluster.api_server_gate:
        gate = [{"name": "feature-gates", "value": node.GATE}]
        documents.append(
            {"apiVersion": _API, "kind": "ClusterConfiguration", "apiServer": {"extraArgs": gate}}
        )
    why = comment(
        "For new nodes: merge these parts into the files of `kubeadm init --config` and `kubeadm"
        " join --config`. A join takes JoinConfiguration alone."
    )
    return yaml_text.file(*documents, comments=why)


def _patch() -> str:
    add = {
        "op": "add",
        "path": "/spec/containers/0/command/-",
        "value": f"--feature-gates={node.GATE}",
    }
    return yaml_text.file([add], comments=comment("The API server's own gate, for 1.33 only."))

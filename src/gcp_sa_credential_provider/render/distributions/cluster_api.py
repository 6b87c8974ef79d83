"""Cluster API with the kubeadm bootstrap provider.

Imports `kubeadm`, `node`, `page`. Rules: the Cluster API book, "Kubeadm based bootstrap";
bootstrap.cluster.x-k8s.io/v1beta2 (kubeletExtraArgs are names and values, as in kubeadm v1beta4).
"""

from typing import Any

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions import kubeadm, node, page, systemd

PLACE = node.SYSTEMD
_WORKERS = "kubeadm-config-template.yaml"
_CONTROL_PLANE = "kubeadm-control-plane-part.yaml"


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    wired = node.wired(cluster, group, PLACE, "kubelet --version")
    there = page.places(wired, group, PLACE, systemd.UNIT)
    spec = _spec(wired, there, group)
    template = {
        "apiVersion": "bootstrap.cluster.x-k8s.io/v1beta2",
        "kind": "KubeadmConfigTemplate",
        "metadata": {"name": f"{cluster.cluster.name}-{group.name}"},
        "spec": {"template": {"spec": spec}},
    }
    made = node.configs(cluster, group)
    made[_WORKERS] = yaml_text.file(
        template, comments=comment("For the workers: merge into yours.")
    )
    made[_CONTROL_PLANE] = _control_plane(cluster, spec)
    described = page.Page(
        title="Cluster API",
        before="Machines are not changed but replaced: what follows takes effect on new ones. The"
        f" static file must be in the machine image, as `{there[page.PROGRAM]}`, mode 0755"
        " (image-builder), or be fetched from a server of yours by the first of"
        " `preKubeadmCommands`; without it the kubelet does not start.",
        places={},
        steps=(
            (
                f"Merge `{_WORKERS}` into the workers' KubeadmConfigTemplate. Templates do not"
                " change: give yours a new name and name it in the MachineDeployment."
            ),
            (
                f"Merge `{_CONTROL_PLANE}` into `spec.kubeadmConfigSpec` of KubeadmControlPlane, if"
                " control plane nodes pull such images as well."
            ),
            f"{node.named(group)} is what these put onto a machine; here it is to be read.",
        ),
        restart="clusterctl alpha rollout restart machinedeployment/NAME",
        upgrade=f"Machines of the next minor are new ones, but of the same template until it is"
        f" changed: so every machine has both files, and `{node.SELECT}` chooses by `kubelet"
        " --version` before each start of the kubelet.",
        take_back=("Go back to the former template; the machines are replaced again.",),
        keys=systemd.KEYS,
        sources=("the Cluster API book: Kubeadm based bootstrap", "kubernetes cmd/kubeadm"),
        not_verified=(
            "No workload cluster was made from it.",
            (
                "bootstrap.cluster.x-k8s.io/v1beta1, the older API, has `kubeletExtraArgs` as a"
                " mapping of name to value instead of a list."
            ),
        ),
        command=False,
    )
    return made | {page.README: page.text(described, cluster, group)}


def _spec(wired: dict[str, str], there: dict[str, str], group: NodeGroup) -> dict[str, Any]:
    told = {"nodeRegistration": {"kubeletExtraArgs": kubeadm.arguments(node.flags(PLACE, group))}}
    spec: dict[str, Any] = {
        "files": [
            {"path": there[name], "owner": "root:root", "permissions": "0644", "content": text}
            for name, text in wired.items()
        ]
    }
    if node.is_alpha(group):
        spec["preKubeadmCommands"] = [f"sh {PLACE.folder}/{node.SELECT}", "systemctl daemon-reload"]
    return spec | {"joinConfiguration": told}


def _control_plane(cluster: ClusterPlan, spec: dict[str, Any]) -> str:
    part = spec | {"initConfiguration": spec["joinConfiguration"]}
    if cluster.cluster.api_server_gate:
        gate = [{"name": "feature-gates", "value": node.GATE}]
        part["clusterConfiguration"] = {"apiServer": {"extraArgs": gate}}
    why = comment("Part of spec.kubeadmConfigSpec of KubeadmControlPlane.")
    return yaml_text.file(part, comments=why)

"""kind: a cluster configuration with mounts and kubeadm patches.

Imports `kubeadm`, `node`, `page`. Rules: kind.x-k8s.io/v1alpha4; kubernetes-sigs/kind
pkg/internal/patch/resource.go (a patch with an apiVersion changes that version's documents alone),
#2281, #4185.
"""

from typing import Any

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions import kubeadm, node, page

PLACE = node.SYSTEMD
_CLUSTER = "kind-config.yaml"


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = node.configs(cluster, group)
    source = node.DROP_IN if group.directory else node.CONFIG
    target = f"{PLACE.directory}/{node.DROP_IN}" if group.directory else PLACE.file
    program = "gcp-sa-credential-provider"
    sources = {f"./{program}": f"{PLACE.bin_dir}/{program}", f"./{source}": target}
    mounts = [
        {"hostPath": here, "containerPath": there, "readOnly": True}
        for here, there in sources.items()
    ]
    document: dict[str, Any] = {
        "kind": "Cluster",
        "apiVersion": "kind.x-k8s.io/v1alpha4",
        "nodes": [
            {"role": role, "extraMounts": mounts, "kubeadmConfigPatches": _patches(group)}
            for role in ("control-plane", "worker")
        ],
    }
    if node.is_alpha(group):
        document["featureGates"] = {node.GATE.partition("=")[0]: True}
    why = comment("The static file and the configuration lie in the folder that kind is run from.")
    made[_CLUSTER] = yaml_text.file(document, comments=why)
    described = page.Page(
        title="kind",
        places={},
        steps=(
            (
                "Put the static file for this machine's processor here as"
                " `gcp-sa-credential-provider`, mode 0755."
            ),
            (
                f"`kind create cluster --config {_CLUSTER}`, run from here, with a node image of"
                f" the minor: it mounts the program and `{source}` into every node."
            ),
            (
                "Every cluster has a new signing key: fetch the JWKS (`kubectl get --raw"
                " /openid/v1/jwks`), render again, upload."
            ),
        ),
        restart=f"kind delete cluster && kind create cluster --config {_CLUSTER}",
        upgrade=f"kind does not upgrade a cluster: make a new one, with `{node.CONFIG_NEXT}`.",
        take_back=("`kind delete cluster`",),
        keys="The issuer is `https://kubernetes.default.svc.cluster.local`, which Google cannot"
        " reach: the keys are uploaded, anew for every cluster.",
        sources=(
            "kubernetes-sigs/kind pkg/internal/patch/resource.go",
            "kubernetes-sigs/kind#2281, #4185",
        ),
        not_verified=("No kind cluster was made from it.",),
        command=False,
    )
    return made | {page.README: page.text(described, cluster, group)}


def _patches(group: NodeGroup) -> list[str]:
    """For each form of kubeadm's configuration one; the other does not apply."""
    flags = [flag for flag in node.flags(PLACE, group) if not flag.startswith("--feature-gates")]
    named = kubeadm.arguments(flags)
    forms: dict[str, Any] = {
        "v1beta3": {one["name"]: one["value"] for one in named},
        "v1beta4": named,
    }
    return [
        yaml_text.dump(
            {
                "apiVersion": f"kubeadm.k8s.io/{version}",
                "kind": kind,
                "nodeRegistration": {"kubeletExtraArgs": arguments},
            }
        )
        for version, arguments in forms.items()
        for kind in ("InitConfiguration", "JoinConfiguration")
    ]

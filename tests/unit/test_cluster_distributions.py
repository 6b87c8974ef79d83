"""Which distribution a Node object shows, by what such nodes really say of themselves."""

from typing import Any, get_args

import pytest

from gcp_sa_credential_provider.cluster.distributions import ASSUMPTION, RULES, detect, signs
from gcp_sa_credential_provider.fleet.model import Distribution


def node(
    version: str = "v1.34.1",
    image: str = "Ubuntu 24.04.3 LTS",
    labels: tuple[str, ...] = (),
    annotations: tuple[str, ...] = (),
    provider: str = "",
) -> dict[str, Any]:
    """A Node object; labels are KEY or KEY=VALUE."""
    pairs = (label.partition("=") for label in labels)
    return {
        "metadata": {
            "labels": {key: value for key, _, value in pairs},
            "annotations": dict.fromkeys(annotations, "x"),
        },
        "spec": {"providerID": provider},
        "status": {"nodeInfo": {"kubeletVersion": version, "osImage": image}},
    }


EKS_LABEL = "eks.amazonaws.com/nodegroup=workers"
CAPI = "cluster.x-k8s.io/machine"
TABLE = {
    "k3s": ("k3s", node("v1.34.1+k3s1", provider="k3s://node-1")),
    "k3s made by Cluster API": ("k3s", node("v1.34.1+k3s1", annotations=(CAPI,))),
    "RKE2": ("rke2", node("v1.34.1+rke2r1", provider="rke2://node-1")),
    "RKE2 on AWS": ("rke2", node("v1.33.5+rke2r1", provider="aws:///eu-west-1a/i-0abc")),
    "k0s by version": ("k0s", node("v1.34.1+k0s")),
    "k0s by label": ("k0s", node(labels=("node.k0sproject.io/role=control-plane",))),
    "EKS managed nodes": ("eks", node("v1.34.1-eks-113cf36", "Amazon Linux 2023.9", (EKS_LABEL,))),
    "EKS nodes of one's own": ("eks", node("v1.34.1-eks-113cf36", "Amazon Linux 2023.9")),
    "EKS with Bottlerocket": (
        "bottlerocket",
        node("v1.34.1-eks-113cf36", "Bottlerocket OS 1.49.0 (aws-k8s-1.34)", (EKS_LABEL,)),
    ),
    "EKS on Fargate": (
        "fargate",
        node("v1.34.1-eks-113cf36", labels=("eks.amazonaws.com/compute-type=fargate",)),
    ),
    "AKS": ("aks", node(labels=("kubernetes.azure.com/cluster=MC_group",))),
    "GKE by label": ("gke", node(labels=("cloud.google.com/gke-nodepool=default-pool",))),
    "GKE by version": ("gke", node("v1.34.1-gke.1829001")),
    "Talos": ("talos", node(image="Talos (v1.11.2)")),
    "Talos made by Cluster API": ("talos", node(image="Talos (v1.11.2)", annotations=(CAPI,))),
    "Bottlerocket elsewhere": ("bottlerocket", node(image="Bottlerocket OS 1.49.0 (vmware-k8s)")),
    "OpenShift": (
        "openshift",
        node(
            image="Red Hat Enterprise Linux CoreOS 9.6.20251015-1 (Plow)",
            labels=("node.openshift.io/os_id=rhel",),
            annotations=("machineconfiguration.openshift.io/currentConfig",),
        ),
    ),
    "OpenShift by its system alone": ("openshift", node(labels=("node.openshift.io/os_id=rhcos",))),
    "OpenShift by its name alone": (
        "openshift",
        node(image="Red Hat Enterprise Linux CoreOS 9.6.20251015-1 (Plow)"),
    ),
    "MicroK8s": ("microk8s", node(labels=("microk8s.io/cluster=true",))),
    "minikube": ("minikube", node(labels=("minikube.k8s.io/name=minikube",))),
    "kind": ("kind", node(provider="kind://docker/kind/kind-control-plane")),
    "kOps": ("kops", node(labels=("kops.k8s.io/instancegroup=nodes",), provider="aws:///a/i-0")),
    "Cluster API": ("cluster-api", node(annotations=(CAPI,), provider="docker:////node-1")),
    "Cluster API, joined by hand": (
        "cluster-api",
        node(annotations=("cluster.x-k8s.io/cluster-name",)),
    ),
    "Cluster API on Flatcar": (
        "cluster-api",
        node(image="Flatcar Container Linux by Kinvolk 4230.2.3", annotations=(CAPI,)),
    ),
    "Flatcar": ("flatcar", node(image="Flatcar Container Linux by Kinvolk 4230.2.3 (Oklo)")),
    "kubeadm before 1.35": (
        "kubeadm",
        node(annotations=("kubeadm.alpha.kubernetes.io/cri-socket",)),
    ),
    "nothing known": ("kubelet", node()),
}


@pytest.mark.parametrize("name", TABLE)
def test_detect(name: str) -> None:
    distribution, document = TABLE[name]
    assert detect(signs(document), kubeadm=False).distribution == distribution


def test_every_rule_decides_somewhere() -> None:
    """No rule stands behind others that take all of its nodes."""
    deciding = {
        next((rule for rule in RULES if rule.sign(signs(document))), None)
        for _, document in TABLE.values()
    }
    assert set(RULES) - deciding == set()


def test_kubeadm_by_its_config_map() -> None:
    """The ConfigMap that kubeadm leaves; nodes need not show anything."""
    found = detect(signs(node()), kubeadm=True)
    assert (found.distribution, found.assumed) == ("kubeadm", False)
    assert detect(signs(TABLE["k3s"][1]), kubeadm=True).distribution == "k3s"


def test_no_sign_is_an_assumption() -> None:
    found = detect(signs(node()), kubeadm=False)
    assert (found.evidence, found.assumed) == ("no sign of a distribution", True)


def test_every_rule_has_a_source_and_a_distribution_of_the_fleet() -> None:
    """Who says so, or that nobody does; what fleet.yaml can hold, or what is left out."""
    known = {*get_args(Distribution), "gke", "fargate"}
    assert {rule.distribution for rule in RULES} <= known
    for rule in RULES:
        who, colon, what = rule.source.partition(": ")
        assert (bool(who), colon, bool(what)) == (True, ": ", True)
    assert [r.distribution for r in RULES if r.source.startswith(ASSUMPTION)] == ["flatcar"]


@pytest.mark.parametrize(
    "document", [{}, {"metadata": None, "spec": None, "status": None}, {"status": {"nodeInfo": []}}]
)
def test_empty_nodes(document: dict[str, Any]) -> None:
    """A Node that has not reported yet."""
    assert detect(signs(document), kubeadm=False).distribution == "kubelet"

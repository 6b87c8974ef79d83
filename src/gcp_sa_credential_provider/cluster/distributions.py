"""What a Node object says of how its kubelet was set up.

Pure. One table: the first rule that matches wins, so what replaces another thing stands before it
(Bottlerocket on EKS, k3s on Cluster API, Cluster API on Flatcar). Every rule names where its sign
is documented or set; a sign known from sight alone is marked as an assumption, and so is what is
left when no rule matches.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ASSUMPTION = "assumption"


@dataclass(frozen=True, slots=True)
class Signs:
    """The parts of a Node object that rules look at."""

    kubelet: str
    """status.nodeInfo.kubeletVersion, as in v1.34.1+k3s1."""
    os_image: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    provider_id: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One sign of one distribution."""

    distribution: str
    """A distribution of fleet.yaml, or what no node group can be made of: gke, fargate."""
    sign: Callable[[Signs], str | None]
    """The evidence; None: not there."""
    source: str
    """Who documents or sets the sign; begins with ASSUMPTION where nobody was found to."""


@dataclass(frozen=True, slots=True)
class Detected:
    """A node's distribution, and why."""

    distribution: str
    evidence: str
    source: str

    @property
    def assumed(self) -> bool:
        """Whether nothing documented says so."""
        return self.source.startswith(ASSUMPTION)


def signs(node: Mapping[str, Any]) -> Signs:
    """Of a Node object; what is missing is empty."""
    metadata, spec = _mapping(node.get("metadata")), _mapping(node.get("spec"))
    info = _mapping(_mapping(node.get("status")).get("nodeInfo"))
    return Signs(
        kubelet=str(info.get("kubeletVersion") or ""),
        os_image=str(info.get("osImage") or ""),
        labels=_mapping(metadata.get("labels")),
        annotations=_mapping(metadata.get("annotations")),
        provider_id=str(spec.get("providerID") or ""),
    )


def detect(node: Signs, *, kubeadm: bool) -> Detected:
    """The first rule that matches. `kubeadm`: whether the cluster has kubeadm's ConfigMap."""
    for rule in RULES:
        if evidence := rule.sign(node):
            return Detected(rule.distribution, evidence, rule.source)
    if kubeadm:
        return Detected(
            "kubeadm",
            "ConfigMap kube-system/kubeadm-config",
            "kubernetes: cmd/kubeadm/app/constants, KubeadmConfigConfigMap",
        )
    return Detected(
        "kubelet",
        "no sign of a distribution",
        f"{ASSUMPTION}: a kubelet that systemd starts",
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _kubelet(mark: str) -> Callable[[Signs], str | None]:
    """The kubelet's version has the mark. Evidence is the rule's, alike for all nodes."""
    return lambda node: f"kubeletVersion with {mark}" if mark in node.kubelet else None


def _os_image(beginning: str) -> Callable[[Signs], str | None]:
    return lambda node: f"osImage {beginning}" if node.os_image.startswith(beginning) else None


def _label(key: str, value: str | None = None) -> Callable[[Signs], str | None]:
    """The label, with that value if one is given."""

    def sign(node: Signs) -> str | None:
        found = node.labels.get(key)
        return f"label {key}" if found is not None and value in (None, found) else None

    return sign


def _label_prefix(beginning: str) -> Callable[[Signs], str | None]:
    def sign(node: Signs) -> str | None:
        found = next((key for key in sorted(node.labels) if key.startswith(beginning)), None)
        return f"label {found}" if found else None

    return sign


def _annotation(key: str) -> Callable[[Signs], str | None]:
    return lambda node: f"annotation {key}" if key in node.annotations else None


def _provider_id(beginning: str) -> Callable[[Signs], str | None]:
    return lambda node: (
        f"providerID {beginning}..." if node.provider_id.startswith(beginning) else None
    )


_AWS_LABELS = "AWS: EKS user guide, labels that EKS sets on nodes"
RULES = (
    Rule("gke", _label_prefix("cloud.google.com/gke-"), "Google: GKE, labels that GKE sets"),
    Rule("gke", _kubelet("-gke."), "Google: GKE versioning"),
    Rule("fargate", _label("eks.amazonaws.com/compute-type", "fargate"), _AWS_LABELS),
    Rule("bottlerocket", _os_image("Bottlerocket"), "bottlerocket-os: PRETTY_NAME of os-release"),
    Rule("talos", _os_image("Talos"), "siderolabs/talos: PRETTY_NAME of os-release"),
    Rule("eks", _label_prefix("eks.amazonaws.com/"), _AWS_LABELS),
    Rule("eks", _kubelet("-eks-"), "AWS: EKS user guide, kubelet versions of EKS nodes"),
    Rule("aks", _label_prefix("kubernetes.azure.com/"), "Microsoft: AKS, reserved label prefix"),
    Rule(
        "openshift",
        _annotation("machineconfiguration.openshift.io/currentConfig"),
        "openshift/machine-config-operator: pkg/daemon/constants",
    ),
    Rule(
        "openshift",
        _label("node.openshift.io/os_id", "rhcos"),
        "openshift/machine-config-operator: the kubelet's --node-labels",
    ),
    Rule(
        "openshift",
        _os_image("Red Hat Enterprise Linux CoreOS"),
        "Red Hat: OpenShift, NAME of os-release of RHCOS",
    ),
    Rule("k3s", _kubelet("+k3s"), "k3s-io/k3s: release names"),
    Rule("rke2", _kubelet("+rke2"), "rancher/rke2: release names"),
    Rule("k0s", _kubelet("+k0s"), "k0sproject/k0s: release names"),
    Rule("k0s", _label("node.k0sproject.io/role"), "k0sproject/k0s: pkg/constant, node role label"),
    Rule("microk8s", _label("microk8s.io/cluster"), "canonical/microk8s: kubelet's --node-labels"),
    Rule("minikube", _label("minikube.k8s.io/name"), "kubernetes/minikube: labels of its nodes"),
    Rule("kind", _provider_id("kind://"), "kubernetes-sigs/kind: providerID of its kubelets"),
    Rule("kops", _label_prefix("kops.k8s.io/"), "kubernetes/kops: pkg/nodelabels"),
    Rule("cluster-api", _annotation("cluster.x-k8s.io/machine"), "Cluster API: MachineAnnotation"),
    Rule(
        "cluster-api",
        _annotation("cluster.x-k8s.io/cluster-name"),
        "Cluster API: ClusterNameAnnotation",
    ),
    Rule(
        "flatcar",
        _os_image("Flatcar Container Linux"),
        f"{ASSUMPTION}: PRETTY_NAME of os-release of Flatcar",
    ),
    Rule(
        "kubeadm",
        _annotation("kubeadm.alpha.kubernetes.io/cri-socket"),
        "kubernetes: cmd/kubeadm/app/constants, AnnotationKubeadmCRISocket",
    ),
)
"""In this order."""

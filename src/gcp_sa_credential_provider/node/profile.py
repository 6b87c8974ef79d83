"""Which kind of node this is, and so how its kubelet is handed a provider.

Imports `wire`, `kubelet`, `unit`. A node that is of no known kind, or of two, is refused; so is one
whose operating system or operator would take our files away again.
"""

from collections.abc import Callable

from gcp_sa_credential_provider.node import unit, wire
from gcp_sa_credential_provider.node.entry import Minor
from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.kubelet import Kubelet
from gcp_sa_credential_provider.node.wire import UNITS, Wiring

__all__ = ["Wiring", "detect", "wiring"]

_Make = Callable[[Root, Kubelet | None, str, Minor], Wiring]

_ELSEWHERE = {
    "talos": "Talos: its file system is read-only and the kubelet's flags are Talos' own. Fix: use"
    " the system extension and the machine configuration that `render` writes for distribution"
    " talos",
    "bottlerocket": "Bottlerocket: its folder of providers is part of the read-only image, and its"
    " settings know ECR's alone. Fix: use nodes of another kind for what pulls from Google (on EKS:"
    " AL2023)",
    "openshift": "OpenShift: the Machine Config Operator owns the kubelet's flags and files, and"
    " would put them back. Fix: use the MachineConfig and the layered image that `render` writes"
    " for distribution openshift",
    "gke": "GKE: its nodes have Google's own provider already. Fix: use Workload Identity"
    " Federation for GKE",
}
_SYSTEMS = {"talos": "talos", "bottlerocket": "bottlerocket", "rhcos": "openshift", "cos": "gke"}
"""ID of os-release."""
_OF_SYSTEMD = ("kubelet", "kubeadm", "eks", "flatcar")
_ALIASES = dict.fromkeys(("aks", "kind", "kops", "minikube", "cluster-api"), "kubelet")
"""Distributions of fleet.yaml whose kubelet is a systemd unit like any other."""
_MAKE: dict[str, _Make] = {
    "k3s": wire.of_rancher,
    "rke2": wire.of_rancher,
    "k0s": wire.of_k0s,
    "microk8s": wire.of_microk8s,
}


def wiring(root: Root, kubelet: Kubelet | None, name: str | None, minor: Minor) -> Wiring:
    """How it is to be done here. `name`: a profile's, in place of detecting it. Raises Refused."""
    profile = _chosen(root, kubelet, name) if name else detect(root, kubelet)
    make = _MAKE.get(profile, wire.of_systemd)
    return make(root, kubelet, profile, minor)


def detect(root: Root, kubelet: Kubelet | None) -> str:
    """The profile, by what runs and what is there. Raises Refused."""
    _refuse_elsewhere(root)
    if kubelet is not None:
        return kubelet.within or _kind_of_systemd(root)
    found = [kind for kind, units in UNITS.items() if any(unit.read(root, one) for one in units)]
    if len(found) > 1:
        listed = ", ".join(found)
        raise Refused(
            f"this node may be any of {listed}: the units of all are there and no kubelet runs."
            f" Fix: say which (--profile {found[0]}), or start the kubelet first"
        )
    if not found:
        raise Refused(
            "no kubelet runs, and no unit is there that would start one. Fix: install Kubernetes on"
            f" the node first; known are {', '.join(_known())}"
        )
    return _kind_of_systemd(root) if found == ["kubelet"] else found[0]


def _known() -> list[str]:
    return sorted({*UNITS, *_OF_SYSTEMD})


def _refuse_elsewhere(root: Root) -> None:
    system = _os_release(root)
    other = _SYSTEMS.get(system.get("ID", ""))
    if "OPENSHIFT_VERSION" in system or root.stat("/etc/machine-config-daemon") is not None:
        other = "openshift"
    if other:
        raise Refused(_ELSEWHERE[other])


def _chosen(root: Root, kubelet: Kubelet | None, name: str) -> str:
    if name in _ELSEWHERE:
        raise Refused(_ELSEWHERE[name])
    profile = _ALIASES.get(name, name)
    if profile not in _known():
        raise Refused(f"--profile {name}: not known. Fix: one of {', '.join(_known())}")
    _refuse_elsewhere(root)
    there = kubelet.within if kubelet else ""
    wanted = "" if profile in _OF_SYSTEMD else profile
    if kubelet is not None and there != wanted:
        raise Refused(
            f"--profile {name}: but the kubelet that runs here (process {kubelet.pid}) is"
            f" {f'one of {there}' if there else 'a process of its own'}. Fix: leave --profile out"
        )
    return profile


def _kind_of_systemd(root: Root) -> str:
    if root.stat(wire.EKS) is not None or root.stat("/etc/eks/nodeadm") is not None:
        return "eks"
    if _os_release(root).get("ID") == "flatcar":
        return "flatcar"
    return "kubeadm" if root.stat("/var/lib/kubelet/kubeadm-flags.env") else "kubelet"


def _os_release(root: Root) -> dict[str, str]:
    """os-release(5): the first of the two files."""
    content = root.read("/etc/os-release") or root.read("/usr/lib/os-release") or b""
    pairs = (line.partition("=") for line in content.decode("utf-8", "replace").splitlines())
    return {name.strip(): value.strip().strip("\"'") for name, mark, value in pairs if mark}

"""Which kind of node one is; what is to be there is the same that `render` writes for it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gcp_sa_credential_provider.node import profile, wire
from gcp_sa_credential_provider.node.change import Link
from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.profile import detect, wiring
from gcp_sa_credential_provider.render.distributions import node as rendered
from unit import node_groups
from unit.node_trees import PLAIN, TREES, UNIT, content, told, tree


@pytest.fixture(params=TREES)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of node."""
    name: str = request.param
    return name


# Which kind of node


def test_every_kind_is_known_by_its_files(tmp_path: Path, kind: str) -> None:
    assert detect(tree(tmp_path, TREES[kind]), None) == kind


def test_what_runs_says_what_it_is(tmp_path: Path) -> None:
    root = tree(tmp_path, TREES["k3s"] | TREES["kubeadm"])
    assert detect(root, told()) == "kubeadm"
    assert detect(root, told(within="k3s")) == "k3s"


def test_two_kinds_and_nothing_that_runs(tmp_path: Path) -> None:
    root = tree(tmp_path, TREES["k3s"] | TREES["kubeadm"])
    with pytest.raises(Refused) as caught:
        wiring(root, None, None, (1, 34))
    assert str(caught.value) == (
        "this node may be any of k3s, kubelet: the units of all are there and no kubelet runs. Fix:"
        " say which (--profile k3s), or start the kubelet first"
    )
    assert wiring(root, None, "k3s", (1, 34)).profile == "k3s"


def test_no_kind(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        wiring(Root(tmp_path), None, None, (1, 34))
    assert str(caught.value) == (
        "no kubelet runs, and no unit is there that would start one. Fix: install Kubernetes on the"
        " node first; known are eks, flatcar, k0s, k3s, kubeadm, kubelet, microk8s, rke2"
    )


@pytest.mark.parametrize(
    ("files", "name", "said"),
    [
        ({"/etc/os-release": "ID=talos\n"}, "Talos", "system extension"),
        ({"/etc/os-release": 'ID="bottlerocket"\n'}, "Bottlerocket", "AL2023"),
        ({"/etc/os-release": "ID='rhcos'\n"}, "OpenShift", "MachineConfig"),
        ({"/etc/os-release": "ID=rhel\nOPENSHIFT_VERSION=4.20\n"}, "OpenShift", "layered image"),
        ({"/etc/machine-config-daemon/currentconfig": "{}"}, "OpenShift", "distribution openshift"),
        ({"/usr/lib/os-release": "ID=cos\n"}, "GKE", "Workload Identity"),
    ],
)
def test_a_node_that_is_set_up_otherwise(
    tmp_path: Path, files: dict[str, str], name: str, said: str
) -> None:
    root = tree(tmp_path, TREES["kubelet"] | files)
    for chosen in (None, "kubelet"):
        with pytest.raises(Refused) as caught:
            wiring(root, told(), chosen, (1, 34))
        assert str(caught.value).startswith(f"{name}: ")
        assert said in str(caught.value).partition(". Fix: ")[2]


@pytest.mark.parametrize("name", ["talos", "bottlerocket", "openshift", "gke"])
def test_and_by_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(Refused, match=f"(?i)^{name}: .* Fix: use "):
        wiring(tree(tmp_path, TREES["kubelet"]), None, name, (1, 34))


def test_a_name_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        wiring(tree(tmp_path, TREES["kubelet"]), None, "nomad", (1, 34))
    assert str(caught.value) == (
        "--profile nomad: not known. Fix: one of eks, flatcar, k0s, k3s, kubeadm, kubelet,"
        " microk8s, rke2"
    )


@pytest.mark.parametrize("name", ["aks", "kind", "kops", "minikube", "cluster-api"])
def test_distributions_with_a_kubelet_like_any_other(tmp_path: Path, name: str) -> None:
    made = wiring(tree(tmp_path, TREES["kubelet"]), None, name, (1, 34))
    assert made.profile == "kubelet"


@pytest.mark.parametrize(
    ("name", "within", "what"),
    [("k3s", "", "a process of its own"), ("kubeadm", "k3s", "one of k3s")],
)
def test_a_name_that_what_runs_contradicts(
    tmp_path: Path, name: str, within: str, what: str
) -> None:
    root = tree(tmp_path, TREES["k3s"] | TREES["kubeadm"])
    with pytest.raises(Refused) as caught:
        wiring(root, told(within=within), name, (1, 34))
    assert str(caught.value) == (
        f"--profile {name}: but the kubelet that runs here (process 77) is {what}. Fix: leave"
        " --profile out"
    )


# The same as render


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("minor", [(1, 33), (1, 34)])
def test_a_kubelet_of_systemd_is_wired_as_rendered(
    tmp_path: Path, name: Any, minor: tuple[int, int]
) -> None:
    files = TREES[name] | {"/etc/default/kubelet": "# nothing\n"}
    if name == "kubelet":  # as that which `render` writes for
        files[f"{UNIT}/kubelet.service"] = "[Service]\nExecStart=/x/kubelet $KUBELET_EXTRA_ARGS\n"
    made = wiring(tree(tmp_path, files), None, name, minor)
    cluster = node_groups.cluster(name, f"{minor[0]}.{minor[1]}")
    text = node_groups.files(cluster)[rendered.UNIT_DROP_IN]
    lines = [line for line in text.splitlines() if not line.startswith(("#", "ExecStartPre="))]
    path = f"{UNIT}/kubelet.service.d/{rendered.UNIT_DROP_IN}"
    assert content(made, path).splitlines() == lines
    assert (made.config, made.bin_dir) == (rendered.SYSTEMD.file, rendered.SYSTEMD.bin_dir)
    assert (made.directory, made.units, made.server) == (False, ("kubelet.service",), False)
    assert len(made.flags) == 1


@pytest.mark.parametrize("name", ["k3s", "rke2"])
@pytest.mark.parametrize("minor", [(1, 33), (1, 34)])
def test_k3s_and_rke2_are_wired_as_rendered(
    tmp_path: Path, name: Any, minor: tuple[int, int]
) -> None:
    from gcp_sa_credential_provider.render.distributions import rancher

    made = wiring(tree(tmp_path, TREES[name]), None, None, minor)
    assert (made.config, made.bin_dir) == (rancher.PLACE.file, rancher.PLACE.bin_dir)
    written = node_groups.files(node_groups.cluster(name, f"{minor[0]}.{minor[1]}"))
    inner = "config.yaml.d/50-gcp-sa-credential-provider.yaml"
    if inner not in written:
        assert made.flags == ()
        return
    path = f"/etc/rancher/{name}/{inner}"
    assert yaml.safe_load(content(made, path)) == yaml.safe_load(written[inner])


@pytest.mark.parametrize("minor", [(1, 33), (1, 34)])
def test_k0s_is_wired_as_rendered(tmp_path: Path, minor: tuple[int, int]) -> None:
    made = wiring(tree(tmp_path, TREES["k0s"]), None, None, minor)
    written = node_groups.files(node_groups.cluster("k0s", f"{minor[0]}.{minor[1]}"))
    flags = yaml.safe_load(written["k0sctl-host.yaml"])["installFlags"][0]
    path = f"{UNIT}/k0sworker.service.d/{rendered.UNIT_DROP_IN}"
    extra = flags.replace('extra-args="', "extra-args=")
    assert content(made, path) == (
        f'[Service]\nExecStart=\nExecStart=/usr/local/bin/k0s worker "{extra}\n'
    )
    assert (made.config, made.bin_dir) == (rendered.SYSTEMD.file, rendered.SYSTEMD.bin_dir)


@pytest.mark.parametrize("minor", [(1, 33), (1, 34)])
def test_microk8s_is_wired_as_rendered(tmp_path: Path, minor: tuple[int, int]) -> None:
    from gcp_sa_credential_provider.render.distributions import microk8s

    made = wiring(tree(tmp_path, TREES["microk8s"]), None, None, minor)
    written = node_groups.files(node_groups.cluster("microk8s", f"{minor[0]}.{minor[1]}"))
    lines = [line for line in written["args-kubelet"].splitlines() if not line.startswith("#")]
    text = content(made, "/var/snap/microk8s/current/args/kubelet")
    assert text.splitlines() == ["--v=2", "# gcp-sa-credential-provider", *lines]
    assert (made.config, made.bin_dir) == (microk8s.PLACE.file, microk8s.PLACE.bin_dir)
    assert made.version == ("/snap/microk8s/current/meta/snap.yaml",)


def test_eks_is_wired_as_rendered(tmp_path: Path) -> None:
    own = "/etc/eks/image-credential-provider"
    kubelet = told(config=f"{own}/config.json", bin_dir=own)
    made = wiring(tree(tmp_path, TREES["eks"]), kubelet, None, (1, 34))
    cluster = node_groups.cluster("eks", "1.34", directory=True)
    script = node_groups.files(cluster)["user-data.mime"]
    links = [edit for edit in made.flags if isinstance(edit, Link)]
    assert len(links) == 2
    for link in links:
        assert f"ln -sf {link.target} {link.path}\n" in script
    told_there = f"--image-credential-provider-config={made.config}"
    assert told_there in script
    assert content(made, f"{UNIT}/kubelet.service.d/{wire.UNIT_DROP_IN}") == (
        "[Service]\nExecStart=\nExecStart=/usr/bin/kubelet $NODEADM_KUBELET_ARGS"
        f" {told_there} --image-credential-provider-bin-dir={made.bin_dir}\n"
    )
    assert made.directory
    assert made.bin_dir == rendered.SYSTEMD.bin_dir


def test_eks_of_before_directories(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        wiring(tree(tmp_path, TREES["eks"]), None, None, (1, 33))
    assert str(caught.value) == (
        "EKS, Kubernetes 1.33: nodeadm writes its configuration anew at every boot, and only from"
        " 1.34 on can the kubelet read ours beside it. Fix: upgrade to 1.34, or give the nodes the"
        " user data that `render` writes for distribution eks"
    )


def test_eks_whose_user_has_flags_of_his_own(tmp_path: Path) -> None:
    (tmp_path / "etc/own").mkdir(parents=True)
    kubelet = told(config="/etc/own", bin_dir="/opt/own")
    made = wiring(tree(tmp_path, TREES["eks"]), kubelet, None, (1, 34))
    assert (made.config, made.bin_dir, made.directory, made.flags) == (
        "/etc/own",
        "/opt/own",
        True,
        (),
    )


def test_names_are_those_that_profiles_have() -> None:
    assert sorted(TREES) == profile._known()

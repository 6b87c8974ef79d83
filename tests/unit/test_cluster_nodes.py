"""Groups of nodes, and which nodes are in none."""

import pytest

from gcp_sa_credential_provider.cluster.distributions import ASSUMPTION, Detected
from gcp_sa_credential_provider.cluster.nodes import (
    LeftOut,
    Node,
    grouped,
    minor_of,
    node_of,
    unusable,
)

K3S = Detected("k3s", "kubeletVersion with +k3s", "k3s-io/k3s: release names")


def node(
    detected: Detected = K3S,
    minor: str = "1.34",
    architecture: str = "amd64",
    system: str = "linux",
    runtime: str = "containerd://2.1.4",
) -> Node:
    return Node(detected, minor, architecture, system, runtime)


@pytest.mark.parametrize(
    ("version", "minor"),
    [
        ("v1.34.1+k3s1", "1.34"),
        ("v1.34.1-eks-113cf36", "1.34"),
        ("1.33.0", "1.33"),
        ("v1.34", "1.34"),
        ("v1", None),
        ("", None),
        ("latest", None),
    ],
)
def test_minor_of(version: str, minor: str | None) -> None:
    assert minor_of(version) == minor


def test_groups() -> None:
    """By distribution, minor and architecture; the largest first; runtimes without versions."""
    groups, left_out = grouped(
        [
            node(),
            node(runtime="containerd://2.0.0"),
            node(runtime="cri-o://1.34.0"),
            node(architecture="arm64"),
            node(minor="1.33"),
            node(minor="1.33"),
        ]
    )
    assert [(g.distribution, g.minor, g.architecture, g.count) for g in groups] == [
        ("k3s", "1.34", "amd64", 3),
        ("k3s", "1.33", "amd64", 2),
        ("k3s", "1.34", "arm64", 1),
    ]
    assert groups[0].runtimes == ("containerd", "cri-o")
    assert left_out == ()


def test_an_assumption_of_one_is_one_of_all() -> None:
    """A group is only as sure as its least sure node."""
    sure = Detected("flatcar", "somebody said so", "terminal")
    unsure = Detected("flatcar", "osImage: Flatcar", f"{ASSUMPTION}: os-release")
    groups, _ = grouped([node(sure), node(unsure), node(sure)])
    assert [group.detected for group in groups] == [unsure]


LEFT_OUT = {
    "windows: the plugin runs on Linux": node(system="windows"),
    "GKE: its nodes have Google's own credential provider": node(Detected("gke", "", "")),
    "Fargate: AWS configures these kubelets": node(Detected("fargate", "", "")),
    "s390x: the static file is built for amd64 and arm64": node(architecture="s390x"),
    "a kubelet version that is not understood": node(minor=""),
    "kubelet 1.32: ServiceAccount tokens reach providers from 1.33 on": node(minor="1.32"),
    "kubelet 1.9: ServiceAccount tokens reach providers from 1.33 on": node(minor="1.9"),
}


@pytest.mark.parametrize("reason", LEFT_OUT)
def test_left_out(reason: str) -> None:
    assert unusable(LEFT_OUT[reason]) == reason
    assert grouped([LEFT_OUT[reason]] * 2) == ((), (LeftOut(reason, 2),))


def test_node_of_an_object() -> None:
    """What is kept of a Node."""
    info = {
        "kubeletVersion": "v1.34.1+k3s1",
        "architecture": "arm64",
        "operatingSystem": "linux",
        "containerRuntimeVersion": "containerd://2.1.4-k3s1",
    }
    expected = Node(K3S, "1.34", "arm64", "linux", "containerd://2.1.4-k3s1")
    assert node_of({"status": {"nodeInfo": info}}, kubeadm=False) == expected

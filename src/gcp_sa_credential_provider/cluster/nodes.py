"""A cluster's nodes: what is kept of each, and the groups that are set up in the same way.

Pure. Which nodes can be set up: the plugin's static file is there for Linux on amd64 and arm64, and
kubelets hand ServiceAccount tokens to credential providers from 1.33 on (KEP-4412).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gcp_sa_credential_provider.cluster.distributions import Detected, detect, signs

ARCHITECTURES = ("amd64", "arm64")
OLDEST = (1, 33)
"""Minor from which on kubelets know tokenAttributes."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node, without its name: only groups matter."""

    detected: Detected
    minor: str
    """Of its kubelet, as in 1.34; empty if the version is not understood."""
    architecture: str
    system: str
    """linux or windows."""
    runtime: str
    """As in containerd://2.1.4."""


@dataclass(frozen=True)
class Group:
    """Nodes of one distribution, minor and architecture."""

    detected: Detected
    """Of one of them."""
    minor: str
    architecture: str
    runtimes: tuple[str, ...]
    """Names without versions, sorted."""
    count: int

    @property
    def distribution(self) -> str:
        """As in fleet.yaml."""
        return self.detected.distribution


@dataclass(frozen=True)
class LeftOut:
    """Nodes that cannot be set up, or need not."""

    reason: str
    count: int


def node_of(document: Mapping[str, Any], *, kubeadm: bool) -> Node:
    """Of a Node object, as the API server gives it."""
    info = (document.get("status") or {}).get("nodeInfo") or {}
    seen = signs(document)
    return Node(
        detected=detect(seen, kubeadm=kubeadm),
        minor=minor_of(seen.kubelet) or "",
        architecture=str(info.get("architecture") or "unknown"),
        system=str(info.get("operatingSystem") or "unknown"),
        runtime=str(info.get("containerRuntimeVersion") or "unknown"),
    )


def minor_of(version: str) -> str | None:
    """`1.34` of `v1.34.1+k3s1`; None if it is no such version."""
    found = re.match(r"v?(\d+)\.(\d+)(?!\d)", version)
    return f"{found[1]}.{found[2]}" if found else None


def numbers(minor: str) -> tuple[int, ...]:
    """To compare by: 1.9 is older than 1.34."""
    return tuple(int(part) for part in minor.split("."))


def unusable(node: Node) -> str | None:
    """Why no node group is made of it; None if one is."""
    if node.system != "linux":
        return f"{node.system}: the plugin runs on Linux"
    if node.detected.distribution == "gke":
        return "GKE: its nodes have Google's own credential provider"
    if node.detected.distribution == "fargate":
        return "Fargate: AWS configures these kubelets"
    if node.architecture not in ARCHITECTURES:
        return f"{node.architecture}: the static file is built for {' and '.join(ARCHITECTURES)}"
    if not node.minor:
        return "a kubelet version that is not understood"
    if numbers(node.minor) < OLDEST:
        return f"kubelet {node.minor}: ServiceAccount tokens reach providers from 1.33 on"
    return None


def grouped(nodes: Iterable[Node]) -> tuple[tuple[Group, ...], tuple[LeftOut, ...]]:
    """Groups, the largest first, and what is left out."""
    kept: dict[tuple[str, str, str], list[Node]] = {}
    left_out: Counter[str] = Counter()
    for node in nodes:
        if reason := unusable(node):
            left_out[reason] += 1
        else:
            key = (node.detected.distribution, node.minor, node.architecture)
            kept.setdefault(key, []).append(node)
    groups = [
        Group(
            # What is assumed of one is said of all.
            detected=max((node.detected for node in alike), key=lambda seen: seen.assumed),
            minor=minor,
            architecture=architecture,
            runtimes=tuple(sorted({node.runtime.partition(":")[0] for node in alike})),
            count=len(alike),
        )
        for (_, minor, architecture), alike in kept.items()
    ]
    groups.sort(key=lambda g: (-g.count, g.distribution, numbers(g.minor), g.architecture))
    return tuple(groups), tuple(LeftOut(reason, n) for reason, n in sorted(left_out.items()))

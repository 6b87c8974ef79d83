"""File trees of nodes of each kind, and a kubelet that runs on them."""

import dataclasses
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.node import change
from gcp_sa_credential_provider.node.change import Edit, Write
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.kubelet import Kubelet
from gcp_sa_credential_provider.node.profile import Wiring
from gcp_sa_credential_provider.node.validate import GATE

UNIT = "/etc/systemd/system"
KUBEADM = (
    "[Service]\n"
    'Environment="KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml"\n'
    "EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\n"
    "EnvironmentFile=-/etc/default/kubelet\n"
    "ExecStart=\n"
    "ExecStart=/usr/bin/kubelet $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n"
)
TREES: dict[str, dict[str, str]] = {
    "kubelet": {f"{UNIT}/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet --v=2\n"},
    "kubeadm": {
        "/usr/lib/systemd/system/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet\n",
        "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf": KUBEADM,
        "/var/lib/kubelet/kubeadm-flags.env": 'KUBELET_KUBEADM_ARGS="--x=1"\n',
    },
    "flatcar": {
        f"{UNIT}/kubelet.service": "[Service]\nExecStart=/opt/bin/kubelet $KUBELET_EXTRA_ARGS\n",
        "/usr/lib/os-release": 'NAME="Flatcar Container Linux by Kinvolk"\nID=flatcar\n',
    },
    "eks": {
        f"{UNIT}/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet $NODEADM_KUBELET_ARGS\n",
        "/etc/eks/image-credential-provider/config.json": "{}",
    },
    "k3s": {f"{UNIT}/k3s.service": "[Service]\nExecStart=/usr/local/bin/k3s \\\n    server \\\n"},
    "rke2": {
        "/usr/local/lib/systemd/system/rke2-agent.service": "[Service]\n"
        "ExecStart=/usr/local/bin/rke2 agent\n"
    },
    "k0s": {f"{UNIT}/k0sworker.service": "[Service]\nExecStart=/usr/local/bin/k0s worker\n"},
    "microk8s": {
        f"{UNIT}/snap.microk8s.daemon-kubelite.service": "[Service]\n"
        "ExecStart=/usr/bin/snap run microk8s.daemon-kubelite\n",
        "/var/snap/microk8s/current/args/kubelet": "--v=2",
    },
}
PLAIN = ("kubelet", "kubeadm", "flatcar")
KUBELET = Kubelet(
    pid=77,
    started="boot/1",
    minor=(1, 34),
    config=None,
    bin_dir=None,
    gates={GATE: True},
    unit=None,
    node_name="n",
    within="",
    server=False,
    program="/usr/bin/kubelet",
    kubeconfig=None,
    healthz=None,
    port=10250,
    address="0.0.0.0",
    read_only_port=0,
    certificates=(),
)


def tree(folder: Path, files: dict[str, str]) -> Root:
    """A host's files."""
    for path, text in files.items():
        file = folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Root(folder)


def told(**fields: Any) -> Kubelet:
    """A kubelet that runs."""
    return dataclasses.replace(KUBELET, **fields)


def content(made: Wiring, path: str) -> str:
    """What an edit writes there."""
    for edit in made.flags:
        if isinstance(edit, Write) and edit.path == path:
            return edit.content.decode()
    raise AssertionError(f"{path} is not among {made.flags}")


def apply(root: Root, edits: tuple[Edit, ...]) -> None:
    for edit in edits:
        change.do(root, edit)

"""Files of nodes with what `node install` made of them, and whether a kubelet starts on them."""

import shutil
from collections.abc import Callable
from pathlib import Path

from gcp_sa_credential_provider.node.validate import GATE
from kubelet.harness import Kubelet, Refused
from process import launch, node_tree
from process.launch import Launcher
from process.node_tree import Node

ALPHA = "1.33"
DROP_IN = "/etc/systemd/system/kubelet.service.d/50-gcp-sa-credential-provider.conf"


def verdict(harness: Path, minor: str, config: Path, bin_dir: Path) -> str:
    """Why a kubelet of the minor would not start; "" if it would."""
    gates = {GATE: True} if minor == ALPHA else {}
    # Thousands of them start and end at once: there is nothing to collect.
    with Kubelet(harness, {"PATH": "/usr/bin:/bin", "GOGC": "off"}) as kubelet:
        try:
            kubelet.register(config, bin_dir, gates=gates)
        except Refused as refused:
            return str(refused)
    return ""


def maker(folder: Path, plugin: Path) -> Callable[[str], Node]:
    """Makes the files of a node of a kind, by `node_tree`."""
    static = plugin.read_bytes().startswith(b"\x7fELF")
    launcher = Launcher("given", (str(plugin),)) if static else launch.console()
    places = iter(range(10_000))

    def make(kind: str) -> Node:
        place = folder / f"node-{next(places)}"
        place.mkdir()
        return node_tree.make(kind, place, launcher)

    return make


def starts(harness: Path, minor: str, node: Node) -> str:
    """Why a kubelet would not start on the node's files; "" if it would, or is told of none."""
    if node.kind == "kubelet" and not node.path(DROP_IN).exists():
        return ""
    bin_dir = node.path(node.bin_dir)
    config = node.path(node.given)
    if config.is_dir():  # a link of the node's tree leads nowhere in ours
        shown = node.place / "shown"
        shutil.rmtree(shown, ignore_errors=True)
        shutil.copytree(config, shown / "config", symlinks=True)
        shutil.copytree(bin_dir, shown / "bin", symlinks=True)
        for link in [*shown.glob("config/*"), *shown.glob("bin/*")]:
            if link.is_symlink() and str(link.readlink()).startswith("/"):
                target = node.path(str(link.readlink()))
                link.unlink()
                link.symlink_to(target)
        config, bin_dir = shown / "config", shown / "bin"
    return verdict(harness, minor, config, bin_dir)

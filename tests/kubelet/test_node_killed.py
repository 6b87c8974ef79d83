"""`node` killed at every step: the kubelet's own code starts on what is there then.

Of the newest minor: what a killed command leaves does not depend on it, and every minor's verdict
on whole configurations is in test_node_config.py.
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kubelet.build import NEWEST
from kubelet.node_files import maker, starts
from process import node_tree
from process.node_tree import Node

MINORS = (NEWEST,)
# Hundreds of nodes are made, and each of their files is synced.
_MEMORY = Path("/dev/shm")


@pytest.fixture
def new(plugin: Path) -> Iterator[Callable[[str], Node]]:
    """Makes the files of a node of a kind."""
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:
        yield maker(Path(folder), plugin)


@pytest.mark.timeout(900)
@pytest.mark.skipif(not shutil.which("strace"), reason="needs strace, which kills at a call")
@pytest.mark.parametrize("kind", ["kubelet", "k3s", "eks"])
def test_killed_at_every_step(
    harness: Path, minor: str, new: Callable[[str], Node], kind: str
) -> None:
    """Of installing and of taking off: a kubelet that starts now starts."""

    def installed() -> Node:
        node = new(kind)
        assert node.install(minor=minor).code == 0
        return node

    ways = (
        node_tree.kills(
            lambda: new(kind), lambda node: ["install", *node.install_words(minor=minor)]
        ),
        node_tree.kills(installed, lambda _: ["uninstall"]),
    )
    for way in ways:
        for node in way:
            if kind == "eks" and not _is_told(node):
                continue
            assert starts(harness, minor, node) == ""


def _is_told(node: Node) -> bool:
    """Whether the kubelet is handed our folder."""
    return bool(list(node.root.rglob("50-gcp-sa-credential-provider.conf")))

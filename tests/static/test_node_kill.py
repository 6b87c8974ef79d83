"""`node` killed at every step: whoever comes after finds a node that is whole, and completes it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.planned import Planned
from gcp_sa_credential_provider.node.validate import Reader, problems
from process import node_tree
from process.launch import Launcher
from process.node_tree import CONFIG, Node, photograph

pytestmark = [
    pytest.mark.skipif(not shutil.which("strace"), reason="needs strace, which kills at a call"),
    pytest.mark.timeout(600),
]
# Hundreds of nodes are made, and each of their files is synced.
_MEMORY = Path("/dev/shm")
DROP_IN = "/etc/systemd/system/kubelet.service.d/50-gcp-sa-credential-provider.conf"


@pytest.fixture(params=["kubelet", "k3s"])
def kind(request: pytest.FixtureRequest) -> str:
    """One whose kubelet has no provider yet, and one with a file of others."""
    return str(request.param)


@pytest.fixture
def new(kind: str, static_plugin: Launcher) -> Iterator[Callable[[], Node]]:
    """Makes nodes."""
    places = iter(range(10_000))
    with tempfile.TemporaryDirectory(dir=_MEMORY if _MEMORY.is_dir() else None) as folder:

        def make() -> Node:
            place = Path(folder, str(next(places)))
            place.mkdir()
            return node_tree.make(kind, place, static_plugin)

        yield make


def starts(node: Node) -> None:
    """A kubelet would start on what is there, were it started now."""
    if node.kind == "kubelet" and not node.path(DROP_IN).exists():
        return  # it is told of no provider
    planned = Planned(Root(node.root))
    reader = Reader(
        minor=(1, 34),
        gates={},
        executable=lambda name: planned.executable(f"{node.bin_dir}/{name}"),
    )
    assert problems(planned.config(node.given), reader) == []


def whole(node: Node) -> dict[str, tuple[object, ...]]:
    """What is there once all is done, but for what is remembered of the way."""
    seen = photograph(node.root)
    return {path: what for path, what in seen.items() if not path.endswith("state.json")}


def test_install(new: Callable[[], Node]) -> None:
    """Killed on the way in; then run again, or taken off, or back."""
    one = new()
    before = photograph(one.root)
    assert one.install().code == 0
    after = whole(one)
    how = 0
    for node in node_tree.kills(new, lambda here: ["install", *here.install_words()]):
        starts(node)
        how += 1
        if how % 3 == 1:
            assert node.install().code == 0
            assert whole(node) == after
            assert node.node("status").code == 0
        elif how % 3 == 2 and node.node("rollback").code == 0:
            assert photograph(node.root) == before
            continue
        assert node.node("uninstall").code == 0
        assert photograph(node.root) == before
    assert how > 20


def test_uninstall(new: Callable[[], Node]) -> None:
    """Killed on the way out; then run again."""
    before = photograph(new().root)

    def installed() -> Node:
        node = new()
        assert node.install().code == 0
        return node

    how = 0
    for node in node_tree.kills(installed, lambda _: ["uninstall"]):
        starts(node)
        how += 1
        assert node.node("uninstall").code == 0
        assert photograph(node.root) == before
    assert how > 10


@pytest.mark.parametrize("kind", ["k3s"])
def test_upgrade_and_rollback(new: Callable[[], Node]) -> None:
    """Killed on the way from one configuration to another, and on the way back."""
    other = CONFIG.replace(": Token", ": ServiceAccount")

    def installed() -> Node:
        node = new()
        assert node.install().code == 0
        return node

    before = photograph(new().root)
    first = whole(installed())
    upgrade = node_tree.kills(installed, lambda here: ["install", *here.install_words(other)])
    for node in upgrade:
        starts(node)
        undone = node.node("rollback")
        assert undone.code == 0
        starts(node)
        if b"`node install`" in undone.stdout and whole(node) != first:
            assert photograph(node.root) == before  # killed before the change was remembered
            continue
        assert node.node("uninstall").code == 0
        assert photograph(node.root) == before

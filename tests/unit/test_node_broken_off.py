"""Changes of a node that runs which are broken off, put off or fail on the way back."""

import dataclasses
import errno
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import (
    install,
    rollback,
    status,
    uninstall,
)
from gcp_sa_credential_provider.node.entry import PLUGIN
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.state import FOLDER
from unit import node_world
from unit.node_world import BIN_DIR, UNIT, WELL, WISH, World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A node whose kubelet has no provider yet."""
    return node_world.stand_in(tmp_path, monkeypatch)


def test_the_dead_mans_switch(world: World) -> None:
    """Whoever changed the node is gone: the files go back, and the kubelet is restarted."""
    before = world.photograph()

    def gone() -> None:
        raise KeyboardInterrupt

    world.seen = gone
    with pytest.raises(KeyboardInterrupt):
        install.run(world.host(), WISH)
    assert status.read(world.host()).unfinished == "install"
    world.asked.clear()
    world.seen = lambda: None
    rollback.run(world.host())
    assert world.asked == ["reload", "reload", f"restart {UNIT}", "disarm", "wait"]
    assert world.photograph() == before
    with pytest.raises(Refused, match="no change is remembered"):
        rollback.run(world.host())


@pytest.mark.parametrize("restart", [True, False])
def test_broken_off_then_again(
    world: World,
    restart: bool,  # noqa: FBT001 -- a table's column
) -> None:
    """Whoever comes next sees for himself that the kubelet is well; no armed switch is left."""

    def gone() -> None:
        raise KeyboardInterrupt

    world.seen = gone
    with pytest.raises(KeyboardInterrupt):
        install.run(world.host(), WISH)
    assert world.armed
    world.asked.clear()
    world.seen = lambda: None
    install.run(world.host(restart=restart), WISH)
    # Nothing is left to be written: one reload.
    assert world.asked == ([*WELL[:1], *WELL[2:]] if restart else ["disarm"])
    assert status.read(world.host()).unfinished is None
    world.seen = gone
    with pytest.raises(KeyboardInterrupt):
        uninstall.run(world.host())
    assert world.armed
    world.asked.clear()
    world.seen = lambda: None
    uninstall.run(world.host(restart=restart))
    assert world.asked == ([*WELL[:1], *WELL[2:]] if restart else ["disarm"])
    assert not world.armed


class Killed(BaseException):
    """As a signal ends a process that can do nothing about it."""


@pytest.mark.parametrize("command", ["install", "rollback"])
def test_killed_before_the_restart_of_the_way_back(world: World, command: str) -> None:
    """All files are back and the kubelet does not know: the switch still restarts it."""
    before = world.photograph()

    def act() -> None:
        if command == "install":
            install.run(world.host(), WISH)
        else:
            rollback.run(world.host())

    if command == "install":
        world.fails["wait"] = [Failed("it ended.")]
    else:
        install.run(world.host(), WISH)
    restarts = world.asked.count(f"restart {UNIT}")

    def killed_at_the_way_back() -> None:
        if world.root.read(f"{BIN_DIR}/{PLUGIN}") is None:
            raise Killed

    world.when[f"restart {UNIT}"] = killed_at_the_way_back
    with pytest.raises(Killed):
        act()
    assert world.asked.count(f"restart {UNIT}") > restarts
    world.when.clear()
    world.asked.clear()
    rollback.run(world.host())
    assert f"restart {UNIT}" in world.asked
    assert world.photograph() == before
    assert not world.armed


def test_again_after_a_restart_that_was_broken_off(world: World) -> None:
    """What fails then takes away what the kubelet has read meanwhile: it is restarted."""
    before = world.photograph()

    def gone() -> None:
        raise KeyboardInterrupt

    world.seen = gone
    with pytest.raises(KeyboardInterrupt):
        install.run(world.host(), WISH)
    world.asked.clear()
    world.faults = ["it is for another machine"]
    with pytest.raises(Failed, match=r"All is back as it was, and the kubelet was restarted"):
        install.run(world.host(), WISH)
    assert world.asked == ["reload", "reload", f"restart {UNIT}", "disarm"]
    assert world.photograph() == before


def test_a_program_that_cannot_be_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes after the restart: the kubelet is restarted with what comes back."""
    install.run(world.host(), WISH)
    before = world.photograph()
    remove = Root.remove
    kept = f"{BIN_DIR}/{PLUGIN}"

    def refused(root: Root, path: str) -> None:
        if path == kept:
            raise OSError(errno.EPERM, "Operation not permitted", path)
        remove(root, path)

    monkeypatch.setattr(Root, "remove", refused)
    world.asked.clear()
    with pytest.raises(Failed, match=r"not permitted.*All is back as it was, and the kubelet was"):
        uninstall.run(world.host())
    assert world.asked.count(f"restart {UNIT}") == 2
    assert world.asked[-1] == f"restart {UNIT}"
    after = world.photograph()
    assert {path: after[path] for path in before if not path.startswith(FOLDER[1:])} == {
        path: before[path] for path in before if not path.startswith(FOLDER[1:])
    }


def test_a_way_back_that_fails_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both are told: what failed, and what kept it from going back."""
    world.faults = ["it is for another machine. Fix: use the other file"]

    def refused(_: Root, path: str) -> None:
        raise OSError(errno.EIO, "Input/output error", path)

    monkeypatch.setattr(Root, "remove", refused)
    with pytest.raises(Failed, match=r"for another machine.*on the way back: .*Input/output"):
        install.run(world.host(), WISH)


def test_a_restart_that_was_put_off_and_fails(world: World) -> None:
    """No kubelet has read the change before this one: both go back."""
    before = world.photograph()
    install.run(world.host(restart=False), WISH)
    world.fails["wait"] = [Failed("it ended.")]
    with pytest.raises(Failed, match=r"it ended\. All is back as it was, and the kubelet is well"):
        install.run(world.host(), WISH)
    assert world.photograph() == before


def test_a_restart_that_was_put_off_twice(world: World) -> None:
    """The second change, of the program alone, does not hide that the first is still unread."""
    older = dataclasses.replace(WISH, program=b"#!/bin/sh\n# older\n")
    install.run(world.host(restart=False), older)
    install.run(world.host(restart=False), WISH)
    assert status.read(world.host()).restart_due
    world.asked.clear()
    install.run(world.host(), WISH)
    assert f"restart {UNIT}" in world.asked


def test_a_switch_without_a_change(world: World) -> None:
    world.armed = True
    with pytest.raises(Refused, match="no change is remembered"):
        rollback.run(world.host())
    assert not world.armed
    assert world.stopped == [False]


def test_a_switch_that_fires_while_a_change_ends_well(world: World) -> None:
    """It waits for its turn meanwhile, and would undo what is done: whoever has done it stops it.

    The way back does not: it may be what the switch runs.
    """
    install.run(world.host(), WISH)
    assert world.stopped == [True]
    uninstall.run(world.host())
    assert world.stopped == [True, True]
    install.run(world.host(), WISH)
    world.armed = True
    rollback.run(world.host())
    assert world.stopped == [True, True, True, False]

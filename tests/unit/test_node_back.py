"""Ways back on a node that runs: `uninstall`, `rollback`, `reconcile`; what `status` says."""

import select
import signal
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import (
    check,
    install,
    kubelet,
    reconcile,
    rollback,
    splice,
    status,
    uninstall,
)
from gcp_sa_credential_provider.node.entry import PLUGIN
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.state import FOLDER, PROGRAM
from unit import node_world
from unit.node_world import BIN_DIR, CONFIG, UNIT, WELL, WISH, World
from unit.provider_configs import OURS


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A node whose kubelet has no provider yet."""
    return node_world.stand_in(tmp_path, monkeypatch)


def test_uninstall(world: World) -> None:
    """The program goes last: until the restart a kubelet may still call it."""
    before = world.photograph()
    install.run(world.host(), WISH)
    world.asked.clear()
    there: list[bool] = []
    world.seen = lambda: there.append(world.root.read(f"{BIN_DIR}/{PLUGIN}") is not None)
    uninstall.run(world.host())
    assert world.asked == WELL
    assert (there, world.expected[-1]) == ([True], None)
    assert world.photograph() == before


def test_uninstall_forgets_labels(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the program, and of the copy that the dead man's switch was given."""
    asked: list[str] = []

    def forget_label(_: Root, path: str) -> list[str]:
        asked.append(path)
        return []

    monkeypatch.setattr(check, "forget_label", forget_label)
    install.run(world.host(), WISH)
    uninstall.run(world.host())
    assert asked == [f"{BIN_DIR}/{PLUGIN}", PROGRAM]


def test_a_switch_that_a_power_cut_left(world: World) -> None:
    """One between the way back and its end: the program that it names is gone."""
    world.armed = True
    uninstall.run(world.host(dry_run=True))
    assert world.armed
    uninstall.run(world.host())
    assert not world.armed


def test_uninstall_that_fails(world: World) -> None:
    """Back to what was installed."""
    install.run(world.host(), WISH)
    before = world.photograph()
    world.fails["wait"] = [Failed("it ended.")]
    with pytest.raises(Failed, match="All is back as it was"):
        uninstall.run(world.host())
    after = world.photograph()
    for seen in (before, after):
        for path in [path for path in seen if path.startswith(FOLDER[1:])]:
            del seen[path]
    assert after == before
    assert status.read(world.host()).installed


def test_rollback_of_a_kubelet_that_is_down(world: World) -> None:
    install.run(world.host(), WISH)
    world.runs = False
    world.asked.clear()
    rollback.run(world.host())
    assert world.asked == ["reload", "reload", f"restart {UNIT}"]


def no_telling(*_: object, **__: object) -> None:
    """In place of `kubelet.running`: the one that was found has ended meanwhile."""
    raise Refused("the kubelet's version is unknown: /proc/1/exe: cannot be run")


def test_rollback_of_a_kubelet_that_ends_again_and_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There may be one when it is looked for, and none when it is looked at: what broke it goes."""
    before = world.photograph()
    install.run(world.host(), WISH)
    world.asked.clear()
    world.said.clear()
    monkeypatch.setattr(kubelet, "running", no_telling)
    rollback.run(world.host())
    assert world.asked == ["reload", "reload", f"restart {UNIT}"]
    assert world.photograph() == before
    assert "the kubelet's version is unknown" in world.said[0]
    assert "see whether it is well" in world.said[-1]


def test_a_change_that_broke_the_kubelet_goes_back_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above, by whoever made the change: a refusal would give its turn to the next node."""
    before = world.photograph()
    world.seen = lambda: monkeypatch.setattr(kubelet, "running", no_telling)
    world.fails["wait"] = [Failed("it ended.")]
    with pytest.raises(Failed, match=r"it ended\. All is back as it was, and the kubelet is well"):
        install.run(world.host(), WISH)
    assert world.asked[-4:] == ["reload", f"restart {UNIT}", "wait", "disarm"]
    assert world.photograph() == before


def test_flags_are_gone_for_systemd_before_what_they_name(world: World) -> None:
    """It starts a kubelet by the drop-ins that it has read, whatever is on the disk."""
    install.run(world.host(), WISH)
    world.asked.clear()
    there: list[tuple[bool, bool]] = []
    flags = f"/etc/systemd/system/{UNIT}.d/50-{PLUGIN}.conf"
    world.when["reload"] = lambda: there.append(
        (world.root.read(flags) is not None, world.root.read(CONFIG) is not None)
    )
    uninstall.run(world.host(restart=False))
    assert (world.asked, there) == (["reload"], [(False, True)])
    install.run(world.host(restart=False), WISH)
    assert there[1:] == [(True, True)]
    rollback.run(world.host(restart=False))
    assert there[2:] == [(False, True)]


def test_rollback_where_nobody_can_restart(world: World) -> None:
    """Refused before anything goes back."""
    install.run(world.host(), WISH)
    world.systemd = False
    before = world.photograph()
    with pytest.raises(Refused, match="there is no systemd here"):
        rollback.run(world.host())
    assert world.photograph() == before


def test_rollback_that_does_not_help(world: World) -> None:
    install.run(world.host(), WISH)
    world.fails["wait"] = [Failed("it ended.")]
    with pytest.raises(Failed, match=r"all files are back as they were, but: it ended\."):
        rollback.run(world.host())


def test_rollback_without_restart(world: World) -> None:
    install.run(world.host(), WISH)
    world.asked.clear()
    shown = world.photograph()
    rollback.run(world.host(dry_run=True))
    assert f"{CONFIG}: goes back" in world.said
    assert world.photograph() == shown
    rollback.run(world.host(restart=False))
    assert world.asked == ["reload"]


def test_rollback_past_what_nobody_can_tell_apart(world: World) -> None:
    """A node that starts comes first; what others did is set aside."""
    world.root.mkdir("/etc/kubernetes/credential-providers")
    before = splice.whole([{**OURS, "name": "theirs"}], "theirs").encode()
    world.root.write(CONFIG, before, 0o644)
    world.root.mkdir(BIN_DIR)
    world.root.write(f"{BIN_DIR}/theirs", b"#!/bin/sh\n", 0o755)
    install.run(world.host(), WISH)
    world.root.write(CONFIG, b"providers: [", 0o644)
    rollback.run(world.host())
    assert world.root.read(CONFIG) == before
    (aside,) = [name for name in world.root.listdir(FOLDER) if name.startswith("aside-")]
    assert world.root.read(f"{FOLDER}/{aside}") == b"providers: ["
    assert any(aside in line for line in world.said)
    # And stays, also where the chart then takes all off the node.
    uninstall.run(world.host())
    assert world.root.read(f"{FOLDER}/{aside}") == b"providers: ["


def test_uninstall_of_what_nobody_can_tell_apart(world: World) -> None:
    install.run(world.host(), WISH)
    world.root.write(CONFIG, b"providers: [", 0o644)
    before = world.photograph()
    with pytest.raises(Refused, match="take what is ours out of it by hand"):
        uninstall.run(world.host())
    assert world.photograph() == before


def test_uninstall_that_would_leave_a_broken_file(world: World) -> None:
    world.root.mkdir("/etc/kubernetes/credential-providers")
    theirs = splice.whole([{**OURS, "name": "theirs"}], "theirs").encode()
    world.root.write(CONFIG, theirs, 0o644)
    world.root.mkdir(BIN_DIR)
    world.root.write(f"{BIN_DIR}/theirs", b"#!/bin/sh\n", 0o755)
    install.run(world.host(), WISH)
    world.root.remove(f"{BIN_DIR}/theirs")
    before = world.photograph()
    with pytest.raises(Refused, match=r"would not start on what is left: .*'theirs'"):
        uninstall.run(world.host())
    assert world.photograph() == before


def test_status_of_flags_that_are_not_ours(world: World) -> None:
    install.run(world.host(), WISH)
    world.root.remove(f"/etc/systemd/system/{UNIT}.d/50-{PLUGIN}.conf")
    world.root.write(f"{BIN_DIR}/{PLUGIN}", b"#!/bin/other\n", 0o755)
    found = status.read(world.host()).problems
    assert found == [
        f"{BIN_DIR}/{PLUGIN}: is no longer as it was installed",
        f"/etc/systemd/system/{UNIT}.d/50-{PLUGIN}.conf: is gone",
        f"--image-credential-provider-config: the kubelet has none, not {CONFIG}",
        f"--image-credential-provider-bin-dir: the kubelet has none, not {BIN_DIR}",
    ]
    world.root.write(CONFIG, b"providers: [", 0o644)
    assert "not YAML" in " ".join(status.read(world.host()).problems)
    world.root.remove(CONFIG)
    assert f"{CONFIG}: is gone" in status.read(world.host()).problems


def test_reconcile_asks_the_kubelet_that_comes(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its unit's program, or another that is named."""
    install.run(world.host(), WISH)
    asked: list[tuple[str, ...]] = []

    def minor_of(_: Root, told_by: tuple[str, ...]) -> tuple[int, int]:
        asked.append(told_by)
        return (1, 33)

    monkeypatch.setattr(kubelet, "minor_of", minor_of)
    reconcile.run(world.host(dry_run=True), None, None)
    assert any(line.startswith('-    cacheType: "Serv') for line in world.said)
    reconcile.run(world.host(), None, "/opt/kubelet")
    assert asked == [("/usr/bin/kubelet", "--version"), ("/opt/kubelet", "--version")]
    assert b"cacheType" not in (world.root.read(CONFIG) or b"")
    found = status.read(world.host())
    assert found.minor == "1.33"
    assert any("cacheType" in what for what in found.problems)


def test_reconcile_gives_up_in_time(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than TimeoutStartSec, and systemd would not start the kubelet at all."""
    install.run(world.host(), WISH)

    def minor_of(*_: object) -> tuple[int, int]:
        select.select([], [], [], 60)
        return (1, 33)

    monkeypatch.setattr(kubelet, "minor_of", minor_of)
    monkeypatch.setattr(reconcile, "SECONDS", 0.1)
    with pytest.raises(Failed, match="the kubelet is not kept waiting any longer"):
        reconcile.run(world.host(), None, None)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_reconcile_of_what_is_gone_or_broken(world: World) -> None:
    install.run(world.host(), WISH)
    world.root.write(CONFIG, b"providers: [", 0o644)
    with pytest.raises(Refused, match="not YAML"):
        reconcile.run(world.host(), (1, 33), None)
    world.root.remove(CONFIG)
    with pytest.raises(Refused, match="is not there"):
        reconcile.run(world.host(), (1, 33), None)
    with pytest.raises(Refused, match=r"a kubelet of 1\.32 cannot read"):
        reconcile.run(world.host(), (1, 32), None)


def test_reconcile_that_cannot_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    install.run(world.host(), WISH)

    def write(_: Root, path: str, content: bytes, mode: int) -> None:
        del content, mode
        raise OSError(30, "Read-only file system", path)

    monkeypatch.setattr(Root, "write", write)
    with pytest.raises(Failed, match="Read-only file system"):
        reconcile.run(world.host(), (1, 33), None)

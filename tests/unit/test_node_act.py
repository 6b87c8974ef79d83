"""`node install` on a node that runs: what is asked of whom, and what is there after a failure."""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gcp_sa_credential_provider.node import (
    change,
    install,
    kubelet,
    splice,
    status,
    systemd,
    uninstall,
)
from gcp_sa_credential_provider.node.entry import PLUGIN
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.state import FOLDER
from gcp_sa_credential_provider.node.validate import config_hash
from unit import node_world
from unit.node_world import BIN_DIR, CONFIG, UNIT, WELL, WISH, World
from unit.provider_configs import OURS


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A node whose kubelet has no provider yet."""
    return node_world.stand_in(tmp_path, monkeypatch)


def test_install(world: World) -> None:
    """The switch is armed before the restart and disarmed after the kubelet is well."""
    install.run(world.host(), WISH)
    assert world.asked == WELL
    content = world.root.read(CONFIG)
    assert content is not None
    assert world.expected == [config_hash([content])]
    assert world.said[-1] == "the kubelet was restarted and is well"
    assert status.read(world.host()).problems == []


@pytest.mark.skipif(os.geteuid() != 0, reason="files of root need root")
def test_a_configuration_that_others_may_write_is_said(world: World) -> None:
    """It was so before; it is taken all the same."""
    world.root.mkdir("/etc/kubernetes")
    (world.root.path / "etc/kubernetes").chmod(0o777)
    install.run(world.host(), WISH)
    warned = "/etc/kubernetes: others may write in it (mode 0777). Fix: chmod go-w /etc/kubernetes"
    assert warned in world.said
    assert world.asked == WELL


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_the_switch_is_armed_first(world: World, command: str) -> None:
    """Before anything changes that a kubelet reads when it starts, on whatever occasion."""
    before = world.photograph()
    if command == "uninstall":
        install.run(world.host(), WISH)
        before = world.photograph()
    seen: list[dict[str, bytes | str]] = []
    world.when["arm"] = lambda: seen.append(world.photograph())
    if command == "install":
        install.run(world.host(), WISH)
    else:
        uninstall.run(world.host())
    (then,) = seen
    read = [path for path in {*before, *then} if path.startswith("etc/")]
    assert {path: then.get(path) for path in read} == {path: before.get(path) for path in read}
    assert f'"command": "{command}"' in str(then[f"{FOLDER[1:]}/state.json"])


def test_a_kubelet_with_a_provider_of_its_own(world: World) -> None:
    """As AKS has it: our entry goes into its file, our program into its folder; no flag is ours."""
    config, bin_dir = "/var/lib/kubelet/credential-provider-config.yaml", "/var/lib/kubelet/cp"
    theirs = b"""\
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: acr-credential-provider
    matchImages:
      - "*.azurecr.io"
      - "*.azurecr.cn"
    defaultCacheDuration: "10m"
    apiVersion: credentialprovider.kubelet.k8s.io/v1
    args:
      - /etc/kubernetes/azure.json
"""
    world.root.mkdir(bin_dir)
    world.root.write(f"{bin_dir}/acr-credential-provider", b"#!/bin/sh\n", 0o755)
    world.root.write(config, theirs, 0o644)
    world.given = (config, bin_dir)
    before = world.photograph()
    install.run(world.host(), WISH)
    content = world.root.read(config)
    assert content is not None
    assert content.startswith(theirs)
    assert f'  - name: "{PLUGIN}"'.encode() in content
    assert world.expected == [config_hash([content])]
    assert world.root.read(f"{bin_dir}/{PLUGIN}") == WISH.program
    assert world.root.listdir(f"/etc/systemd/system/{UNIT}.d") == [f"60-{PLUGIN}-reconcile.conf"]
    world.fails["wait"] = [Failed("it ended.")]
    with pytest.raises(Failed, match="All is back as it was"):
        install.run(world.host(), dataclasses.replace(WISH, entries=[_other(OURS)]))
    assert world.root.read(config) == content
    assert world.expected[-1] == config_hash([content])
    uninstall.run(world.host())
    assert world.expected[-1] == config_hash([theirs])
    assert world.photograph() == before


def test_a_provider_that_came_after_ours(world: World) -> None:
    """It has taken the kubelet's flags: our entry goes beside it; then all of ours goes."""
    install.run(world.host(), WISH)
    config, bin_dir = "/etc/ecr.yaml", "/opt/ecr"
    theirs = splice.whole([{**OURS, "name": "ecr"}], "theirs").encode()
    world.root.mkdir(bin_dir)
    world.root.write(f"{bin_dir}/ecr", b"#!/bin/sh\n", 0o755)
    world.root.write(config, theirs, 0o644)
    world.given = (config, bin_dir)
    install.run(world.host(), WISH)
    assert (world.root.read(config) or b"").startswith(theirs)
    assert world.root.listdir(f"/etc/systemd/system/{UNIT}.d") == [f"60-{PLUGIN}-reconcile.conf"]
    assert status.read(world.host()).problems == []
    uninstall.run(world.host())
    assert (world.root.read(config), world.root.listdir(bin_dir)) == (theirs, ["ecr"])
    assert [path for path in world.photograph() if PLUGIN in path or "kubernetes" in path] == []


def test_again(world: World) -> None:
    """Nothing is written and nothing is restarted."""
    install.run(world.host(), WISH)
    before = world.photograph()
    world.asked.clear()
    install.run(world.host(), WISH)
    assert world.asked == []
    assert world.photograph() == before
    assert world.said[-1] == "all is there already; nothing is changed"


def test_a_new_program_alone(world: World) -> None:
    """The kubelet starts it anew for each image: no restart."""
    install.run(world.host(), WISH)
    world.asked.clear()
    install.run(world.host(), dataclasses.replace(WISH, program=b"#!/bin/sh\n# new\n"))
    assert world.asked == []
    assert world.root.read(f"{BIN_DIR}/{PLUGIN}") == b"#!/bin/sh\n# new\n"


@pytest.mark.parametrize("config", [None, "/etc/other.yaml"])
def test_flags_that_do_not_reach_the_kubelet(
    world: World, monkeypatch: pytest.MonkeyPatch, config: str | None
) -> None:
    """A drop-in behind ours has a command line too: the kubelet is well, and has none of ours."""
    before = world.photograph()
    there = world.kubelet()
    assert there is not None
    told = dataclasses.replace(there, config=config)
    world.seen = lambda: monkeypatch.setattr(world, "kubelet", lambda: told)
    what = rf"has {config or 'none'}, not {CONFIG}; .* none, not {BIN_DIR}\. Fix: .*cat {UNIT}"
    with pytest.raises(Failed, match=rf"{what}\)\. All is back as it was"):
        install.run(world.host(), WISH)
    assert world.photograph() == before


def test_the_kubelet_does_not_come_back(world: World) -> None:
    """All files go back, and the kubelet is restarted with them."""
    before = world.photograph()
    world.fails["wait"] = [Failed("it ended. Fix: look.")]
    with pytest.raises(Failed) as failed:
        install.run(world.host(), WISH)
    assert str(failed.value) == (
        "it ended. Fix: look. All is back as it was, and the kubelet is well"
    )
    assert world.asked == [*WELL[:-1], *WELL[1:]]
    assert world.expected[1] is None
    assert world.photograph() == before


def test_nor_with_its_former_files(world: World) -> None:
    before = world.photograph()
    world.fails["wait"] = [Failed("it ended."), Failed("it ended again.")]
    with pytest.raises(Failed, match=r"it ended\. All files are back .* but: it ended again\."):
        install.run(world.host(), WISH)
    assert world.asked[-1] == "disarm"
    assert world.photograph() == before


FULL = OSError(28, "No space left on device", "/etc/x")


@pytest.mark.parametrize(
    ("what", "error", "restarts"),
    [
        ("arm", FULL, 0),
        ("arm", Failed("no."), 0),
        ("reload", Failed("no."), 0),
        ("restart", Failed("no."), 2),
    ],
)
def test_systemd_fails(world: World, what: str, error: Exception, restarts: int) -> None:
    """Before there was a restart, none is needed to go back."""
    before = world.photograph()
    world.fails[what] = [error]
    end = ", and the kubelet is well" if restarts else ""
    with pytest.raises(Failed, match=f"All is back as it was{end}$"):
        install.run(world.host(), WISH)
    assert world.asked.count(f"restart {UNIT}") == restarts
    assert not world.armed
    assert world.photograph() == before


def test_systemd_fails_on_the_way_back_too(world: World) -> None:
    """The files go back all the same, and both are said."""
    before = world.photograph()
    world.fails = {"reload": [Failed("no."), Failed("still no.")], "disarm": [Failed("never.")]}
    with pytest.raises(Failed, match=r"^no\. All files are back as they were, but: never\.$"):
        install.run(world.host(), WISH)
    assert "still no.; going on" in world.said
    assert world.photograph() == before


def test_no_systemd(world: World) -> None:
    """Refused with nothing changed, unless no restart is wanted."""
    world.systemd = False
    before = world.photograph()
    with pytest.raises(Refused, match="there is no systemd here"):
        install.run(world.host(), WISH)
    assert world.photograph() == before
    install.run(world.host(restart=False), WISH)
    assert world.asked == []
    with pytest.raises(Refused, match="there is no systemd here"):
        uninstall.run(world.host())
    uninstall.run(world.host(restart=False))
    assert world.photograph() == before


def test_a_restart_that_was_put_off(world: World) -> None:
    """It is done by the next installation, unless the kubelet has started since."""
    install.run(world.host(restart=False), WISH)
    assert "it is not restarted" in world.said[-1]
    found = status.read(world.host())
    assert found.restart_due
    assert found.problems == ["the kubelet was not restarted since the last change"]
    assert world.asked == ["reload"]
    install.run(world.host(), WISH)
    assert world.asked[1:] == [*WELL[:1], *WELL[2:]]
    install.run(world.host(restart=False), dataclasses.replace(WISH, entries=[_other(OURS)]))
    world.asked.clear()
    world.starts += 1
    install.run(world.host(), dataclasses.replace(WISH, entries=[_other(OURS)]))
    assert world.asked == []


def _other(entry: dict[str, Any]) -> dict[str, Any]:
    return {**entry, "matchImages": ["gcr.io"]}


def test_a_program_that_does_not_run_here(world: World) -> None:
    """Found before the configuration names it; all goes back."""
    before = world.photograph()
    world.faults = ["it is for another machine. Fix: use the other file."]
    with pytest.raises(Failed, match=r"another machine.* All is back as it was"):
        install.run(world.host(), WISH)
    assert world.asked == []
    assert world.photograph() == before


def test_a_disk_that_is_full(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = world.photograph()
    real = change.do

    def do(root: Root, edit: change.Edit) -> None:
        if edit.path == CONFIG and isinstance(edit, change.Write):
            raise OSError(28, "No space left on device", CONFIG)
        real(root, edit)

    monkeypatch.setattr(change, "do", do)
    with pytest.raises(Failed, match=r"No space left on device.* All is back as it was"):
        install.run(world.host(), WISH)
    assert world.photograph() == before


def test_another_minor_than_told(world: World) -> None:
    with pytest.raises(Refused, match=r"--minor 1\.35: the kubelet that runs here is 1\.34"):
        install.run(world.host(), dataclasses.replace(WISH, minor=(1, 35)))


def test_a_kubelet_that_was_replaced_and_not_restarted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1.34 runs, 1.33 starts next: entries for either are the other's end, so none are written."""
    asked: list[tuple[str, ...]] = []

    def minor_of(_: Root, told_by: tuple[str, ...]) -> tuple[int, int]:
        asked.append(told_by)
        return (1, 33)

    monkeypatch.setattr(kubelet, "minor_of", minor_of)
    before = world.photograph()
    with pytest.raises(Refused) as refused:
        install.run(world.host(), WISH)
    assert str(refused.value) == (
        "/usr/bin/kubelet: is of 1.33, and the kubelet that runs (process 101) is of 1.34: an entry"
        " fits only one of them. Fix: restart the kubelet, then try again"
    )
    assert world.photograph() == before
    assert asked == [("/usr/bin/kubelet", "--version")]
    monkeypatch.setattr(kubelet, "minor_of", lambda *_: (1, 37))  # takes the same entry
    install.run(world.host(), WISH)


def test_uninstall_for_a_kubelet_that_was_replaced(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry of before comes back for what runs, and another starts; else it may go ahead."""
    minors = [(1, 34), (1, 34), (1, 33)]  # not asked by the first uninstall
    monkeypatch.setattr(kubelet, "minor_of", lambda *_: minors.pop(0))
    install.run(world.host(), WISH)
    uninstall.run(world.host())
    world.root.mkdir("/opt/cp")
    world.root.write(f"/opt/cp/{PLUGIN}", b"#!/bin/former\n", 0o755)
    world.root.write("/etc/cp.yaml", splice.whole([OURS], "former").encode(), 0o644)
    world.given = ("/etc/cp.yaml", "/opt/cp")
    install.run(world.host(), dataclasses.replace(WISH, entries=[_other(OURS)]))
    before = world.photograph()
    with pytest.raises(Refused, match=r"is of 1\.33, and the kubelet that runs"):
        uninstall.run(world.host())
    assert world.photograph() == before


def test_no_kubelet_runs_yet(world: World) -> None:
    """There is nothing to restart; it will read all at its start."""
    world.runs = False
    install.run(world.host(), dataclasses.replace(WISH, minor=(1, 35)))
    assert world.asked == ["reload"]
    uninstall.run(world.host())
    assert world.root.read(CONFIG) is None


def test_memory_that_cannot_be_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the change that is a refusal."""
    real = Root.write

    def write(root: Root, path: str, content: bytes, mode: int) -> None:
        if path.startswith(FOLDER):
            raise OSError(28, "No space left on device", path)
        real(root, path, content, mode)

    monkeypatch.setattr(Root, "write", write)
    before = world.photograph()
    with pytest.raises(Refused, match="No space left on device"):
        install.run(world.host(), WISH)
    assert world.photograph() == before


def test_what_is_in_the_way(world: World) -> None:
    """A folder where a file is to be."""
    world.root.mkdir(f"{BIN_DIR}/{PLUGIN}")
    with pytest.raises(Refused, match="is neither a file nor a link"):
        install.run(world.host(), WISH)


def test_dead_mans_program_where_var_is_noexec(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one in the kubelet's folder goes back then."""
    install.run(world.host(restart=False), WISH)
    found: list[Sequence[str]] = []

    class Statvfs:
        f_flag = os.ST_NOEXEC

    def arm(_: object, __: int, argv: Sequence[str]) -> None:
        found.append(argv)

    monkeypatch.setattr(os, "statvfs", lambda _: Statvfs)
    monkeypatch.setattr(systemd.Systemd, "arm", arm)
    install.run(world.host(), WISH)
    assert found == [(f"{BIN_DIR}/{PLUGIN}", "node", "rollback")]

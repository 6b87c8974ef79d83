"""Whether the kubelet that runs has read a change that was made while none did."""

import dataclasses
import json
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import install, kubelet, process, status
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.state import FOLDER
from unit import node_world
from unit.node_world import UNIT, WISH, World
from unit.provider_configs import OURS

TOLD = dataclasses.replace(WISH, minor=(1, 34))
NEWER = dataclasses.replace(WISH, entries=[{**OURS, "matchImages": ["gcr.io"]}])
DUE = ["the kubelet was not restarted since the last change"]
STATE = f"{FOLDER}/state.json"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A node whose kubelet does not run yet."""
    made = node_world.stand_in(tmp_path, monkeypatch)
    made.runs = False
    return made


def start(world: World, *, boot: str) -> None:
    """Have its kubelet run."""
    world.boot, world.runs = boot, True
    world.asked.clear()


def test_an_image_boots_elsewhere(world: World) -> None:
    """Its kubelet has read all that is in the image: there is nothing to do, or to go back to."""
    install.run(world.host(live=False), TOLD)
    start(world, boot="boot-2")
    found = status.read(world.host())
    assert (found.restart_due, found.problems) == (False, [])
    install.run(world.host(), WISH)
    assert world.said[-1] == "all is there already; nothing is changed"
    assert world.asked == []


def test_the_first_change_of_an_image_fails(world: World) -> None:
    """What goes back is that change alone."""
    install.run(world.host(live=False), TOLD)
    start(world, boot="boot-2")
    before = {path: seen for path, seen in world.photograph().items() if path != STATE[1:]}
    world.fails["wait"] = [Failed("it ended.")]
    with pytest.raises(Failed, match="All is back as it was"):
        install.run(world.host(), NEWER)
    after = world.photograph()
    assert {path: after.get(path) for path in before} == before


def test_files_of_this_machine(world: World) -> None:
    """Through `--root`, where the kubelet was not looked for: one may have run all along."""
    install.run(world.host(live=False), TOLD)
    start(world, boot="boot-1")
    assert status.read(world.host()).problems == DUE
    install.run(world.host(), WISH)
    assert f"restart {UNIT}" in world.asked
    assert status.read(world.host()).problems == []


def test_the_kubelet_was_down(world: World) -> None:
    """It starts later, and reads all."""
    install.run(world.host(), TOLD)
    start(world, boot="boot-1")
    assert status.read(world.host()).problems == []
    install.run(world.host(), WISH)
    assert world.asked == []


def test_the_kubelet_started_meanwhile(world: World) -> None:
    """It may have read what was there before."""
    world.when["reload"] = lambda: start(world, boot="boot-1")
    install.run(world.host(), TOLD)
    world.when.clear()
    assert status.read(world.host()).problems == DUE
    world.starts += 1
    assert status.read(world.host()).problems == []


def test_nobody_can_tell_the_kubelet(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several that have started meanwhile, one may be the node's."""

    def several(*_: object) -> None:
        raise Refused("processes 1, 2: each looks like this host's kubelet")

    with monkeypatch.context() as meanwhile:
        world.when["reload"] = lambda: meanwhile.setattr(kubelet, "running", several)
        install.run(world.host(), TOLD)
    start(world, boot="boot-1")
    assert status.read(world.host()).problems == DUE


def test_a_memory_that_names_no_boot(world: World) -> None:
    """An older release's: of any kubelet it is not known whether it has read the change."""
    install.run(world.host(live=False), TOLD)
    told = json.loads(world.root.read(STATE) or b"")
    told["change"]["kubelet"] = ""
    world.root.write(STATE, json.dumps(told).encode(), 0o600)
    start(world, boot="boot-2")
    assert status.read(world.host()).problems == DUE
    install.run(world.host(), WISH)
    assert f"restart {UNIT}" in world.asked
    assert status.read(world.host()).problems == []


def test_boot(tmp_path: Path) -> None:
    """Empty where it cannot be told."""
    place = tmp_path / "sys/kernel/random"
    place.mkdir(parents=True)
    assert process.boot(tmp_path) == ""
    (place / "boot_id").write_text("b-1\n")
    assert process.boot(tmp_path) == "b-1"

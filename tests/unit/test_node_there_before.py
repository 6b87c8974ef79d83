"""`node install` where something is there already, and `node uninstall` after it.

What was there comes back or stays: a node that was set up by hand, one whose memory was deleted,
one with a provider of the very name that ours takes.
"""

import dataclasses
import json
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import (
    install,
    reconcile,
    rollback,
    splice,
    state,
    status,
    uninstall,
)
from gcp_sa_credential_provider.node.entry import PLUGIN
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.state import FOLDER
from unit import node_world
from unit.node_world import BIN_DIR, CONFIG, UNIT, WISH, World
from unit.provider_configs import OURS

PROGRAM = f"{BIN_DIR}/{PLUGIN}"
DROP_IN = f"/etc/systemd/system/{UNIT}.d/50-{PLUGIN}.conf"
PRINTED = (
    f'[Service]\nEnvironment="KUBELET_EXTRA_ARGS=--image-credential-provider-config={CONFIG}'
    f' --image-credential-provider-bin-dir={BIN_DIR}"\n'
)
"""The drop-in of docs/install.md, "By hand"."""
RENAMED = dataclasses.replace(WISH, entries=[{**OURS, "name": "gcp-a"}])
GO = {**OURS, "matchImages": ["europe-docker.pkg.dev"], "defaultCacheDuration": "1h"}
"""An entry of the Go program, which has the name of ours."""
OTHER = {**OURS, "name": "other"}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A node whose kubelet has no provider yet."""
    made = node_world.stand_in(tmp_path, monkeypatch)
    unit = b"[Service]\nExecStart=/usr/bin/kubelet $KUBELET_EXTRA_ARGS\n"
    made.root.write(f"/usr/lib/systemd/system/{UNIT}", unit, 0o644)
    return made


def by_hand(world: World, *paths: str) -> None:
    """What docs/install.md has a hand put there, of these places."""
    contents = {
        CONFIG: (splice.whole([OURS], "by hand").encode(), 0o644),
        PROGRAM: (WISH.program, 0o755),
        DROP_IN: (PRINTED.encode(), 0o644),
    }
    for path in paths:
        world.root.mkdir(path.rpartition("/")[0])
        world.root.write(path, *contents[path])


def former_is_lost(world: World) -> None:
    """As with a state that was written before the bytes of such places were kept."""
    for name in world.root.listdir(f"{FOLDER}/former"):
        world.root.remove(f"{FOLDER}/former/{name}")


def files(world: World) -> dict[str, bytes | str]:
    """All that is there, without what is remembered."""
    seen = world.photograph()
    return {path: told for path, told in seen.items() if not path.startswith(FOLDER[1:])}


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize("paths", [(CONFIG, PROGRAM, DROP_IN), (CONFIG,)])
def test_by_hand_before(
    world: World,
    paths: tuple[str, ...],
    lost: bool,  # noqa: FBT001 -- a table's column
) -> None:
    """Off again: what the hand had put there is there as it was, and that is said."""
    by_hand(world, *paths)
    before = world.photograph()
    install.run(world.host(), WISH)
    if lost:
        former_is_lost(world)
    world.said.clear()
    uninstall.run(world.host())
    assert world.photograph() == before
    stays = [line for line in world.said if line.endswith(": was there before us, and stays")]
    assert sorted(stays) == sorted(f"{path}: was there before us, and stays" for path in paths)
    assert not [line for line in world.said if line.endswith("is back")]


def test_a_memory_that_was_deleted(world: World) -> None:
    """As `node` itself advises for a damaged one: all that is there counts as there before."""
    install.run(world.host(), WISH)
    world.root.write(f"{FOLDER}/state.json", b"{", 0o600)
    world.root.remove(f"{FOLDER}/state.json")
    before = files(world)
    install.run(world.host(), WISH)
    uninstall.run(world.host())
    assert world.photograph() == before
    assert f"{CONFIG}: was there before us, and stays" in world.said


@pytest.mark.parametrize("lost", [False, True])
def test_by_hand_before_and_since(
    world: World,
    lost: bool,  # noqa: FBT001 -- a table's column
) -> None:
    """The hand's later changes of its own files stay as well."""
    by_hand(world, CONFIG, PROGRAM, DROP_IN)
    install.run(world.host(), WISH)
    if lost:
        former_is_lost(world)
    for path in (CONFIG, DROP_IN):
        world.root.write(path, (world.root.read(path) or b"") + b"# more\n", 0o644)
    before = {path: world.root.read(path) for path in (CONFIG, PROGRAM, DROP_IN)}
    uninstall.run(world.host())
    assert {path: world.root.read(path) for path in before} == before


def test_a_configuration_that_nobody_was_given(world: World) -> None:
    """Its entry comes back, and a program that there was none of does not: as it was before us."""
    by_hand(world, CONFIG)
    before = world.photograph()
    entries = [{**OURS, "matchImages": ["gcr.io"]}]
    install.run(world.host(), dataclasses.replace(WISH, entries=entries))
    uninstall.run(world.host())
    assert world.photograph() == before


def test_by_hand_before_and_another_kubelet_then(world: World) -> None:
    """`reconcile` writes what no installation has: the bytes of before are kept all the same."""
    by_hand(world, CONFIG, PROGRAM, DROP_IN)
    before = world.photograph()
    install.run(world.host(), WISH)
    reconcile.run(world.host(), (1, 33), None)
    assert b"cacheType" not in (world.root.read(CONFIG) or b"")
    uninstall.run(world.host())
    assert world.photograph() == before
    assert f"{CONFIG}: the entry {PLUGIN} that was there before is back" in world.said


def test_a_configuration_that_a_hand_has_put_back(world: World) -> None:
    """What was there before need not be kept where it is there."""
    by_hand(world, CONFIG, PROGRAM, DROP_IN)
    before = world.photograph()
    install.run(world.host(), WISH)
    reconcile.run(world.host(), (1, 33), None)
    former_is_lost(world)
    by_hand(world, CONFIG)
    uninstall.run(world.host())
    assert world.photograph() == before


def test_a_configuration_that_a_hand_has_taken_away(world: World) -> None:
    """It is not said to stay."""
    by_hand(world, CONFIG, PROGRAM, DROP_IN)
    install.run(world.host(), WISH)
    world.root.remove(CONFIG)
    uninstall.run(world.host())
    assert world.root.read(CONFIG) is None
    assert f"{PROGRAM}: was there before us, and stays" in world.said
    assert f"{CONFIG}: was there before us, and stays" not in world.said


def test_a_place_of_before_that_cannot_be_read(world: World) -> None:
    """Once there is a folder in it, nothing is begun."""
    by_hand(world, CONFIG, PROGRAM, DROP_IN)
    install.run(world.host(), WISH)
    world.root.remove(PROGRAM)
    world.root.mkdir(PROGRAM)
    before = world.photograph()
    with pytest.raises(Refused, match=PROGRAM):
        uninstall.run(world.host())
    assert world.photograph() == before


@pytest.mark.parametrize("beside", [[], [OTHER]])
def test_the_name_that_was_taken_and_given_up(
    world: World, beside: list[dict[str, object]]
) -> None:
    """The Go program's entry, replaced by ours, which then got another name: both are back."""
    world.root.mkdir("/opt/cp")
    for name in (PLUGIN, "other"):
        world.root.write(f"/opt/cp/{name}", b"#!/bin/go\n", 0o755)
    world.root.write("/etc/cp.yaml", splice.whole([GO, *beside], "theirs").encode(), 0o644)
    world.given = ("/etc/cp.yaml", "/opt/cp")
    before = world.photograph()
    install.run(world.host(), WISH)
    install.run(world.host(), RENAMED)
    assert status.read(world.host()).names == ["gcp-a"]
    uninstall.run(world.host())
    assert world.photograph() == before
    assert f"/etc/cp.yaml: the entry {PLUGIN} that was there before is back" in world.said


def test_back_behind_a_name_that_was_taken_and_given_up(world: World) -> None:
    """`rollback`, past an edit of others: neither of our names is left, and theirs is back."""
    world.root.mkdir("/opt/cp")
    world.root.write(f"/opt/cp/{PLUGIN}", b"#!/bin/go\n", 0o755)
    before = splice.whole([GO], "theirs")
    world.root.write("/etc/cp.yaml", before.encode(), 0o644)
    world.given = ("/etc/cp.yaml", "/opt/cp")
    install.run(world.host(restart=False), WISH)
    install.run(world.host(restart=False), RENAMED)
    edited = (world.root.read("/etc/cp.yaml") or b"") + b"# more\n"
    world.root.write("/etc/cp.yaml", edited, 0o644)
    rollback.run(world.host())
    assert world.root.read("/etc/cp.yaml") == before.encode() + b"# more\n"


def test_a_name_that_was_being_given_up(world: World) -> None:
    """Of installations that were broken off, no name is left by the next."""
    install.run(world.host(), WISH)

    def gone() -> None:
        raise KeyboardInterrupt

    world.when["arm"] = gone
    for name in ("gcp-a", "gcp-b"):
        wish = dataclasses.replace(WISH, entries=[{**OURS, "name": name}])
        with pytest.raises(KeyboardInterrupt):
            install.run(world.host(), wish)
    world.when.clear()
    install.run(world.host(), dataclasses.replace(WISH, entries=[{**OURS, "name": "gcp-c"}]))
    entries = splice.entries((world.root.read(CONFIG) or b"").decode())
    assert [one["name"] for one in entries] == ["gcp-c"]
    assert world.root.listdir(BIN_DIR) == ["gcp-c", PLUGIN]


def test_names_of_a_state_from_before_they_were_remembered(world: World) -> None:
    """Those that are there are known all the same."""
    install.run(world.host(), WISH)
    told = json.loads(world.root.read(f"{FOLDER}/state.json") or b"")
    assert told["installed"].pop("taken") == [PLUGIN]
    world.root.write(f"{FOLDER}/state.json", json.dumps(told).encode(), 0o600)
    install.run(world.host(), RENAMED)
    installed = state.Store(world.root).load().installed
    assert installed is not None
    assert installed.taken == (PLUGIN, "gcp-a")
    uninstall.run(world.host())
    assert world.root.read(CONFIG) is None


@pytest.mark.parametrize("fails", [False, True])
def test_the_copy_that_goes_back(
    world: World,
    fails: bool,  # noqa: FBT001 -- a table's column
) -> None:
    """It is the last program that ran here, whatever was tried since."""
    install.run(world.host(), WISH)
    world.faults = ["it is for another machine."] if fails else []
    newer = dataclasses.replace(WISH, program=b"#!/bin/sh\n# newer\n")
    if fails:
        with pytest.raises(Failed, match="another machine"):
            install.run(world.host(), newer)
    else:
        install.run(world.host(), newer)
    assert world.root.read(state.PROGRAM) == (WISH if fails else newer).program


def test_a_copy_that_is_not_the_program(world: World) -> None:
    """Mended by the next `node install`, also where it has nothing else to do."""
    install.run(world.host(), WISH)
    before = world.photograph()
    world.root.write(state.PROGRAM, b"#!/bin/sh\n# failed\n", 0o700)
    install.run(world.host(dry_run=True), WISH)
    assert world.root.read(state.PROGRAM) != WISH.program
    install.run(world.host(), WISH)
    assert world.photograph() == before
    assert world.said[-1] == "all is there already; nothing is changed"


def test_a_copy_that_cannot_be_mended(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was begun: refused."""
    install.run(world.host(), WISH)
    world.root.write(state.PROGRAM, b"#!/bin/sh\n# failed\n", 0o700)

    def full(_: object, path: str, content: bytes, mode: int) -> None:
        del content, mode
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(type(world.root), "write", full)
    with pytest.raises(Refused, match=f"{state.PROGRAM}: No space left on device"):
        install.run(world.host(), WISH)

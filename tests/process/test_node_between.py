"""What others do to a node between `node install` and `uninstall`."""

import shutil
from pathlib import Path

import pytest
import yaml

from process import node_tree
from process.launch import Ended, Launcher
from process.node_tree import NAME, Node, photograph

ARGUMENTS = "/var/snap/microk8s/current/args/kubelet"


def well(ended: Ended) -> list[str]:
    """The lines of a command that ended well."""
    assert (ended.code, ended.stderr) == (0, b"")
    return ended.stdout.decode().splitlines()


@pytest.fixture
def microk8s(tmp_path: Path, plugin: Launcher) -> Node:
    """A node whose `current` is a link to a revision, as snapd has it."""
    node = node_tree.make("microk8s", tmp_path, plugin)
    current = node.path("/var/snap/microk8s/current")
    current.rename(current.with_name("9072"))
    current.symlink_to("9072")
    return node


def refresh(node: Node) -> None:
    """Another revision of the snap; its data is a copy."""
    current = node.path("/var/snap/microk8s/current")
    shutil.copytree(current.with_name("9072"), current.with_name("9100"))
    current.unlink()
    current.symlink_to("9100")


def test_a_refresh_of_microk8s(microk8s: Node) -> None:
    """Our lines are in the copy, and go from there: a kubelet with them would not start."""
    before = microk8s.read(ARGUMENTS)
    well(microk8s.install())
    refresh(microk8s)
    assert NAME in microk8s.read(ARGUMENTS)
    well(microk8s.node("uninstall"))
    assert microk8s.read(ARGUMENTS) == before


def test_an_installation_behind_a_refresh_of_microk8s(microk8s: Node) -> None:
    """What was there before is still what was there before the first."""
    before = microk8s.read(ARGUMENTS)
    well(microk8s.install())
    refresh(microk8s)
    assert well(microk8s.install()) == ["all is there already; nothing is changed"]
    well(microk8s.install(node_tree.CONFIG.replace(": Token", ": ServiceAccount")))
    well(microk8s.node("uninstall"))
    assert microk8s.read(ARGUMENTS) == before


def test_what_is_taken_out_by_hand(microk8s: Node) -> None:
    """As the refusal says; then there is nothing left of ours that it could be about."""
    well(microk8s.install())
    arguments = microk8s.path(ARGUMENTS)
    arguments.write_text(arguments.read_text().replace("/config.yaml", "/other.yaml"))
    ended = microk8s.node("uninstall")
    assert ended.code == 2
    assert b"Fix: take what is ours out of it by hand" in ended.stderr
    theirs = "--root-dir=/elsewhere\n--image-credential-provider-config=/etc/ecr.yaml\n"
    arguments.write_text(theirs)
    well(microk8s.node("uninstall"))
    assert arguments.read_text() == theirs


def test_a_folder_that_others_have_come_to_use(tmp_path: Path, plugin: Launcher) -> None:
    """It was ours, with nodeadm's file linked; the flags that it takes stay for theirs."""
    node = node_tree.make("eks", tmp_path, plugin)
    well(node.install())
    ours = node.path(f"{node.given}/50-{NAME}.yaml")
    theirs = ours.with_name("60-theirs.yaml")
    theirs.write_text(ours.read_text().replace(NAME, "theirs"))
    node.path(f"{node.bin_dir}/theirs").write_bytes(node_tree.FOREIGN)
    node.path(f"{node.bin_dir}/theirs").chmod(0o755)
    well(node.node("uninstall"))
    assert [path.name for path in sorted(ours.parent.iterdir())] == ["10-ecr.json", theirs.name]
    names = [path.name for path in sorted(node.path(node.bin_dir).iterdir())]
    assert names == ["ecr-credential-provider", "theirs"]
    unit = "/etc/systemd/system/kubelet.service.d"
    assert [path.name for path in node.path(unit).iterdir()] == [f"50-{NAME}.conf"]


FORMER = f"""\
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: {NAME}   # of somebody else
  apiVersion: {node_tree.API}
  matchImages: ['*-docker.pkg.dev']
  defaultCacheDuration: 4m
  env: [{{name: GCP_AUDIENCE, value: former}}]
  tokenAttributes:
    requireServiceAccount: true
    serviceAccountTokenAudience: former
"""


@pytest.fixture
def taken_over(tmp_path: Path, plugin: Launcher) -> Node:
    """A node with another program of our name, and an entry for it."""
    node = node_tree.make("k3s", tmp_path, plugin)
    node.path(node.given).write_text(FORMER)
    program = node.path(f"{node.bin_dir}/{NAME}")
    program.write_bytes(node_tree.FOREIGN)
    program.chmod(0o755)
    return node


def test_the_file_of_a_program_that_we_replace(taken_over: Node) -> None:
    """Where nobody else has changed it, it is back as it was, comments within the entry too."""
    before = photograph(taken_over.root)
    well(taken_over.install(minor="1.33"))
    well(taken_over.install(node_tree.CONFIG + node_tree.SECOND, minor="1.33"))
    well(taken_over.node("uninstall"))
    assert photograph(taken_over.root) == before


@pytest.mark.parametrize("edit", ["", "# one more line\n"])
def test_back_behind_a_change_once_the_kubelet_is_another(taken_over: Node, edit: str) -> None:
    """An entry of 1.33 would be the end of a kubelet of 1.34, and the reverse."""
    node = taken_over
    config, program = node.path(node.given), node.path(f"{node.bin_dir}/{NAME}")
    well(node.install(minor="1.33"))
    config.write_text(config.read_text() + edit)
    well(node.node("reconcile", "--minor=1.34"))
    well(node.node("rollback"))
    told = yaml.safe_load(config.read_text())
    former = yaml.safe_load(FORMER)
    former["providers"][0]["tokenAttributes"]["cacheType"] = "ServiceAccount"
    assert told == former
    assert program.read_bytes() == node_tree.FOREIGN
    assert config.read_text().endswith(edit)


def test_back_to_an_older_entry_of_ours(tmp_path: Path, plugin: Launcher) -> None:
    """What type its cache had before 1.33 knew none is remembered."""
    node = node_tree.make("k3s", tmp_path, plugin)
    well(node.install(minor="1.34"))
    first = node.read(node.given)
    well(node.install(node_tree.CONFIG.replace("gcr.io, ", "")))
    well(node.node("reconcile", "--minor=1.33"))
    well(node.node("rollback"))
    assert "cacheType" not in node.read(node.given)
    well(node.node("reconcile", "--minor=1.34"))
    assert node.read(node.given) == first

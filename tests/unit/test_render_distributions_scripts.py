"""render/distributions: the scripts, run by the shell of this machine."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from gcp_sa_credential_provider.fleet.model import Distribution
from kubelet.rendered_configs import script
from unit.node_groups import cluster, files

OLDER, NEWER = "credential-provider-config.yaml", "credential-provider-config-1.34.yaml"
SELECT = "select-config.sh"
BEFORE = "what was there before\n"

VERSIONS = [
    ("kubelet", "kubeadm", "Kubernetes v1.33.4", OLDER),
    ("kubelet", "kubeadm", "Kubernetes v1.34.0", NEWER),
    ("kubelet", "flatcar", "Kubernetes v1.40.0-rc.1", NEWER),
    ("kubelet", "eks", "Kubernetes v1.33.4-eks-99d6cc0", OLDER),
    ("k3s", "k3s", "k3s version v1.33.4+k3s1 (148243c4)\ngo version go1.24.5", OLDER),
    ("k3s", "k3s", "k3s version v1.34.1+k3s1 (24fc436e)\ngo version go1.24.6", NEWER),
    ("rke2", "rke2", "rke2 version v1.35.0+rke2r1 (abc)\ngo version go1.33.0", NEWER),
    ("k0s", "k0s", "v1.33.4+k0s.0", OLDER),
    ("k0s", "k0s", "v1.34.1+k0s.0", NEWER),
    ("microk8s", "microk8s", "MicroK8s v1.33.2 revision 8161", OLDER),
    ("microk8s", "microk8s", "MicroK8s v1.34.0 revision 8200", NEWER),
    # Not known: what is there stays.
    ("kubelet", "kubeadm", "Kubernetes v1.32.9", None),
    ("kubelet", "kubeadm", "Kubernetes v2.34.0", None),
    ("kubelet", "kubeadm", "Kubernetes v1.", None),
    ("kubelet", "kubeadm", "", None),
]


def program(folder: Path, name: str, text: str) -> Path:
    """A program of that name in folder/bin."""
    made = folder / "bin" / name
    made.parent.mkdir(exist_ok=True)
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o755)
    return made


def run(*command: str | Path, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run with the programs of a folder, and the system's."""
    return subprocess.run(
        command,
        env={"PATH": f"{path}/bin:/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def node(folder: Path, distribution: Distribution) -> Path:
    """The folder of the configuration on a node of 1.33."""
    made = files(cluster(distribution, "1.33"))
    there = folder / "a folder"
    there.mkdir()
    for name in (OLDER, NEWER, SELECT):
        (there / name).write_text(made[name])
    return there


@pytest.mark.parametrize(("command", "distribution", "version", "chosen"), VERSIONS)
def test_the_configuration_of_the_nodes_kubelet_is_chosen(
    tmp_path: Path, command: str, distribution: Distribution, version: str, chosen: str | None
) -> None:
    """From what the program that brings the kubelet says; in doubt nothing changes."""
    there = node(tmp_path, distribution)
    config = there / "config.yaml"
    config.write_text(BEFORE)
    program(tmp_path, command, f"printf '%s\\n' {shlex.quote(version)}")
    ended = run("sh", there / SELECT, path=tmp_path)
    assert ended.returncode == 0
    assert config.read_text() == ((there / chosen).read_text() if chosen else BEFORE)
    assert ended.stderr.count("names no Kubernetes version that this knows") == (chosen is None)
    if chosen:
        assert config.stat().st_mode & 0o777 == 0o644
    assert {one.name for one in there.iterdir()} == {OLDER, NEWER, SELECT, "config.yaml"}


def test_without_the_command_the_kubelet_starts_all_the_same(tmp_path: Path) -> None:
    """The script fails no start: systemd would not go on to the kubelet."""
    there = node(tmp_path, "k0s")
    ended = run("sh", there / SELECT, path=tmp_path)
    assert ended.returncode == 0
    assert "'k0s version' names no Kubernetes version" in ended.stderr
    assert not (there / "config.yaml").exists()


def test_a_missing_alternative_changes_nothing(tmp_path: Path) -> None:
    """And is said."""
    there = node(tmp_path, "kubeadm")
    (there / "config.yaml").write_text(BEFORE)
    (there / NEWER).unlink()
    program(tmp_path, "kubelet", "echo Kubernetes v1.34.0")
    ended = run("sh", there / SELECT, path=tmp_path)
    assert ended.returncode == 0
    assert f"could not put {NEWER} in place" in ended.stderr
    assert (there / "config.yaml").read_text() == BEFORE


@pytest.mark.parametrize(
    ("minor", "directory", "words", "source", "told"),
    [
        ("1.33", False, [], OLDER, ["--feature-gates=GATE=true"]),
        ("1.33", False, ["--next"], NEWER, []),
        ("1.34", False, [], OLDER, []),
        ("1.34", True, [], "50-gcp-sa-credential-provider.yaml", []),
    ],
)
def test_minikube(
    tmp_path: Path, minor: str, words: list[str], source: str, told: list[str], *, directory: bool
) -> None:
    """Program and configuration are in minikube's folder; flags and words are handed on."""
    made = files(cluster("minikube", minor, directory=directory))
    here = tmp_path / "a folder"
    here.mkdir()
    for name, text in made.items():
        (here / name).write_text(text)
    (here / "gcp-sa-credential-provider").write_text("the program\n")
    program(tmp_path, "minikube", 'printf "%s\\n" "$@" > "$TOLD"')
    home = tmp_path / "home"
    ended = run(
        "sh",
        here / "minikube-start.sh",
        *words,
        "--nodes",
        "a b",
        path=tmp_path,
        HOME=str(home),
        TOLD=str(tmp_path / "told"),
    )
    assert ended.stderr == ""
    assert ended.returncode == 0
    placed = home / ".minikube/files"
    folder = placed / "etc/kubernetes/credential-providers"
    target = folder / "config.d" / source if directory else folder / "config.yaml"
    assert target.read_text() == made[source]
    copied = placed / "opt/credential-providers/bin/gcp-sa-credential-provider"
    assert copied.read_text() == "the program\n"
    assert copied.stat().st_mode & 0o777 == 0o755
    config = f"/{(target.parent if directory else target).relative_to(placed)}"
    gate = "KubeletServiceAccountTokenForCredentialProviders"
    assert (tmp_path / "told").read_text().splitlines() == [
        "start",
        f"--extra-config=kubelet.image-credential-provider-config={config}",
        "--extra-config=kubelet.image-credential-provider-bin-dir=/opt/credential-providers/bin",
        *(word.replace("GATE", gate) for word in told),
        "--nodes",
        "a b",
    ]


@pytest.mark.parametrize(
    ("named", "used"), [("m", "m/.minikube"), ("m/.minikube", "m/.minikube"), ("m/", "m/.minikube")]
)
def test_another_home_of_minikube(tmp_path: Path, named: str, used: str) -> None:
    """As minikube itself finds it (pkg/minikube/localpath)."""
    for name, text in files(cluster("minikube", "1.34")).items():
        (tmp_path / name).write_text(text)
    (tmp_path / "gcp-sa-credential-provider").touch()
    program(tmp_path, "minikube", "exit 0")
    home = f"{tmp_path}/{named}"
    ended = run("sh", tmp_path / "minikube-start.sh", path=tmp_path, MINIKUBE_HOME=home, HOME="/no")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / used / "files/etc/kubernetes/credential-providers/config.yaml").is_file()


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize(("minor", "directory"), [("1.33", False), ("1.34", False), ("1.34", True)])
def test_user_data_of_eks(tmp_path: Path, minor: str, *, directory: bool, arrived: bool) -> None:
    """Files and links are in place before the kubelet; without the program it says so and fails."""
    made = files(cluster("eks", minor, directory=directory))
    text = script(made["user-data.mime"])
    for place in ("/etc/kubernetes", "/opt/credential-providers", "/etc/systemd", "/etc/eks"):
        text = text.replace(place, f"{tmp_path}{place}")
    programs = tmp_path / "opt/credential-providers/bin"
    programs.mkdir(parents=True)
    if arrived:
        (programs / "gcp-sa-credential-provider").write_text("")
        (programs / "gcp-sa-credential-provider").chmod(0o755)
    own = tmp_path / "etc/eks/image-credential-provider"
    own.mkdir(parents=True)
    (own / "config.json").write_text("{}")
    program(tmp_path, "kubelet", "echo Kubernetes v1.34.2-eks-113cf36")
    program(tmp_path, "systemctl", 'echo "$@" >> "$TOLD"')
    ended = run("sh", "-c", text, path=tmp_path, TOLD=str(tmp_path / "told"))
    assert ended.returncode == (0 if arrived else 1)
    missing = f"{programs}/gcp-sa-credential-provider: missing\n"
    assert ended.stderr == ("" if arrived else missing)
    assert (programs / "ecr-credential-provider").readlink() == own / "ecr-credential-provider"
    folder = tmp_path / "etc/kubernetes/credential-providers"
    if directory:
        drop_in = "50-gcp-sa-credential-provider.yaml"
        assert sorted(os.listdir(folder / "config.d")) == ["10-ecr.json", drop_in]
        assert (folder / "config.d/10-ecr.json").read_text() == "{}"
        assert (folder / "config.d" / drop_in).read_text() == made[drop_in]
    elif minor == "1.33":
        # The node's kubelet is newer than the description: the script chose for it.
        assert (folder / "config.yaml").read_text() == made[NEWER]
        assert (tmp_path / "told").read_text() == "daemon-reload\n"
    else:
        assert (folder / "config.yaml").read_text() == made[OLDER]


@pytest.mark.parametrize("own", [True, False])
def test_kops_links_its_own_file_where_it_is(tmp_path: Path, *, own: bool) -> None:
    """A link that leads nowhere would end the kubelet, so an old one goes as well."""
    assets = yaml.safe_load(files(cluster("kops", directory=True))["kops-file-assets.yaml"])
    (drop_in,) = [one for one in assets["fileAssets"] if one["path"].endswith(".conf")]
    (line,) = [
        line.removeprefix("ExecStartPre=")
        for line in drop_in["content"].splitlines()
        if line.startswith("ExecStartPre=")
    ]
    there = tmp_path / "etc/kubernetes/credential-providers/config.d"
    there.mkdir(parents=True)
    theirs = tmp_path / "var/lib/kubelet/credential-provider.conf"
    theirs.parent.mkdir(parents=True)
    (there / "10-kops.yaml").symlink_to(theirs)
    if own:
        theirs.write_text("theirs\n")
    for folder in ("/etc/kubernetes", "/var/lib/kubelet"):
        line = line.replace(folder, f"{tmp_path}{folder}")
    # systemd takes the quotes of a command line as the shell does.
    ended = run(*shlex.split(line), path=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [one.read_text() for one in there.iterdir()] == (["theirs\n"] if own else [])

"""How a kubelet is given its flags, whatever it has already."""

import json
from pathlib import Path
from typing import Any

import pytest

from gcp_sa_credential_provider.node import change, wire
from gcp_sa_credential_provider.node.change import Remove, Write
from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.profile import wiring
from gcp_sa_credential_provider.node.validate import GATE
from unit import node_groups
from unit.node_trees import TREES, UNIT, apply, content, told, tree

THEIRS = "--image-credential-provider-config=/var/lib/kubelet/credential-provider-config.yaml"


@pytest.fixture(params=TREES)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of node."""
    name: str = request.param
    return name


# What is there already


def test_flags_that_are_there_are_kept(tmp_path: Path, kind: str) -> None:
    """AKS, for instance; not so nodeadm's, which is written anew at every boot."""
    within = kind if kind in ("k3s", "rke2", "k0s", "microk8s") else ""
    kubelet = told(config="/var/lib/kubelet/c.yaml", bin_dir="/var/lib/kubelet/bin", within=within)
    made = wiring(tree(tmp_path, TREES[kind]), kubelet, None, (1, 34))
    assert (made.config, made.bin_dir) == ("/var/lib/kubelet/c.yaml", "/var/lib/kubelet/bin")
    assert (made.directory, made.flags) == (False, ())


@pytest.mark.parametrize(
    "files",
    [
        {f"{UNIT}/kubelet.service": f"[Service]\nExecStart=/usr/bin/kubelet {THEIRS}\n"},
        {
            f"{UNIT}/kubelet.service": "[Service]\nEnvironmentFile=-/etc/default/kubelet\n"
            "ExecStart=/usr/bin/kubelet $KUBELET_FLAGS\n",
            "/etc/default/kubelet": f"KUBELET_FLAGS={THEIRS} --v=2\n",
        },
        {
            f"{UNIT}/kubelet.service": "[Service]\nExecStart=/usr/bin/kubelet $KUBELET_FLAGS\n",
            f"{UNIT}/kubelet.service.d/10-theirs.conf": "[Service]\n"
            f'Environment="KUBELET_FLAGS={THEIRS}"\n',
        },
    ],
)
def test_flags_of_a_kubelet_that_does_not_run(tmp_path: Path, files: dict[str, str]) -> None:
    """AKS' units give it such by a file of variables: ours would take their place."""
    with pytest.raises(Refused, match="has --image-credential-provider-config already"):
        wiring(tree(tmp_path, files), None, "kubelet", (1, 34))


def test_only_the_gate_where_that_is_missing(tmp_path: Path) -> None:
    kubelet = told(config="/c.yaml", bin_dir="/bin", gates={GATE: False})
    made = wiring(tree(tmp_path, TREES["kubelet"]), kubelet, None, (1, 33))
    assert content(made, f"{UNIT}/kubelet.service.d/{wire.UNIT_DROP_IN}") == (
        f"[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --v=2 --feature-gates={GATE}=true\n"
    )
    given = told(config="/c.yaml", bin_dir="/bin", gates={GATE: True})
    assert wiring(Root(tmp_path), given, None, (1, 33)).flags == ()


@pytest.mark.parametrize("minor", [(1, 33), (1, 34)])
def test_a_second_look_comes_to_the_same(tmp_path: Path, kind: str, minor: tuple[int, int]) -> None:
    """With the kubelet then running as it was told."""
    if kind == "eks" and minor == (1, 33):
        return
    root = tree(tmp_path, TREES[kind])
    first = wiring(root, None, kind, minor)
    apply(root, first.flags)
    within = kind if kind in ("k3s", "rke2", "k0s", "microk8s") else ""
    kubelet = told(config=first.config, bin_dir=first.bin_dir, within=within, unit=first.units[0])
    second = wiring(root, kubelet, None, minor)
    assert [edit for edit in second.flags if not change.is_done(root, edit)] == []
    assert (second.config, second.bin_dir) == (first.config, first.bin_dir)
    assert second.directory is first.directory or kind == "eks"


@pytest.mark.parametrize("kind", ["kubeadm", "k0s", "microk8s"], indirect=True)
def test_flags_that_others_give_later(tmp_path: Path, kind: str) -> None:
    """They win over ours, and are not to be hidden by the next installation."""
    root = tree(tmp_path, TREES[kind])
    apply(root, wiring(root, None, kind, (1, 34)).flags)
    within = kind if kind != "kubeadm" else ""
    kubelet = told(config="/etc/ecr.yaml", bin_dir="/opt/ecr", within=within)
    made = wiring(root, kubelet, None, (1, 34))
    assert (made.config, made.bin_dir) == ("/etc/ecr.yaml", "/opt/ecr")
    apply(root, made.flags)
    left = [file.read_text() for file in tmp_path.rglob("*") if file.is_file()]
    assert not [text for text in left if "image-credential-provider" in text]


@pytest.mark.parametrize(
    ("kind", "unit"),
    [
        ("k3s", "k3s.service"),
        ("rke2", "rke2-agent.service"),
        ("microk8s", "snap.microk8s.daemon-kubelite.service"),
    ],
)
def test_files_of_render_that_were_put_there_by_hand(tmp_path: Path, kind: Any, unit: str) -> None:
    """Their script would put their configuration in place of ours before each start."""
    root = tree(tmp_path, TREES[kind])
    path = f"{UNIT}/{unit}.d/{wire.UNIT_DROP_IN}"
    text = node_groups.files(node_groups.cluster(kind, "1.33"))[wire.UNIT_DROP_IN]
    apply(root, (Write(path, text.encode()),))
    assert Remove(path) in wiring(root, None, None, (1, 33)).flags
    apply(root, (Write(path, text.encode() + b"Environment=A=b\n"),))
    made = wiring(root, None, None, (1, 34))
    (left,) = [edit.content for edit in made.flags if isinstance(edit, Write) and edit.path == path]
    assert b"ExecStartPre" not in left
    assert left.endswith(b"[Service]\nEnvironment=A=b\n")
    apply(root, made.flags)
    assert path not in [edit.path for edit in wiring(root, None, None, (1, 34)).flags]


def test_the_gate_goes_where_it_is_needed_no_more(tmp_path: Path) -> None:
    root = tree(tmp_path, TREES["k3s"])
    apply(root, wiring(root, None, None, (1, 33)).flags)
    path = "/etc/rancher/k3s/config.yaml.d/50-gcp-sa-credential-provider.yaml"
    assert wiring(root, None, None, (1, 34)).flags == (Remove(path),)


def test_a_gate_of_ours_stays_while_it_is_needed(tmp_path: Path) -> None:
    root = tree(tmp_path, TREES["kubelet"])
    kubelet = told(config="/c", bin_dir="/b", gates={GATE: False})
    first = wiring(root, kubelet, None, (1, 33))
    apply(root, first.flags)
    given = told(config="/c", bin_dir="/b", gates={GATE: True})
    assert wiring(root, given, None, (1, 33)).flags == first.flags


# Command lines


@pytest.mark.parametrize(
    ("unit", "files", "line"),
    [
        (
            "ExecStart=-/usr/bin/kubelet $KUBELET_EXTRA_ARGS\nEnvironmentFile=/etc/e\n",
            {"/etc/e": "KUBELET_EXTRA_ARGS=\n"},
            "ExecStart=-/usr/bin/kubelet $KUBELET_EXTRA_ARGS {}",
        ),
        (
            "ExecStart=/usr/bin/kubelet ${KUBELET_EXTRA_ARGS}\nEnvironmentFile=-/not/there\n",
            {},
            'Environment="KUBELET_EXTRA_ARGS={}"',
        ),
        (
            (
                "ExecStart=/usr/bin/kubelet $KUBELET_EXTRA_ARGS\n"
                'Environment=A=1 "KUBELET_EXTRA_ARGS=--v=1 --x"\n'
            ),
            {},
            "ExecStart=/usr/bin/kubelet $KUBELET_EXTRA_ARGS {}",
        ),
        (
            'ExecStart=/usr/bin/kubelet "--a=b c" \\\n# why\n  --d=%H\n',
            {},
            'ExecStart=/usr/bin/kubelet "--a=b c" --d=%H {}',
        ),
        (
            "ExecStart=/usr/bin/kubelet $KUBELET_EXTRA_ARGS --v=2\n",
            {},
            "ExecStart=/usr/bin/kubelet $KUBELET_EXTRA_ARGS --v=2 {}",
        ),
    ],
)
def test_how_a_unit_gets_its_flags(
    tmp_path: Path, unit: str, files: dict[str, str], line: str
) -> None:
    root = tree(tmp_path, {f"{UNIT}/kubelet.service": f"[Service]\n{unit}"} | files)
    made = wiring(root, None, None, (1, 34))
    flags = (
        f"--image-credential-provider-config={made.config}"
        f" --image-credential-provider-bin-dir={made.bin_dir}"
    )
    text = content(made, f"{UNIT}/kubelet.service.d/{wire.UNIT_DROP_IN}")
    assert text.splitlines()[-1] == line.format(flags)


@pytest.mark.parametrize("secret", ["kubelet.service", "kubelet.service.d/10-token.conf"])
def test_a_command_line_that_others_may_not_read_stays_so(tmp_path: Path, secret: str) -> None:
    """Be it the unit's own or a drop-in's."""
    root = tree(tmp_path, TREES["kubelet"])
    file = tmp_path / UNIT[1:] / secret
    if not file.exists():
        file.parent.mkdir()
        file.write_text("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --token=SECRET\n")
    file.chmod(0o600)
    made = wiring(root, None, None, (1, 34))
    assert [edit.mode for edit in made.flags if isinstance(edit, Write)] == [0o600]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "worker --kubelet-extra-args=--v=1 --token-file=/t",
            'worker --token-file=/t "--kubelet-extra-args=--v=1 {}"',
        ),
        (
            "worker --kubelet-extra-args '--v=1 --x=\"y\"' --debug",
            'worker --debug "--kubelet-extra-args=--v=1 --x=\\"y\\" {}"',
        ),
    ],
)
def test_k0s_keeps_its_extra_arguments(tmp_path: Path, before: str, after: str) -> None:
    unit = f"[Service]\nExecStart=/usr/local/bin/k0s {before}\n"
    made = wiring(tree(tmp_path, {f"{UNIT}/k0sworker.service": unit}), None, None, (1, 34))
    flags = (
        f"--image-credential-provider-config={made.config}"
        f" --image-credential-provider-bin-dir={made.bin_dir}"
    )
    text = content(made, f"{UNIT}/k0sworker.service.d/{wire.UNIT_DROP_IN}")
    assert text.splitlines()[-1] == f"ExecStart=/usr/local/bin/k0s {after.format(flags)}"


@pytest.mark.parametrize(
    ("command", "program"),
    [("/usr/bin/kubelet --v=2", "/usr/bin/kubelet"), ("/bin/sh -c run", "/opt/bin/kubelet")],
)
def test_who_tells_the_next_kubelets_version(tmp_path: Path, command: str, program: str) -> None:
    root = tree(tmp_path, {f"{UNIT}/kubelet.service": f"[Service]\nExecStart={command}\n"})
    made = wiring(root, told(program="/opt/bin/kubelet"), None, (1, 34))
    assert made.version == (program, "--version")


def test_a_unit_without_a_command(tmp_path: Path) -> None:
    root = tree(tmp_path, {f"{UNIT}/kubelet.service": "[Service]\nType=simple\n"})
    with pytest.raises(Refused, match=r"kubelet.service: it has no ExecStart. Fix: correct the"):
        wiring(root, None, None, (1, 34))


# Units


@pytest.mark.parametrize(
    ("unit", "within", "server", "units"),
    [
        ("k3s-agent.service", "k3s", False, ("k3s-agent.service",)),
        ("k3s-green.service", "k3s", True, ("k3s-green.service",)),
    ],
)
def test_the_unit_that_runs_it_is_the_one(
    tmp_path: Path,
    unit: str,
    within: str,
    server: bool,  # noqa: FBT001 -- a table's value
    units: tuple[str, ...],
) -> None:
    files = TREES["k3s"] | {f"{UNIT}/{unit}": "[Service]\nExecStart=/usr/local/bin/k3s agent\n"}
    made = wiring(
        tree(tmp_path, files), told(unit=unit, within=within, server=server), None, (1, 34)
    )
    assert (made.units, made.server) == (units, server)
    assert made.version == ("/usr/local/bin/k3s", "--version")


@pytest.mark.parametrize(
    ("tree_of", "server"),
    [("k3s", True), ("rke2", False), ("k0s", False), ("microk8s", True), ("kubeadm", False)],
)
def test_whether_an_api_server_goes_with_it(
    tmp_path: Path,
    tree_of: str,
    server: bool,  # noqa: FBT001 -- a table's value
) -> None:
    assert wiring(tree(tmp_path, TREES[tree_of]), None, None, (1, 34)).server is server


def test_a_unit_of_something_else_is_not_restarted(tmp_path: Path) -> None:
    with pytest.raises(Refused) as caught:
        wiring(tree(tmp_path, TREES["kubelet"]), told(unit="ssh.service"), None, (1, 34))
    assert str(caught.value) == (
        "ssh.service: the kubelet (process 77) runs in this unit, which is not named like one of"
        " kubelet; to restart it would end other things. Fix: set the node up by hand"
        " (docs/install.md)"
    )


def test_a_unit_that_has_no_file(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"kubelet.service: no such unit is in /etc/systemd/system,"):
        wiring(Root(tmp_path), told(unit="kubelet.service"), None, (1, 34))


def test_k3s_passes_a_folder_over(tmp_path: Path) -> None:
    (tmp_path / "var/lib/rancher/credentialprovider/config.yaml").mkdir(parents=True)
    with pytest.raises(Refused, match=r"config.yaml: a folder, which k3s passes over without a"):
        wiring(tree(tmp_path, TREES["k3s"]), None, None, (1, 34))


def test_k3s_that_was_told_of_other_places(tmp_path: Path) -> None:
    files = {
        "/etc/rancher/k3s/config.yaml": json.dumps(
            {
                "image-credential-provider-config": "/etc/p.yaml",
                "image-credential-provider-bin-dir": "/opt/p",
            }
        )
    }
    made = wiring(tree(tmp_path, TREES["k3s"] | files), None, None, (1, 34))
    assert (made.config, made.bin_dir) == ("/etc/p.yaml", "/opt/p")


def test_microk8s_without_its_arguments(tmp_path: Path) -> None:
    files = dict(TREES["microk8s"])
    del files["/var/snap/microk8s/current/args/kubelet"]
    with pytest.raises(Refused, match=r"args/kubelet: not there. Fix: install MicroK8s"):
        wiring(tree(tmp_path, files), None, None, (1, 34))


def test_microk8s_arguments_of_others_stay(tmp_path: Path) -> None:
    root = tree(tmp_path, TREES["microk8s"])
    apply(root, wiring(root, None, None, (1, 33)).flags)
    file = tmp_path / "var/snap/microk8s/current/args/kubelet"
    file.write_text(f"{file.read_text()}--feature-gates=Other=true\n--max-pods=9\n")
    made = wiring(root, None, None, (1, 34))
    assert content(made, "/var/snap/microk8s/current/args/kubelet").splitlines() == [
        "--v=2",
        "--feature-gates=Other=true",
        "--max-pods=9",
        "# gcp-sa-credential-provider",
        f"--image-credential-provider-config={made.config}",
        f"--image-credential-provider-bin-dir={made.bin_dir}",
    ]


def test_a_worker_of_microk8s_has_no_api_server(tmp_path: Path) -> None:
    files = TREES["microk8s"] | {"/var/snap/microk8s/current/var/lock/clustered.lock": ""}
    assert not wiring(tree(tmp_path, files), None, None, (1, 34)).server

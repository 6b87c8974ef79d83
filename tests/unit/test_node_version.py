"""The minor of a kubelet that is asked, or of what brings one."""

from pathlib import Path

import pytest

from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.kubelet import minor_of

HERE = Root(Path("/"))


def program(tmp_path: Path, text: str) -> str:
    made = tmp_path / "program"
    made.write_text(f"#!/bin/sh\n{text}\n")
    made.chmod(0o755)
    return str(made)


@pytest.mark.parametrize(
    ("said", "minor"),
    [
        ("Kubernetes v1.33.4", (1, 33)),
        ("k3s version v1.34.1+k3s1 (24fc436e)\ngo version go1.24.6", (1, 34)),
        ("rke2 version v1.35.0+rke2r1 (0b5c)", (1, 35)),
        ("v1.36.2+k0s.0", (1, 36)),
    ],
)
def test_a_program_tells_its_version(tmp_path: Path, said: str, minor: tuple[int, int]) -> None:
    made = program(tmp_path, f"test $1 = --version && printf '%s' '{said}'")
    assert minor_of(HERE, (made, "--version")) == minor


def test_a_snap_tells_its_version(tmp_path: Path) -> None:
    (tmp_path / "snap.yaml").write_text("name: microk8s\nversion: v1.34.1\napps: {x: v1.2.3}\n")
    assert minor_of(Root(tmp_path), ("/snap.yaml",)) == (1, 34)


def test_a_program_that_tells_none(tmp_path: Path) -> None:
    made = program(tmp_path, "echo Python 3.11.2")
    with pytest.raises(Refused) as caught:
        minor_of(HERE, (made, "--version"))
    assert str(caught.value) == (
        f"{made} --version: no Kubernetes version is in 'Python 3.11.2'. Fix: see that it is a"
        " kubelet of Kubernetes 1.33 or newer, and that it can be run"
    )


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(Refused) as caught:
        minor_of(HERE, ("/nowhere/kubelet", "--version"))
    assert str(caught.value) == (
        "the kubelet's version is unknown: /nowhere/kubelet: cannot be run: No such file or"
        " directory. Fix: see that it is there, and a program for this machine"
    )

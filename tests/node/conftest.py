"""A host with systemd and a kubelet's stand-in, for each test."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from node import machine
from node.machine import Machine

_KUBELET = (
    "[Service]\nExecStart=/opt/bin/kubelet $KUBELET_EXTRA_ARGS\nRestart=always\nRestartSec=0\n"
)


@pytest.fixture(scope="session")
def kubelet_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stand-in."""
    if absent := machine.missing():
        pytest.skip("; ".join(absent))
    made: Path = tmp_path_factory.mktemp("kubelet") / "kubelet"
    machine.compiled(Path(__file__).with_name("kubelet.c"), made)
    return made


@pytest.fixture
def host(kubelet_program: Path) -> Iterator[Machine]:
    """Not booted yet. Its folder is not in /tmp, which a host has for itself."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="node-") as folder:
        yield Machine(Path(folder), kubelet_program)


@pytest.fixture
def node(host: Machine) -> Iterator[Machine]:
    """With a kubelet that runs."""
    host.unit("kubelet.service", _KUBELET)
    with host.booted("kubelet.service"):
        assert host.told() == "started"
        yield host

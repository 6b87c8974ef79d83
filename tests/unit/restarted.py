"""Waiting for a kubelet that was restarted, with short patience."""

from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import kubelet
from gcp_sa_credential_provider.node.failure import Failed
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.health import Patience, wait
from gcp_sa_credential_provider.node.kubelet import Kubelet
from gcp_sa_credential_provider.node.wire import Wiring
from unit.processes import Processes

HERE = Root(Path("/"))
ENOUGH = Patience(whole=30, stay=0.05, between=0.01)
SHORT = Patience(whole=0.3, stay=0.05, between=0.01)
"""Where it is to fail."""
HASH = "sha256:12ab"
WIRING = Wiring(
    profile="kubelet",
    config="/c",
    directory=False,
    bin_dir="/b",
    flags=(),
    units=("kubelet.service",),
    server=False,
)
KUBELET = "/usr/bin/kubelet"
END = ". Fix: journalctl --unit=kubelet.service"
NO_LEASE = "the kubelet has no kubeconfig; its node's Lease is not looked at"


def ended(host: Processes) -> Kubelet:
    """A kubelet that ran, and has ended."""
    pid = host.start(KUBELET)
    found = kubelet.running(HERE, host.proc, minor=(1, 34))
    assert found is not None
    host.end(pid)
    return found


def waited(
    host: Processes,
    before: Kubelet,
    expected: str | None = None,
    patience: Patience = ENOUGH,
    account: Path = Path("/nowhere"),
) -> list[str]:
    """Wait; what could not be looked at."""
    said: list[str] = []
    wait(
        HERE,
        before,
        WIRING,
        expected,
        proc=host.proc,
        patience=patience,
        say=said.append,
        account=account,
    )
    return said


def failure(host: Processes, before: Kubelet, expected: str | None = None) -> str:
    """How waiting fails, up to what systemd adds."""
    with pytest.raises(Failed) as caught:
        waited(host, before, expected, SHORT)
    text = str(caught.value)
    assert text.endswith(END)
    return text.removesuffix(END).partition("; Id=")[0]

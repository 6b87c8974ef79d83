"""Whether the kubelet is well: its process, and what it says of itself."""

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import health, kubelet, process
from gcp_sa_credential_provider.node.failure import Failed
from gcp_sa_credential_provider.node.health import CARRIED, OWN, Patience, patience_with
from gcp_sa_credential_provider.node.kubelet import Kubelet
from gcp_sa_credential_provider.node.process import Process
from gcp_sa_credential_provider.node.wire import Wiring
from unit.processes import Processes, processes
from unit.restarted import ENOUGH, HASH, HERE, KUBELET, NO_LEASE, ended, failure, waited
from unit.small_server import SmallServer, serving


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Processes]:
    """A host on which only the processes of the test run."""
    with processes(tmp_path) as made:
        yield made


@pytest.fixture
def before(host: Processes) -> Kubelet:
    """The kubelet of before, which has ended."""
    return ended(host)


@pytest.fixture
def server() -> Iterator[SmallServer]:
    """The kubelet's own ports without TLS."""
    with serving({"/healthz": [(200, "ok")]}) as made:
        yield made


# The process


def test_another_one_stays(host: Processes, before: Kubelet) -> None:
    host.start(KUBELET, "--healthz-port=0")
    assert waited(host, before) == [
        "the kubelet's healthz is not to be reached from here; not asked",
        NO_LEASE,
    ]


def test_none_starts(host: Processes, before: Kubelet) -> None:
    assert failure(host, before) == "no kubelet has started"


def test_the_old_one_stays(host: Processes) -> None:
    pid = host.start(KUBELET)
    found = kubelet.running(HERE, host.proc, minor=(1, 34))
    assert found is not None
    assert failure(host, found) == f"the kubelet of before (process {pid}) still runs after 0 s"


def test_it_ends_soon(host: Processes, before: Kubelet, monkeypatch: pytest.MonkeyPatch) -> None:
    host.start(KUBELET)
    monkeypatch.setattr(health, "_ends", ending(host, health._ends))
    assert failure(host, before) == "the kubelet that was started ended within 0 s"


def ending(
    host: Processes, really: Callable[[Process, float], bool], then: Callable[[], object] = int
) -> Callable[[Process, float], bool]:
    """End the first that is watched while it is, and then do something."""
    left = [True]

    def watched(found: Process, seconds: float) -> bool:
        if left.pop() if left else False:
            host.end(found.pid)
            then()
        return really(found, seconds)

    return watched


def test_one_that_is_carried_may_start_over(
    host: Processes, before: Kubelet, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.start(KUBELET)
    again = ending(host, health._ends, lambda: host.start(KUBELET, "--healthz-port=0"))
    monkeypatch.setattr(health, "_ends", again)
    patience = dataclasses.replace(ENOUGH, starts_over=True)
    assert waited(host, before, patience=patience)[-1] == NO_LEASE


def test_one_that_is_gone_right_after(
    host: Processes, before: Kubelet, monkeypatch: pytest.MonkeyPatch
) -> None:
    pid = host.start(KUBELET)

    def stays(found: Process, seconds: float) -> bool:
        host.end(pid)
        return False

    monkeypatch.setattr(health, "_ends", stays)
    assert failure(host, before) == "the kubelet has ended again"


def test_a_number_that_is_anothers_by_now(host: Processes) -> None:
    pid = host.start(KUBELET)
    found = process.of(host.proc, pid)
    assert found is not None
    assert not health._ends(found, 0)
    host.end(pid)
    assert health._ends(found, 0)
    assert health._ends(Process(4194999, ("kubelet",), Path("/proc/4194999")), 0)


def test_what_it_was_told_cannot_be_read(host: Processes, before: Kubelet) -> None:
    host.start(KUBELET, "--config=/nowhere/kubelet.yaml")
    with pytest.raises(Failed, match=r"/nowhere/kubelet.yaml: not there, and the kubelet was"):
        waited(host, before)


def test_it_was_not_given_the_configuration(host: Processes, before: Kubelet) -> None:
    host.start(KUBELET)
    assert failure(host, before, HASH) == ("the kubelet runs, but was not given the configuration")


@pytest.mark.parametrize(
    ("profile", "server", "patience"),
    [
        ("kubelet", False, OWN),
        ("eks", False, OWN),
        ("k3s", False, CARRIED),
        ("rke2", True, CARRIED),
        ("k0s", False, CARRIED),
        ("microk8s", True, CARRIED),
    ],
)
def test_patience(profile: str, server: bool, patience: Patience) -> None:  # noqa: FBT001 -- a table's value
    wiring = Wiring(
        profile=profile,
        config="/c",
        directory=False,
        bin_dir="/b",
        flags=(),
        units=("x.service",),
        server=server,
    )
    assert patience_with(wiring) is patience
    assert patience.stay == 30


# Its health


def test_it_says_ok_after_a_while(host: Processes, before: Kubelet, server: SmallServer) -> None:
    server.answers["/healthz"] = [(500, "not yet"), (200, "ok")]
    host.start(KUBELET, f"--healthz-port={server.server_port}", "--healthz-bind-address=0.0.0.0")
    assert waited(host, before) == [NO_LEASE]
    assert [path for path, _, _ in server.asked] == ["/healthz", "/healthz"]


def test_it_never_says_ok(host: Processes, before: Kubelet, server: SmallServer) -> None:
    server.answers["/healthz"] = [(500, "pleg is not healthy")]
    host.start(KUBELET, f"--healthz-port={server.server_port}")
    assert failure(host, before) == (
        "the kubelet's healthz is not well: 500, b'pleg is not healthy'"
    )


def test_nothing_listens(host: Processes, before: Kubelet) -> None:
    host.start(KUBELET, "--healthz-port=1")
    assert failure(host, before) == (
        "the kubelet's healthz is not well: 127.0.0.1:1: CONNECT-REFUSED"
    )

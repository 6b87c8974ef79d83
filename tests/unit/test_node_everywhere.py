"""node/everywhere.py: all nodes are waited for, or switched before."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import lease, rollout
from gcp_sa_credential_provider.node.everywhere import Everywhere
from gcp_sa_credential_provider.node.pod import DONE, FAILED
from unit.kube_objects import KubeObjects, daemon_set

NAMESPACE = "provider"
WORKERS = rollout.path(NAMESPACE, "agent-workers")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KubeObjects]:
    """An API server with the workers' DaemonSet, which is rolled out."""
    with KubeObjects(tmp_path) as running:
        running.put(WORKERS, daemon_set(2, 2))
        yield running


@dataclass
class Time:
    """Passes as it is waited for, so that nothing waits."""

    now: float = 0.0
    then: list[Callable[[], object]] = field(default_factory=list)

    def wait(self, signals: Iterable[int], seconds: float | None) -> None:
        """As `pod.Wait`, without a signal."""
        self.now += seconds or 0
        if self.then:
            self.then.pop(0)()


def everywhere(
    server: KubeObjects, time: Time, *names: str, slots: tuple[str, ...] = ()
) -> Everywhere:
    return Everywhere(
        api=server.api,
        namespace=NAMESPACE,
        names=names,
        slots=slots,
        seconds=100,
        clock=lambda: time.now,
        wait=time.wait,
    )


def test_rollout_waits_for_all(server: KubeObjects, capfd: pytest.CaptureFixture[str]) -> None:
    """Every DaemonSet's every node."""
    servers = rollout.path(NAMESPACE, "control-plane-workers")
    server.put(WORKERS, daemon_set(2, 1))
    server.put(servers, daemon_set(1, 0))
    time = Time()
    time.then = [
        lambda: server.put(WORKERS, daemon_set(2, 2)),
        lambda: server.put(servers, daemon_set(1, 1)),
    ]
    every = everywhere(server, time, "agent-workers", "control-plane-workers")
    assert every.wait_for_all() == DONE
    assert capfd.readouterr().err.splitlines()[-1].endswith("all nodes are done")


def test_rollout_waits_for_who_is_at_work(
    server: KubeObjects, capfd: pytest.CaptureFixture[str]
) -> None:
    """A restarted kubelet may call a pod ready that is not: its node still has its slot."""
    slot = lease.path(NAMESPACE, "slot-0")
    server.put(slot, lease.taken({"metadata": {"name": "slot-0"}}, "node-2", lease.now()))
    time = Time()
    time.then = [lambda: server.put(slot, lease.released(server.get(slot), lease.now()))]
    assert everywhere(server, time, "agent-workers", slots=("slot-0",)).wait_for_all() == DONE
    said = capfd.readouterr().err.splitlines()
    assert said[0].endswith("waiting: at work: node-2")
    assert time.now > 0


def test_rollout_does_not_wait_for_who_is_gone(server: KubeObjects) -> None:
    """A slot that nobody renews is nobody's, and one that is no more neither."""
    slot = lease.path(NAMESPACE, "slot-0")
    server.put(slot, lease.taken({"metadata": {"name": "slot-0"}}, "node-2", lease.now()))
    time = Time()
    every = everywhere(server, time, "agent-workers", slots=("slot-0", "slot-1"))
    every.seconds = every._give_up = 10 * lease.LEASE_SECONDS
    assert every.wait_for_all() == DONE
    assert time.now > lease.LEASE_SECONDS


def test_rollout_after_an_outage(server: KubeObjects) -> None:
    """Who is at work could not say so: what was seen before it counts no more."""
    slot = lease.path(NAMESPACE, "slot-0")
    server.put(slot, lease.taken({"metadata": {"name": "slot-0"}}, "node-2", lease.now()))
    time = Time()

    def away() -> None:
        server.down = True

    def back() -> None:
        time.now = 2 * lease.LEASE_SECONDS
        server.down = False

    time.then = [away, back]
    every = everywhere(server, time, "agent-workers", slots=("slot-0",))
    every.seconds = every._give_up = 10 * lease.LEASE_SECONDS
    assert every.wait_for_all() == DONE
    assert time.now > 3 * lease.LEASE_SECONDS


def test_rollout_in_vain(server: KubeObjects, capfd: pytest.CaptureFixture[str]) -> None:
    """Says what is missing and where to look."""
    server.put(WORKERS, daemon_set(2, 1))
    time = Time()
    assert everywhere(server, time, "agent-workers").wait_for_all() == FAILED
    assert time.now == pytest.approx(100)
    told = capfd.readouterr().err.splitlines()[-1]
    assert "after 100 s: agent-workers: 1 of 2 nodes are done. Fix: see which pods" in told


def test_uninstall_switches_then_waits(server: KubeObjects) -> None:
    """The workers first; done is what is done in the new mode."""
    patched = []

    def note(method: str, path: str) -> None:
        if method == "PATCH":
            patched.append(path)

    server.before = note
    servers = rollout.path(NAMESPACE, "control-plane-workers")
    server.put(servers, daemon_set(1, 1))
    every = everywhere(server, Time(), "agent-workers", "control-plane-workers")
    assert every.uninstall() == DONE
    assert patched == [WORKERS, servers]
    container = {"name": "agent", "env": [{"name": "MODE", "value": "uninstall"}]}
    assert server.get(WORKERS)["spec"] == {"template": {"spec": {"containers": [container]}}}


def test_uninstall_after_the_first_part_is_gone(server: KubeObjects) -> None:
    """A DaemonSet that somebody deleted has no node that could be waited for."""
    assert everywhere(server, Time(), "deleted", "agent-workers").uninstall() == DONE


def test_uninstall_without_the_api_server(
    server: KubeObjects, capfd: pytest.CaptureFixture[str]
) -> None:
    """Is tried until the time is over."""
    server.down = True
    assert everywhere(server, Time(), "agent-workers").uninstall() == FAILED
    assert "nothing was looked at yet" in capfd.readouterr().err

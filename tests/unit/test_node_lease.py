"""node/lease.py: who may restart its kubelet."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node.api import Denied, Unanswered
from gcp_sa_credential_provider.node.lease import (
    CONTROL_PLANE_SECONDS,
    LEASE_SECONDS,
    Slots,
    holder_of,
    path,
    released,
    taken,
)
from unit.kube_objects import KubeObjects

NAMES = ("slot-0", "slot-1")
TIME = "2026-11-24T20:00:00.000000Z"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KubeObjects]:
    """An API server with two Leases as the chart makes them."""
    with KubeObjects(tmp_path) as running:
        for name in NAMES:
            running.put(path("provider", name), {"kind": "Lease"})
        yield running


@dataclass
class Clock:
    """Set by the test."""

    now: float = 0.0


def slots(server: KubeObjects, holder: str, clock: Clock | None = None) -> Slots:
    shown = clock or Clock()
    return Slots(
        api=server.api, namespace="provider", names=NAMES, holder=holder, clock=lambda: shown.now
    )


def holders(server: KubeObjects) -> list[str]:
    return [holder_of(server.get(path("provider", name))) for name in NAMES]


def test_a_holder_says_for_how_long_it_may_be_silent(server: KubeObjects) -> None:
    """A control plane's server is away for as long as its own restart takes."""
    clock = Clock()
    first = slots(server, "node-1", clock)
    first.seconds = CONTROL_PLANE_SECONDS
    first.names = NAMES[:1]
    assert first.take()
    second = slots(server, "node-2", clock)
    second.names = NAMES[:1]
    assert not second.take()
    clock.now = CONTROL_PLANE_SECONDS
    assert not second.take()
    clock.now += 1
    assert second.take()


def test_taken_by_a_new_holder() -> None:
    """Is a transition; what others wrote into the object stays."""
    lease = {"metadata": {"name": "a"}, "spec": {"holderIdentity": "x", "leaseTransitions": 3}}
    assert taken(lease, "y", TIME) == {
        "metadata": {"name": "a"},
        "spec": {
            "holderIdentity": "y",
            "leaseTransitions": 4,
            "acquireTime": TIME,
            "renewTime": TIME,
            "leaseDurationSeconds": LEASE_SECONDS,
        },
    }


def test_taken_by_its_holder_is_a_renewal() -> None:
    """Nothing changes but the time."""
    lease = taken({"metadata": {}}, "y", TIME)
    later = "2026-11-24T20:00:15.000000Z"
    assert taken(lease, "y", later) == {
        "metadata": {},
        "spec": {**lease["spec"], "renewTime": later},
    }


def test_released_has_no_holder() -> None:
    """And keeps the rest."""
    lease = released(taken({"metadata": {}}, "y", TIME), TIME)
    assert holder_of(lease) == ""
    assert lease["spec"]["leaseTransitions"] == 1


def test_take_as_many_as_there_are_slots(server: KubeObjects) -> None:
    """The third has to wait, and knows for whom."""
    first, second, third = (slots(server, f"node-{number}") for number in (1, 2, 3))
    assert (first.take(), second.take(), third.take()) == (True, True, False)
    assert holders(server) == ["node-1", "node-2"]
    assert third.others == ("node-1", "node-2")
    first.release()
    assert third.take()
    assert holders(server) == ["node-3", "node-2"]


def test_take_again_what_is_ours(server: KubeObjects) -> None:
    """A pod that replaces one on the same node goes on with its slot, whichever is free."""
    assert slots(server, "node-1").take()
    assert slots(server, "node-2").take()
    slots(server, "node-1").take()
    before = slots(server, "node-2")
    assert before.take()
    assert holders(server) == ["node-1", "node-2"]
    assert server.get(path("provider", "slot-1"))["spec"]["leaseTransitions"] == 1


def test_take_what_nobody_renews(server: KubeObjects) -> None:
    """Once it was seen unchanged for its whole duration, by our own clock."""
    assert slots(server, "node-1").take()
    assert slots(server, "node-2").take()
    clock = Clock()
    third = slots(server, "node-3", clock)
    assert not third.take()
    clock.now = LEASE_SECONDS
    assert not third.take()
    clock.now = LEASE_SECONDS + 1.0
    assert third.take()
    assert holders(server) == ["node-3", "node-2"]


def test_take_not_what_is_renewed(server: KubeObjects) -> None:
    """Each renewal is a new start."""
    first, second = slots(server, "node-1"), slots(server, "node-2")
    assert first.take()
    assert second.take()
    clock = Clock()
    third = slots(server, "node-3", clock)
    for _ in range(10):
        assert not third.take()
        clock.now += LEASE_SECONDS / 2
        assert first.renew()
        assert second.renew()
    assert holders(server) == ["node-1", "node-2"]


@pytest.mark.parametrize("instead", [None, (500, b"{}")], ids=["silent", "without etcd"])
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_take_not_what_could_not_be_renewed(
    server: KubeObjects, method: str, instead: tuple[int, bytes] | None
) -> None:
    """While the API server is away its holder is silent as well: a whole duration counts anew."""
    for number in (1, 2):
        assert slots(server, f"node-{number}").take()
    clock = Clock()
    third = slots(server, "node-3", clock)
    assert not third.take()
    clock.now = LEASE_SECONDS + 1.0

    def away(asked: str, _path: str) -> None:
        if asked == method:
            server.instead = instead or (200, b"no JSON")

    server.before = away
    with pytest.raises((Unanswered, Denied)):
        third.take()
    server.before, server.instead = lambda _method, _path: None, None
    assert not third.take()
    clock.now += LEASE_SECONDS
    assert not third.take()
    clock.now += 1
    assert third.take()


def test_take_at_the_same_moment(server: KubeObjects) -> None:
    """The API server lets one have it; the other takes the next slot."""
    rival = slots(server, "node-2")

    def between(method: str, _path: str) -> None:
        if method == "PUT":
            server.before = lambda _method, _path: None
            assert rival.take()

    server.before = between
    ours = slots(server, "node-1")
    assert ours.take()
    assert holders(server) == ["node-2", "node-1"]


def test_take_without_the_right(server: KubeObjects) -> None:
    """Is told, not taken for a slot that is in use."""
    server.instead = 403, b'{"message": "forbidden"}'
    with pytest.raises(Denied, match="403: forbidden"):
        slots(server, "node-1").take()


def test_renew_after_somebody_edited_the_object(server: KubeObjects) -> None:
    """Helm changes labels: the slot is ours as before."""
    ours = slots(server, "node-1")
    assert ours.take()
    lease = server.get(path("provider", "slot-0"))
    server.put(path("provider", "slot-0"), {**lease, "labels": {"a": "b"}})
    assert ours.renew()
    assert server.get(path("provider", "slot-0"))["labels"] == {"a": "b"}


def test_renew_what_another_has_by_now(server: KubeObjects) -> None:
    """Is told, and not taken back."""
    ours = slots(server, "node-1")
    assert ours.take()
    lease = server.get(path("provider", "slot-0"))
    server.put(path("provider", "slot-0"), taken(lease, "node-2", TIME))
    assert not ours.renew()
    assert ours.held is None
    ours.release()
    assert holders(server) == ["node-2", ""]


def test_renew_without_the_api_server(server: KubeObjects) -> None:
    """The slot is held on, for the next try."""
    ours = slots(server, "node-1")
    assert ours.take()
    server.down = True
    with pytest.raises(Unanswered):
        ours.renew()
    server.down = False
    assert ours.renew()


def test_release_after_somebody_edited_the_object(server: KubeObjects) -> None:
    """It is given back all the same."""
    ours = slots(server, "node-1")
    assert ours.take()
    server.put(path("provider", "slot-0"), server.get(path("provider", "slot-0")))
    ours.release()
    assert holders(server) == ["", ""]


def test_slot_that_is_no_more(server: KubeObjects) -> None:
    """An upgrade made them fewer: there is nothing to renew or to give back."""
    first, second = slots(server, "node-1"), slots(server, "node-2")
    assert first.take()
    assert second.take()
    server.delete(path("provider", "slot-1"))
    assert not second.renew()
    assert second.held is None
    server.delete(path("provider", "slot-0"))
    first.release()
    assert first.held is None


def test_slots_that_somebody_has_deleted(server: KubeObjects) -> None:
    """There are fewer then; without any it is said how they come back."""
    ours = slots(server, "node-1")
    server.delete(path("provider", "slot-0"))
    assert ours.take()
    assert slots(server, "node-2").holders() == ["node-1"]
    assert not slots(server, "node-2").take()
    server.delete(path("provider", "slot-1"))
    said = r"Leases slot-0, slot-1: 404: none .* Fix: `helm upgrade` .* have it apply Leases too"
    with pytest.raises(Denied, match=said):
        slots(server, "node-2").take()


def test_slot_that_may_not_be_read(server: KubeObjects) -> None:
    """Whatever it is that denies it, nothing is taken for granted."""
    ours = slots(server, "node-1")
    assert ours.take()
    server.put(path("provider", "slot-0"), server.get(path("provider", "slot-0")))

    def deny(method: str, _path: str) -> None:
        if method == "GET":
            server.instead = 403, b'{"message": "forbidden"}'

    server.before = deny
    with pytest.raises(Denied, match="403: forbidden"):
        ours.renew()
    assert ours.held is not None


def test_release_without_a_slot(server: KubeObjects) -> None:
    """Asks nobody."""
    slots(server, "node-1").release()
    assert server.tokens == []

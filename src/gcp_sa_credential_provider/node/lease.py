"""Slots: who has one may restart its node's kubelet. Each is a Lease.

Imports `api`. Rules: coordination.k8s.io/v1; the API server refuses an update whose resourceVersion
is not the present one (409), so of two that take a slot one has it. As in client-go
tools/leaderelection, no two clocks are compared: a slot has expired once it was seen unchanged for
its whole duration by the clock of whoever wants it, and the API server answered all the while.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from gcp_sa_credential_provider.node.api import Api, Denied, Object, Unanswered

LEASE_SECONDS = 120
"""For which a holder may be silent."""
CONTROL_PLANE_SECONDS = 1500
"""The same of a control-plane node: longer than its restart and the way back are waited for (twice
`health.CARRIED`), as its own API server, perhaps the only one that it reaches, is away meanwhile. A
second node that began then could cost etcd its quorum."""
RENEW_SECONDS = 15

_CONFLICT = 409
_GONE = 404


def path(namespace: str, name: str) -> str:
    """Of a Lease in the API."""
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name}"


def now() -> str:
    """The present time as a MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def holder_of(lease: Object) -> str:
    """Who has it; "" for nobody."""
    spec: Object = lease.get("spec") or {}
    return str(spec.get("holderIdentity") or "")


def taken(lease: Object, holder: str, time: str, seconds: int = LEASE_SECONDS) -> Object:
    """The Lease as its holder, new or the same, writes it."""
    spec: Object = dict(lease.get("spec") or {})
    if spec.get("holderIdentity") != holder:
        spec["leaseTransitions"] = int(spec.get("leaseTransitions") or 0) + 1
        spec["acquireTime"] = time
    spec |= {"holderIdentity": holder, "leaseDurationSeconds": seconds, "renewTime": time}
    return {**lease, "spec": spec}


def released(lease: Object, time: str) -> Object:
    """The Lease as its holder leaves it."""
    return {**lease, "spec": {**lease["spec"], "holderIdentity": "", "renewTime": time}}


@dataclass(kw_only=True)
class Slots:
    """The slots of an installation, as one node sees them. Raises what `Api.call` raises."""

    api: Api
    namespace: str
    names: Sequence[str]
    """Of the Leases, which Helm has made."""
    holder: str
    """This node's name."""
    clock: Callable[[], float]
    """Seconds, monotonic."""
    seconds: int = LEASE_SECONDS
    """For which a slot stays ours while we are silent."""
    held: Object | None = None
    """The Lease that we have, as last stored."""
    others: tuple[str, ...] = ()
    """Who had the slots when we last wanted one."""
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def take(self) -> bool:
        """Take a slot: our own of before, else one that is free or has expired."""
        leases = list(self._there())
        if not leases:
            raise Denied(
                _GONE,
                f"Leases {', '.join(self.names)}",
                "none is there. Fix: `helm upgrade` with the same chart and values makes them anew;"
                " where something else applies the chart, have it apply Leases too",
            )
        self.others = tuple(sorted(filter(None, map(holder_of, leases))))
        ours = [lease for lease in leases if holder_of(lease) == self.holder]
        for lease in ours or [lease for lease in leases if self._is_free(lease)]:
            if self._store(self._ours(lease)):
                return True
        return False

    def holders(self) -> list[str]:
        """Who is at work now, by name: the holders of slots that have not expired."""
        return sorted({holder_of(lease) for lease in self._there() if not self._is_free(lease)})

    def call(self, method: str, path: str, body: Object | None = None) -> Object:
        """As `Api.call`. While that fails, holders cannot renew: what was seen counts no more."""
        try:
            return self.api.call(method, path, body)
        except (Unanswered, Denied) as error:
            if not (isinstance(error, Denied) and error.status in (_CONFLICT, _GONE)):
                self._seen.clear()
            raise

    def _there(self) -> Iterator[Object]:
        """Those that nobody has deleted."""
        for name in self.names:
            try:
                yield self.call("GET", path(self.namespace, name))
            except Denied as denied:
                if denied.status != _GONE:
                    raise

    def _is_free(self, lease: Object) -> bool:
        meta = lease["metadata"]
        version = str(meta["resourceVersion"])
        if not holder_of(lease):
            return True
        seen, since = self._seen.get(meta["name"], ("", 0.0))
        if seen != version:
            self._seen[meta["name"]] = (version, self.clock())
            return False
        seconds = lease["spec"].get("leaseDurationSeconds") or LEASE_SECONDS
        return self.clock() - since > float(seconds)

    def renew(self) -> bool:
        """Say that we still are at it. False: it is another's, or no more, since we were silent."""
        if self.held is None:
            return False
        if self._store(self._ours(self.held)):
            return True
        lease = self._again()
        if lease is None or holder_of(lease) not in ("", self.holder):
            self.held = None
            return False
        return self._store(self._ours(lease))

    def release(self) -> None:
        """Leave the slot to others, if we have one."""
        if self.held is None:
            return
        if not self._store(released(self.held, now())):
            lease = self._again()
            if lease is not None and holder_of(lease) == self.holder:
                self._store(released(lease, now()))
        self.held = None

    def _again(self) -> Object | None:
        """The Lease that we had, as it is now; None where an upgrade made the slots fewer."""
        name = self.held["metadata"]["name"] if self.held else ""
        try:
            return self.call("GET", path(self.namespace, name))
        except Denied as denied:
            if denied.status != _GONE:
                raise
            return None

    def _ours(self, lease: Object) -> Object:
        return taken(lease, self.holder, now(), self.seconds)

    def _store(self, lease: Object) -> bool:
        try:
            self.held = self.call("PUT", path(self.namespace, lease["metadata"]["name"]), lease)
        except Denied as denied:
            if denied.status not in (_CONFLICT, _GONE):
                raise
            return False
        return True

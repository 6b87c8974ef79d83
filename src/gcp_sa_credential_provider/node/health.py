"""Whether the kubelet that was restarted is well.

Imports `kubelet`, `identity`, `systemd`. In this order:

1. another process than before is there, and stays for 30 s. Where the kubelet comes with its own
   container runtime or API server (k3s, RKE2, k0s, MicroK8s), it may end while it waits for these,
   and starts over; a kubelet of its own that ends has not understood what it was told;
2. it says `ok` on its healthz port;
3. it renews its node's Lease: the kubelet does so every 10 s, and nobody else. The Lease is read
   with the kubelet's own identity, which its kubeconfig names and the API server lets read that one
   Lease; nothing is written, and no other right is needed;
4. from 1.34 on, it tells the hash of the configuration that it has read, in its metrics. These are
   for whom the API server lets read them (`nodes/metrics`): the token of the pod that this runs in,
   or a port without authentication. Where neither may, this is not known, and said so.

What cannot be asked from here is passed over and said: a healthz port that is turned off, a
kubeconfig that has another program fetch its token, and from a pod without the host's network, its
loopback. What is asked and answers wrong, or not in time, is a failure.
"""

import os
import re
import select
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from gcp_sa_credential_provider.node import identity, kubelet, process
from gcp_sa_credential_provider.node.api import ACCOUNT, Unanswered
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.identity import Server, Unusable
from gcp_sa_credential_provider.node.kubelet import Kubelet
from gcp_sa_credential_provider.node.process import PROC, Process
from gcp_sa_credential_provider.node.profile import Wiring
from gcp_sa_credential_provider.node.systemd import Systemd
from gcp_sa_credential_provider.plugin.connect import Address

_LEASES = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases"
_HASH = re.compile(r'^kubelet_credential_provider_config_info\{[^}]*hash="([^"]*)"', re.MULTILINE)
_FORBIDDEN = (401, 403)
_TELLING = re.compile(
    r"CRI auth|redential provider|unknown flag|feature gate|failed to run Kubelet"
)
_MOST = 300  # characters of a log's line


@dataclass(frozen=True, kw_only=True)
class Patience:
    """How long is waited, in seconds."""

    whole: float
    """For all of it. Whatever is looked at is looked at once at least."""
    stay: float = 30
    """For how long it must run."""
    between: float = 1
    """Two questions to something that tells nothing of its own."""
    starts_over: bool = False
    """Whether it may end and start again meanwhile."""


OWN = Patience(whole=180)
"""Of a kubelet of its own."""
CARRIED = Patience(whole=600, starts_over=True)
"""Of one that comes with a container runtime or an API server: etcd and images come first."""


def patience_with(wiring: Wiring) -> Patience:
    """How long is waited there."""
    return CARRIED if wiring.server or wiring.profile in ("k3s", "rke2", "k0s", "microk8s") else OWN


@dataclass(kw_only=True)
class _Watch:
    """One wait."""

    root: Root
    units: Sequence[str]
    patience: Patience
    proc: Path
    clock: Callable[[], float]
    say: Callable[[str], None]
    account: Path

    def __post_init__(self) -> None:
        self._until = self.clock() + self.patience.whole

    def left(self) -> float:
        """Seconds that are left."""
        return max(0.0, self._until - self.clock())

    def failed(self, what: str) -> Failed:
        """With what the node itself tells of it."""
        told = [what]
        systemd = Systemd(self.root)
        if systemd.available():
            told.append(systemd.why_not(self.units))
            lines = [line for line in systemd.log_of(self.units) if _TELLING.search(line)]
            told += [line.strip()[:_MOST] for line in lines[-1:]]
        return Failed(f"{'; '.join(told)}. Fix: journalctl --unit={self.units[0]}")

    def given_up(self) -> bool:
        """Whether systemd will not start it again by itself."""
        systemd = Systemd(self.root)
        return not self.patience.starts_over and systemd.available() and systemd.failed(self.units)

    def seconds(self) -> Iterator[None]:
        """Once now, and again every `between` while there is time."""
        yield
        while left := self.left():
            select.select([], [], [], min(self.patience.between, left))
            yield


def wait(
    root: Root,
    before: Kubelet,
    wiring: Wiring,
    expected_hash: str | None,
    *,
    proc: Path = PROC,
    patience: Patience | None = None,
    clock: Callable[[], float] = time.monotonic,
    say: Callable[[str], None] = lambda _: None,
    account: Path = ACCOUNT,
) -> None:
    """Wait until a kubelet that started after `before` is well. Raises Failed.

    `say` is told what could not be looked at; `account` is the folder of a pod's token.
    """
    watch = _Watch(
        root=root,
        units=wiring.units or ("kubelet.service",),
        patience=patience or patience_with(wiring),
        proc=proc,
        clock=clock,
        say=say,
        account=account,
    )
    _stays(watch, before)
    try:
        # Of what minor it is plays no part here.
        after = kubelet.running(root, proc, minor=before.minor)
    except Refused as refused:
        raise Failed(str(refused)) from None
    if after is None:
        raise watch.failed("the kubelet has ended again")
    if expected_hash is not None and after.config is None:
        raise watch.failed("the kubelet runs, but was not given the configuration")
    _is_healthy(watch, after)
    _renews(watch, after)
    if expected_hash is not None:
        _has_read(watch, after, expected_hash)


def _stays(watch: _Watch, before: Kubelet) -> None:
    """A process that is not the one of before is there, and stays."""
    _old_ends(watch, before)
    ends = 0
    while (found := _other(watch, before)) is not None:
        if not _ends(found, watch.patience.stay):
            return
        ends += 1
        if not (watch.patience.starts_over and watch.left()):
            raise watch.failed(
                f"the kubelet that was started ended within {watch.patience.stay:.0f} s"
                + (f", {ends} times" if ends > 1 else "")
            )
    raise watch.failed("no kubelet has started")


def _old_ends(watch: _Watch, before: Kubelet) -> None:
    """Wait for the end of the one of before; if it does not end, nothing was restarted."""
    old = process.of(watch.proc, before.pid)
    if old is not None and _started(old) == before.started and not _ends(old, watch.left()):
        raise watch.failed(
            f"the kubelet of before (process {before.pid}) still runs after"
            f" {watch.patience.whole:.0f} s"
        )


def _other(watch: _Watch, before: Kubelet) -> Process | None:
    for _ in watch.seconds():
        try:
            found = kubelet.find(watch.root, watch.proc)
        except Refused:  # one ends while the next starts
            continue
        if found is not None and _started(found) not in ("", before.started):
            return found
        if watch.given_up():
            return None
    return None


def _started(found: Process) -> str:
    try:
        return found.started
    except OSError:
        return ""


def _ends(found: Process, seconds: float) -> bool:
    """Whether it ends within that time."""
    started = _started(found)
    try:
        descriptor = os.pidfd_open(found.pid)
    except ProcessLookupError:
        return True
    try:
        if not started or _started(found) != started:  # the number is another's by now
            return True
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(seconds * 1000))
    finally:
        os.close(descriptor)


def _shares_network(watch: _Watch, after: Kubelet) -> bool:
    found = process.of(watch.proc, after.pid)
    try:
        return found is not None and found.shares("net", watch.proc)
    except OSError:
        return False


def _is_healthy(watch: _Watch, after: Kubelet) -> None:
    if after.healthz is None or not _shares_network(watch, after):
        watch.say("the kubelet's healthz is not to be reached from here; not asked")
        return
    address, port = after.healthz
    server = Server(address=_asked(address, port))
    why = ""
    for _ in watch.seconds():
        try:
            answer = server.get("/healthz")
        except Unanswered as error:
            why = str(error)
            continue
        if answer.status == 200:
            return
        why = f"{answer.status}, {answer.body[:80]!r}"
    raise watch.failed(f"the kubelet's healthz is not well: {why}")


def _renews(watch: _Watch, after: Kubelet) -> None:
    if after.kubeconfig is None:
        watch.say("the kubelet has no kubeconfig; its node's Lease is not looked at")
        return
    first: str | None = None
    why, answered = "", _shares_network(watch, after)
    for _ in watch.seconds():
        try:  # each time anew: the kubelet may just have got its certificate
            server = identity.of_kubeconfig(watch.root, after.kubeconfig)
        except Unusable as unusable:
            watch.say(f"the node's Lease cannot be looked at from here: {unusable}")
            return
        name = server.node or after.node_name
        if not name:
            watch.say("the node's name is not known; its Lease is not looked at")
            return
        try:
            answer = server.get(f"{_LEASES}/{name}")
        except Unanswered as error:
            why = str(error)
            continue
        answered = True
        if answer.status in _FORBIDDEN:
            watch.say(f"the API server does not let the node read its Lease ({answer.status})")
            return
        found = str((identity.json_of(answer).get("spec") or {}).get("renewTime") or "")
        why = f"last renewed {found}" if found else f"{answer.status} for {name}"
        if found and first is not None and found != first:
            return
        first = first or found or None
    if not answered:  # the host's loopback, or a name that only the host knows
        watch.say(f"the node's Lease cannot be looked at from here: {why}")
        return
    raise watch.failed(f"the node's Lease was not renewed: {why}")


def _has_read(watch: _Watch, after: Kubelet, expected: str) -> None:
    why = "from here"
    for server in _metrics(watch, after):
        try:
            answer = server.get("/metrics")
        except Unanswered as error:
            why = str(error)
            continue
        if answer.status != 200:
            why = f"answer {answer.status}"
            continue
        found = _HASH.findall(answer.body.decode("utf-8", "replace"))
        if expected in found:
            return
        if found:
            raise watch.failed(
                f"the kubelet has read another configuration ({found[0]}) than was written"
                f" ({expected})"
            )
        why = "it tells none"
    watch.say(f"the hash of the kubelet's configuration is not to be seen: {why}")


def _asked(listens: str, port: int) -> Address:
    """Where to ask what listens there."""
    everywhere = listens in ("0.0.0.0", "::", "")  # noqa: S104 -- compared
    return Address(host="127.0.0.1" if everywhere else listens, port=port)


def _metrics(watch: _Watch, after: Kubelet) -> Iterator[Server]:
    """Where its metrics may be had."""
    if not _shares_network(watch, after):
        return
    if after.read_only_port:
        yield Server(address=_asked(after.address, after.read_only_port))
    for path in after.certificates:
        try:
            content = watch.root.read(path)
            if content is None:
                continue
            context = identity.trusting(content)
        except (OSError, Unusable):
            continue
        # Known by its very certificate, whatever name that is for.
        context.check_hostname = False
        yield Server(
            address=_asked(after.address, after.port),
            context=context,
            token=identity.bearer(watch.account),
        )
        return

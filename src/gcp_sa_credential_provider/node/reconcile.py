"""`node reconcile`: our entries for the kubelet that is about to start; its unit runs this before.

Imports `act`, `entry`, `splice`. A kubelet of 1.33 ends on `cacheType`, one of 1.34 without it: a
node whose kubelet is replaced, forward or back, needs the entry rewritten between the two.
"""

import contextlib
import signal
from collections.abc import Iterator
from dataclasses import replace

from gcp_sa_credential_provider.node import act, change, entry, splice
from gcp_sa_credential_provider.node.act import Host
from gcp_sa_credential_provider.node.change import Write
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.entry import Minor
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.planned import HASHED
from gcp_sa_credential_provider.node.state import CONFIG, Busy, Installed, State

SECONDS = 30.0
"""What takes longer than its unit's TimeoutStartSec (90 by default) keeps a kubelet from starting,
even behind a `-`."""


def run(host: Host, minor: Minor | None, program: str | None) -> None:
    """Rewrite the entries if they are for another kind of kubelet. Raises Refused, Failed.

    `minor` and `program` say which, if the one that was installed for is not meant.
    """
    try:
        with _in_time(), host.store.locked():
            state = host.store.load()
            minor = minor or asked(host, program)
            if state.installed is None or minor is None:
                host.say("nothing is installed here; nothing is changed")
                return
            _reconcile(host, state, state.installed, minor)
    except Busy:
        # It waits for the very kubelet that is about to start.
        host.say("another command is changing this node; nothing is changed")


@contextlib.contextmanager
def _in_time() -> Iterator[None]:
    """Raises Failed in the block once SECONDS are over."""

    def over(*_: object) -> None:
        raise Failed(
            f"not done after {SECONDS:.0f} s; the kubelet is not kept waiting any longer. Fix: see"
            " what is slow on this node, then restart the kubelet if its log names cacheType"
        )

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _reconcile(host: Host, state: State, installed: Installed, minor: Minor) -> None:
    if minor < entry.OLDEST or (installed.directory and minor < HASHED):
        raise Refused(
            f"a kubelet of {minor[0]}.{minor[1]} cannot read {installed.given}. Fix: run `node"
            " uninstall` before such a kubelet is put here"
        )
    text, content = _rewritten(host, installed, minor)
    if text == content:
        host.say("the entries fit; nothing is changed")
    elif host.dry_run:
        act.show(host, [act.Step(Write(installed.config, content), CONFIG)])
        return
    else:
        try:
            host.root.write(installed.config, content, 0o644)
        except OSError as error:
            raise Failed(f"{installed.config}: {error.strerror}. Fix: see who keeps it") from None
        host.say(f"{installed.config}: written for a kubelet of {minor[0]}.{minor[1]}")
    if host.dry_run:
        return
    there = change.now(host.root, installed.config)
    files = tuple(
        replace(file, after=there) if file.path == installed.config else file
        for file in installed.files
    )
    try:
        host.store.save(replace(state, installed=replace(installed, minor=minor, files=files)))
    except OSError as error:
        raise Failed(f"{error.filename}: {error.strerror}. Fix: see who keeps it") from None


def _rewritten(host: Host, installed: Installed, minor: Minor) -> tuple[bytes, bytes]:
    """The configuration now, and as it is to be. Raises Refused."""
    path = installed.config
    content = host.root.read(path)
    if content is None:
        raise Refused(f"{path}: is not there. Fix: run `node install` again")
    try:
        return content, entry.fitted(content, installed.cache_types, minor)
    except (Unreadable, splice.Unspliced) as error:
        raise Refused(f"{path}: {error}. Fix: correct the file") from None


def asked(host: Host, program: str | None) -> Minor | None:
    """The minor of the kubelet that starts next; None where nothing is installed.

    `program` is the kubelet, or what brings one (k3s, rke2). Raises Failed.
    """
    from gcp_sa_credential_provider.node import kubelet

    installed = host.store.load().installed
    if program is not None:
        return kubelet.minor_of(host.root, (program, "--version"))
    return kubelet.minor_of(host.root, installed.version_of) if installed else None

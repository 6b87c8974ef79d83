"""`node rollback`: back behind the last change. The dead man's switch runs it too.

Imports `act` and `back`. It needs neither the pod that made the change nor the program
that the change put there.
"""

from typing import TYPE_CHECKING

from gcp_sa_credential_provider.node import act, back, change
from gcp_sa_credential_provider.node.act import Host
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.planned import Planned
from gcp_sa_credential_provider.node.state import CONFIG, FLAGS, Installed, State

if TYPE_CHECKING:
    from gcp_sa_credential_provider.node.kubelet import Kubelet


def run(host: Host) -> None:
    """Go back. Raises Refused, Failed."""
    with host.store.locked(wait=True):
        state = host.store.load()
        last = state.change
        if last is None:
            if not host.dry_run:
                act.disarm(host, fired=False)
            raise Refused(
                "no change is remembered on this node. Fix: nothing; it is as it was before, or"
                " another command has gone back already"
            )
        if host.dry_run:
            for file in reversed(last.files):
                there = change.now(host.root, file.path)
                word = "stays" if there == file.before else "goes back"
                host.say(f"{file.path}: {word}")
            host.say("nothing is changed (--dry-run)")
            return
        of = state.installed or last.previous
        touched = any(file.role in (CONFIG, FLAGS) for file in last.files)
        restart = touched and of is not None and host.live and host.restart
        if restart:
            act.ready_to_restart(host)
        kubelet = act.running_all_the_same(host, of.minor) if restart and of else None
        after = back.go_back(host, state)
        host.say(f"all is as it was before `node {last.command}`")
        if not restart or of is None:
            back.gone_back(host, after)
            act.disarm(host, fired=False)
            return
        _restart(host, of, after, kubelet)


def _restart(host: Host, of: Installed, after: State, kubelet: "Kubelet | None") -> None:
    wiring = act.wiring_of(of)
    back.gone_back(host, after, wiring)
    act.disarm(host, fired=False)
    if kubelet is None:
        host.say("the kubelet was started; see whether it is well, it could not be told before")
        return
    given = after.installed.given if after.installed else None
    expected = Planned(host.root).hash(given, kubelet.minor) if given else None
    try:
        act.wait(host, kubelet, wiring, expected)
    except Failed as error:
        raise Failed(f"all files are back as they were, but: {error}") from None
    host.say("the kubelet was restarted")

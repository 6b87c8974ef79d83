"""A change of a node, begun and ended so that whoever comes after knows where it stands.

Imports `change`, `files`, `state`; `health`, `kubelet`, `process`, `profile` and `systemd` when
they are needed. The order: remember, arm the dead man's switch, edit place by place, restart the
kubelet, see that it is well, disarm, remember. What fails goes back the same way (`back`).
"""

import os
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gcp_sa_credential_provider.node import change
from gcp_sa_credential_provider.node.change import Edit, Write
from gcp_sa_credential_provider.node.entry import PLUGIN
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.state import (
    FLAGS,
    FOLDER,
    PROGRAM,
    Change,
    File,
    Installed,
    State,
    Store,
)

if TYPE_CHECKING:
    from gcp_sa_credential_provider.node.kubelet import Kubelet
    from gcp_sa_credential_provider.node.profile import Wiring

DEAD_MAN_SECONDS = 900
"""From before the first edit on, if nobody has said by then that the kubelet is well."""
PROC = Path("/proc")


@dataclass(frozen=True)
class Step:
    """An edit, and what part it plays."""

    edit: Edit
    role: str


@dataclass(frozen=True, kw_only=True)
class Host:
    """The node, and how it is to be dealt with."""

    root: Root
    live: bool
    """Whether a kubelet may run on it, and not only its files are here."""
    restart: bool
    dry_run: bool
    say: Callable[[str], None]
    """Takes a line for the person who asked."""

    @property
    def store(self) -> Store:
        """What is remembered there."""
        return Store(self.root)


def settle(host: Host, steps: Sequence[Step]) -> list[Step]:
    """Those that are still to be done, with their real places. Raises Refused."""
    left = []
    try:
        for step in steps:
            edit = change.settled(host.root, step.edit)
            if not change.is_done(host.root, edit):
                left.append(Step(edit, step.role))
    except OSError as error:
        raise Refused(cannot(error)) from None
    for path in (*(step.edit.path for step in left), f"{FOLDER}/state.json") if left else ():
        if not host.root.writable(path):
            raise Refused(
                f"{path}: its folder is read-only. Fix: choose a place that can be written to"
                " (--profile), or have the image of the node made with what is to be there"
            )
    return left


def real(host: Host, step: Step) -> Edit:
    """The step's edit with its real place. Raises Refused."""
    try:
        return change.settled(host.root, step.edit)
    except OSError as error:
        raise Refused(cannot(error)) from None


def show(host: Host, steps: Sequence[Step]) -> None:
    """Say what these would do."""
    for step in steps:
        for line in change.told(host.root, step.edit):
            host.say(line.rstrip("\n"))
    host.say("nothing is changed (--dry-run)" if steps else "nothing is to be changed")


def begun(
    host: Host,
    state: State,
    command: str,
    steps: Sequence[Step],
    installed: Installed | None,
    kubelet: "Kubelet | None",
) -> State:
    """Remember a change before its first edit. Raises Refused: that cannot be written.

    One before it that no kubelet has read, or that was broken off, is gone back behind as well.
    """
    store, last, started = host.store, state.change, kubelet.started if kubelet else None
    unread = last if last and last.unread(started) else None
    known = {file.path: file for file in unread.files} if unread else {}
    files = []
    for path in known:
        host.root.sweep(path)
    for step in steps:
        path = step.edit.path
        before = known.pop(path).before if path in known else change.now(host.root, path)
        wanted = change.after(host.root, step.edit)
        files.append(File(path=path, role=step.role, before=before, after=wanted))
        store.keep(host.root.read(path) if before.sha256 else None)
        if isinstance(step.edit, Write) and step.role == FLAGS:
            store.keep(step.edit.content)
    folders = change.missing_folders(host.root, [step.edit for step in steps])
    state = State(
        installed,
        Change(
            command=command,
            finished=False,
            files=(*known.values(), *files),
            folders=tuple(dict.fromkeys([*(unread.folders if unread else ()), *folders])),
            previous=unread.previous if unread else state.installed,
            restarted=False,
            kubelet=started or _none(),
        ),
    )
    try:
        for file in installed.files if installed else ():
            if file.before.sha256:  # no step has those of a place that was as it should be
                store.keep(host.root.read(file.path))
        store.save(state)
    except OSError as error:
        raise Refused(cannot(error)) from None
    return state


def _none() -> str:
    """What stands for no kubelet: the boot, which another machine's differs in; "" if unknown."""
    from gcp_sa_credential_provider.node import process

    boot = process.boot(PROC)
    return f"{boot}/" if boot else ""


def reload(host: Host) -> None:
    """Have systemd read its units again. Raises Failed."""
    from gcp_sa_credential_provider.node.systemd import Systemd

    systemd = Systemd(host.root)
    if host.live and systemd.available():
        systemd.daemon_reload()


def edit(host: Host, steps: Iterable[Step], reload: Callable[[Host], None] = reload) -> None:
    """Do them in turn, and have systemd read flags before all else. Raises OSError, Failed.

    It starts a kubelet by the drop-ins that it has read last, whatever is on the disk since: on the
    way out these name the very files that go next.
    """
    unread = False
    for step in steps:
        if unread and step.role != FLAGS:
            reload(host)
            unread = False
        change.do(host.root, step.edit)
        unread = unread or step.role == FLAGS
    if unread:
        reload(host)


def end(host: Host, state: State) -> None:
    """Remember that a change has ended, and disarm the switch that guarded it. Raises Failed."""
    disarm(host)
    try:
        host.store.save(_looked_again(host, state))
    except OSError as error:
        raise Failed(f"{cannot(error)} All else is done") from None


def _looked_again(host: Host, state: State) -> State:
    """The state with the kubelet that waits for a change during which none ran at first.

    One that has started meanwhile may have read half of it; one that starts later reads all.
    """
    last = state.change
    if not host.live or last is None or last.restarted or last.kubelet not in ("", _none()):
        return state
    from gcp_sa_credential_provider.node import kubelet

    try:
        found = kubelet.running(host.root, PROC)
    except Refused:
        return state
    seen = replace(last, kubelet=found.started) if found else replace(last, restarted=True)
    return replace(state, change=seen)


def not_restarted(host: Host) -> str:
    """What to say where a change waits for the kubelet's next start."""
    if host.live:
        return "the kubelet reads this at its next start; it is not restarted"
    return f"{host.root.path}: files only; no kubelet is restarted"


def remove_folders(host: Host, folders: Collection[str]) -> None:
    """Remove those that are empty, inner ones first. Raises OSError."""
    for folder in sorted(folders, reverse=True):
        host.root.rmdir(folder)


def forget(host: Host, state: State) -> None:
    """Remember what is left to remember, or nothing at all. Raises OSError."""
    if state == State() and not any(
        name.startswith("aside-") for name in host.root.listdir(FOLDER)
    ):
        host.store.forget()
    else:
        host.store.save(state)


def can_restart(host: Host) -> bool:
    """Whether a kubelet may be restarted, and can be."""
    from gcp_sa_credential_provider.node.systemd import Systemd

    return host.live and host.restart and Systemd(host.root).available()


def ready_to_restart(host: Host) -> None:
    """Refuse, where nobody could restart the kubelet and go back."""
    if not can_restart(host):
        raise Refused(
            "there is no systemd here that could restart the kubelet, and go back should it not"
            " start. Fix: give --no-restart, and restart the kubelet by the node's own means"
        )


def arm(host: Host, wiring: "Wiring") -> None:
    """Arm the dead man's switch. Raises OSError, Failed.

    It stays armed: after a failure until `back.recover` is done, else until `end`.
    """
    from gcp_sa_credential_provider.node.systemd import Systemd

    may_run = not os.statvfs(host.root.outside(PROGRAM)).f_flag & os.ST_NOEXEC
    program = PROGRAM if may_run else f"{wiring.bin_dir}/{PLUGIN}"
    Systemd(host.root).arm(DEAD_MAN_SECONDS, (program, "node", "rollback"))


def restart(host: Host, before: "Kubelet", wiring: "Wiring", expected: str | None) -> None:
    """Restart the kubelet, and see that it is well. Raises Failed."""
    restart_only(host, wiring)
    wait(host, before, wiring, expected)


def restart_only(host: Host, wiring: "Wiring") -> None:
    """Restart the kubelet, and do not look how it is then. Raises Failed."""
    from gcp_sa_credential_provider.node.systemd import Systemd

    systemd = Systemd(host.root)
    systemd.daemon_reload()
    systemd.restart(wiring.units)


def wait(host: Host, before: "Kubelet", wiring: "Wiring", expected: str | None) -> None:
    """Wait until a kubelet that started after `before` is well. Raises Failed."""
    from gcp_sa_credential_provider.node import health

    health.wait(host.root, before, wiring, expected, say=host.say)


def running_all_the_same(host: Host, minor: tuple[int, int]) -> "Kubelet | None":
    """The kubelet that runs, on the way back; None also where that cannot be told.

    One that ends as soon as it starts is gone while it is looked at, and must not be in the way.
    """
    from gcp_sa_credential_provider.node import kubelet

    try:
        return kubelet.running(host.root, PROC, minor=minor)
    except Refused as refused:
        host.say(f"{refused}; going back all the same")
        return None


def wiring_of(installed: Installed) -> "Wiring":
    """How the kubelet was given what is installed."""
    from gcp_sa_credential_provider.node.profile import Wiring

    return Wiring(
        profile=installed.profile,
        config=installed.given,
        directory=installed.directory,
        bin_dir=installed.bin_dir,
        flags=(),
        units=installed.units,
        server=installed.server,
        version=installed.version_of,
    )


def disarm(host: Host, *, fired: bool = True) -> None:
    """Take the dead man's switch away, if it is there. Raises Failed.

    `fired`: also if it has fired and waits; not for `rollback`, which it runs.
    """
    from gcp_sa_credential_provider.node.systemd import Systemd

    systemd = Systemd(host.root)
    if host.live and systemd.available():
        try:
            systemd.disarm(fired=fired)
        except OSError as error:
            raise Failed(cannot(error)) from None


def cannot(error: OSError) -> str:
    """What kept us from a file, in words."""
    return (
        f"{error.filename}: {error.strerror or error}. Fix: see who keeps root from changing it"
        " (mount, attributes, space)."
    )

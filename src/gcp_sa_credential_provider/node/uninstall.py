"""`node uninstall`: off the node again, with whatever others did in between left as it is.

Imports `act` and what that imports. On the way out the flags go first, then the configuration; the
program goes last, after the restart, since the kubelet that runs until then still calls it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from gcp_sa_credential_provider.node import act, back, check, entry, undo
from gcp_sa_credential_provider.node.act import Host, Step
from gcp_sa_credential_provider.node.change import Remove, Write
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.install import refuse_replaced, running
from gcp_sa_credential_provider.node.planned import Planned
from gcp_sa_credential_provider.node.state import (
    CONFIG,
    FLAGS,
    NAME,
    PROGRAM,
    PROVIDER,
    File,
    Installed,
    State,
)
from gcp_sa_credential_provider.node.systemd import RECONCILE_DROP_IN
from gcp_sa_credential_provider.node.validate import (
    ENDINGS,
    Reader,
    problems,
    with_our_flags,
)

if TYPE_CHECKING:
    from gcp_sa_credential_provider.node.entry import Minor
    from gcp_sa_credential_provider.node.kubelet import Kubelet

_ROLES = (PROVIDER, NAME, CONFIG, FLAGS)
_LAST = (NAME, PROVIDER)


@dataclass(frozen=True)
class _Way:
    """Out."""

    first: list[Step]
    last: list[Step]
    """After the restart."""
    stays: bool
    """Whether the configuration stays, with entries of others."""
    again: list[str]
    """What to say of entries that were others' before we took their names."""
    kept: list[str]
    """What to say of places that are as they were before us."""


def run(host: Host) -> None:
    """Uninstall. Raises Refused, Failed."""
    with host.store.locked():
        state = host.store.load()
        installed = state.installed
        if installed is None:
            host.say("nothing is installed here, as far as is remembered; nothing is changed")
            if not host.dry_run:
                act.disarm(host)  # left by a way back whose end a power cut took
                act.forget(host, State())
            return
        kubelet = running(host)
        way = _way(host, installed, kubelet.minor if kubelet else installed.minor)
        if way.again:
            refuse_replaced(host, kubelet, act.wiring_of(installed))
        if way.stays or not _ours_alone(installed):
            _check(host, installed, way, kubelet)
        if host.dry_run:
            for line in way.kept:
                host.say(line)
            act.show(host, [*way.first, *way.last])
            return
        broken_off = state.change is not None and not state.change.finished
        restart = bool(kubelet) and host.restart and (bool(way.first) or broken_off)
        if restart:
            act.ready_to_restart(host)
        steps = [*way.first, *way.last]
        state = act.begun(host, state, "uninstall", steps, installed, kubelet)
        for file in installed.files:
            host.root.sweep(file.path)
        wiring = act.wiring_of(installed)
        may_know = wiring if broken_off and act.can_restart(host) else None
        with back.if_it_fails(host, state, may_know):
            if restart:
                act.arm(host, wiring)
            act.edit(host, way.first)
        if restart and kubelet is not None:
            given = installed.given if host.root.stat(installed.given) else None
            expected = Planned(host.root).hash(given, kubelet.minor) if given else None
            try:
                act.restart(host, kubelet, wiring, expected)
            except Failed as error:
                back.recover(host, state, kubelet, wiring, error)
        act.disarm(host)
        with back.if_it_fails(host, state, wiring if restart else may_know):
            act.edit(host, way.last)
        for step in steps:
            done = "written" if isinstance(step.edit, Write) else "removed"
            host.say(f"{step.edit.path}: {done}")
        for line in [*way.kept, *way.again, *_labels(host, installed)]:
            host.say(line)
        _end(host, installed)
        if restart:
            host.say("the kubelet was restarted and is well")
        elif way.first:
            host.say(act.not_restarted(host))


def _labels(host: Host, installed: Installed) -> list[str]:
    """What is to be said of SELinux's rules for programs that are gone."""
    files = [file for file in installed.files if file.role == PROVIDER and file.before.absent]
    gone = [*(file.path for file in files), PROGRAM] if host.live else []
    return [line for path in gone for line in check.forget_label(host.root, path)]


def _end(host: Host, installed: Installed) -> None:
    try:
        act.remove_folders(host, installed.folders)
        act.forget(host, State())
    except OSError as error:
        raise Failed(
            f"{error.filename}: {error.strerror}. All but this is done. Fix: run it again"
        ) from None


def _ours_alone(installed: Installed) -> bool:
    """Whether the kubelet has its configuration from us: then none at all may be left."""
    return all(file.before.absent for file in installed.files if file.role == CONFIG)


def _way(host: Host, installed: Installed, minor: "Minor") -> _Way:
    """What is to be done, for a kubelet of the minor. Raises Refused, Failed.

    Refused: others' edits cannot be told from ours.
    """
    files = {role: [one for one in installed.files if one.role == role] for role in _ROLES}
    names, again = installed.names, list[str]()
    try:
        configs = []
        for file in files[CONFIG]:
            whole = undo.former_text(host.store, file)
            former = undo.former_entries(whole, names)
            fitting = [entry.for_minor(dict(one), minor) for one in former]
            way = undo.without_entries(host.root, file, names, fitting, whole)
            configs.append((file, way))
            again += [
                f"{file.path}: the entry {one['name']} that was there before is back"
                for one in former
                if way.edit
            ]
        stays = any(one.stays for _, one in configs) or _others_use(host, installed)
        gone = [file for file in files[FLAGS] if not stays or file.path.endswith(RECONCILE_DROP_IN)]
        flags = [(file, _back(host, file)) for file in reversed(gone)]
        last = [(file, _back(host, file)) for role in _LAST for file in files[role]]
    except undo.Entangled as error:
        raise Refused(
            f"{error}. Fix: take what is ours out of it by hand"
            f" ({', '.join(installed.cache_types)}), then run this again"
        ) from None
    except OSError as error:
        raise Refused(f"{error.filename}: {error.strerror}. Fix: see what is there") from None
    both = [*flags, *configs]
    kept = [
        f"{file.path}: was there before us, and stays"
        for file, one in [*both, *last]
        if one.edit is None and not file.before.absent and host.root.lstat(file.path)
    ]
    return _Way(_steps(both), _steps(last), stays, again, kept)


def _others_use(host: Host, installed: Installed) -> bool:
    """Whether somebody else has put a file into a folder of configurations that we made."""
    folder = host.root.resolve(installed.given)
    if not installed.directory or folder not in installed.folders:
        return False
    there = {f"{folder}/{name}" for name in host.root.listdir(folder) if name.endswith(ENDINGS)}
    return bool(there - {file.path for file in installed.files})


def _back(host: Host, file: File) -> undo.Back:
    return undo.careful(host.root, host.store, file, ())


def _steps(backs: list[tuple[File, undo.Back]]) -> list[Step]:
    return [Step(one.edit, file.role) for file, one in backs if one.edit is not None]


def _check(host: Host, installed: Installed, way: _Way, kubelet: "Kubelet | None") -> None:
    """Refuse if the kubelet would not start on what is left."""
    edits = [step.edit for step in (*way.first, *way.last)]
    planned = Planned(host.root, edits)
    bin_dir = host.root.resolve(installed.bin_dir)
    # An entry that comes back without its program is as it was before us, when no kubelet read it.
    lacked = {one.path for one in installed.files if one.role in _LAST and one.before.absent}
    reader = Reader(
        minor=kubelet.minor if kubelet else installed.minor,
        gates=kubelet.gates if kubelet else with_our_flags(installed.minor, {}),
        executable=lambda name: (
            f"{bin_dir}/{name}" in lacked or planned.executable(f"{bin_dir}/{name}")
        ),
    )
    found = problems(planned.config(installed.given), reader)
    if found and not all(isinstance(edit, Remove) for edit in edits):
        raise Refused(
            f"the kubelet would not start on what is left: {'; '.join(found)}. Fix: correct what is"
            " named, or take the kubelet's flags for credential providers away first"
        )

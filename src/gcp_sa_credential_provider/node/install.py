"""`node install`: the program, our entries and the flags onto a node; what is there already stays.

Imports this package's rooms of `node`. On the way in the program comes first, then the
configuration, then the flags: at every moment a kubelet that starts finds what it is told to use.
"""

import posixpath
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gcp_sa_credential_provider.node import act, back, change, check, entry, splice, systemd
from gcp_sa_credential_provider.node.act import Host, Step
from gcp_sa_credential_provider.node.change import Link, Remove, Write, now
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.entry import PLUGIN, Entry, Minor, text_of
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.planned import HASHED, Planned
from gcp_sa_credential_provider.node.state import (
    CONFIG,
    FLAGS,
    NAME,
    PROVIDER,
    File,
    Installed,
    State,
    finished,
)
from gcp_sa_credential_provider.node.validate import Reader, problems, with_our_flags
from gcp_sa_credential_provider.version import VERSION

if TYPE_CHECKING:
    from gcp_sa_credential_provider.node.kubelet import Kubelet
    from gcp_sa_credential_provider.node.profile import Wiring

OWN_FILE = f"50-{PLUGIN}.yaml"
"""In a folder of configurations."""
_COMMENT = f"Written by {PLUGIN} (node install). The kubelet reads it at its start only."


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be there."""

    entries: Sequence[Entry]
    program: bytes
    """The program itself."""
    profile: str | None
    minor: Minor | None
    """If there is no kubelet to ask."""


def run(host: Host, wish: Wish) -> None:
    """Install. Raises Refused, Failed."""
    from gcp_sa_credential_provider.node import profile

    with host.store.locked():
        state = host.store.load()
        kubelet = running(host)
        minor = minor_for(kubelet, wish.minor, state)
        try:
            wiring = profile.wiring(host.root, kubelet, wish.profile, minor)
            refuse_replaced(host, kubelet, wiring)
            wished = steps(host, state, wiring, wish, minor)
            _check(host, wiring, wished, kubelet, minor)
            left = act.settle(host, wished)
        except OSError as error:
            raise Refused(act.cannot(error)) from None
        if host.dry_run:
            act.show(host, left)
            return
        _install(host, state, wiring, wished, left, kubelet, minor, wish)


def running(host: Host) -> "Kubelet | None":
    """The node's kubelet, if it runs and is not another machine's."""
    if not host.live:
        return None
    from gcp_sa_credential_provider.node import kubelet

    return kubelet.running(host.root, act.PROC)


def minor_for(kubelet: "Kubelet | None", told: Minor | None, state: State) -> Minor:
    """The minor to write for. Raises Refused: unknown, or one that cannot do it."""
    known = state.installed.minor if state.installed else None
    minor = (kubelet.minor if kubelet else None) or told or known
    if minor is None:
        raise Refused(
            "no kubelet is there to be asked for its version. Fix: give --minor 1.NN, that of the"
            " kubelet that will start here"
        )
    if told and kubelet and told != kubelet.minor:
        raise Refused(
            f"--minor {told[0]}.{told[1]}: the kubelet that runs here is"
            f" {kubelet.minor[0]}.{kubelet.minor[1]}. Fix: leave it out"
        )
    if minor < entry.OLDEST:
        raise Refused(
            f"a kubelet of {minor[0]}.{minor[1]} hands no token of a pod to a provider. Fix:"
            f" upgrade the node to {entry.OLDEST[0]}.{entry.OLDEST[1]} or newer"
        )
    return minor


def refuse_replaced(host: Host, running: "Kubelet | None", wiring: "Wiring") -> None:
    """Refuse to write for a kubelet that another one follows, which would end on what is written.

    `node reconcile` does not help there: a restart of ours has it wait for nobody.
    """
    if running is None or not wiring.version:
        return
    from gcp_sa_credential_provider.node import kubelet

    try:
        following = kubelet.minor_of(host.root, wiring.version)
    except Refused:
        return  # what cannot be asked is taken for what runs
    known = [one >= entry.WITH_CACHE_TYPE for one in (running.minor, following)]
    if known[0] != known[1]:
        raise Refused(
            f"{wiring.version[0]}: is of {following[0]}.{following[1]}, and the kubelet that runs"
            f" (process {running.pid}) is of {running.minor[0]}.{running.minor[1]}: an entry fits"
            " only one of them. Fix: restart the kubelet, then try again"
        )


def steps(host: Host, state: State, wiring: "Wiring", wish: Wish, minor: Minor) -> list[Step]:
    """All edits in their order, whether they are done already or not. Raises Refused."""
    program = f"{wiring.bin_dir}/{PLUGIN}"
    names = [one["name"] for one in wish.entries]
    old = state.installed.cache_types if state.installed else {}
    gone = [name for name in _had(state) if name not in names]
    for path in [program, *(f"{wiring.bin_dir}/{name}" for name in names if name != PLUGIN)]:
        _refuse_stranger(host, state, path, program)
    found = [Step(Write(program, wish.program, 0o755), PROVIDER)]
    found += [
        Step(Link(f"{wiring.bin_dir}/{name}", PLUGIN), NAME) for name in names if name != PLUGIN
    ]
    config = f"{wiring.config}/{OWN_FILE}" if wiring.directory else wiring.config
    content = _config(host, config, wish.entries, gone, minor, old)
    # A new one is for root alone, as the kubelet is: a proxy in it may have a password.
    found.append(Step(Write(config, content, 0o600), CONFIG))
    found += [Step(edit, FLAGS) for edit in wiring.flags]
    found += [Step(_before_start(name, program), FLAGS) for name in wiring.units]
    found += [Step(Remove(f"{wiring.bin_dir}/{name}"), NAME) for name in gone if name != PLUGIN]
    return found


def _had(state: State) -> Sequence[str]:
    """Names that entries of ours may have now: any, after a change that was broken off."""
    if state.installed is None:
        return ()
    whole = state.change is None or state.change.finished
    return tuple(state.installed.cache_types) if whole else state.installed.names


def _before_start(name: str, program: str) -> Write:
    """What has a unit run `node reconcile` before its kubelet; never in the way of its start."""
    content = systemd.reconcile_drop_in((program, "node", "reconcile"))
    return Write(f"{systemd.FOLDER}/{name}.d/{systemd.RECONCILE_DROP_IN}", content.encode())


def _refuse_stranger(host: Host, state: State, path: str, program: str) -> None:
    """Whatever has one of our names and is neither ours nor a program that we replace."""
    there = now(host.root, path)
    ours = {file.path for file in (state.installed.files if state.installed else ())}
    stranger = bool(there.link) if path == program else not there.absent and there.link != PLUGIN
    if stranger and posixpath.normpath(path) not in ours:
        what = f"a link to {there.link}" if there.link else "a file"
        raise Refused(
            f"{path}: is {what}, not ours. Fix: remove it, or give our entry another name"
        )


def _config(
    host: Host,
    path: str,
    entries: Sequence[Entry],
    gone: Sequence[str],
    minor: Minor,
    cache_types: Mapping[str, str],
) -> bytes:
    """The file with our entries, and without those that we have no more. Raises Refused."""
    ours = [entry.for_minor(one, minor, cache_types.get(one["name"])) for one in entries]
    content = host.root.read(path)
    if content is None:
        return splice.whole(ours, _COMMENT).encode()
    try:
        text = splice.put(text_of(content), ours)
        return splice.cut(text, gone).encode()
    except (Unreadable, splice.Unspliced) as error:
        raise Refused(
            f"{path}: our entry cannot be put into it: {error}. Fix: correct the file, or delete it"
            " if nothing needs it: it is then written anew"
        ) from None


def _check(
    host: Host,
    wiring: "Wiring",
    wished: Sequence[Step],
    kubelet: "Kubelet | None",
    minor: Minor,
) -> None:
    """Refuse what the kubelet would end on, or could not run."""
    if wiring.directory and minor < HASHED:
        raise Refused(
            f"{wiring.config}: a kubelet of {minor[0]}.{minor[1]} reads no folder of"
            " configurations. Fix: upgrade it to 1.34, or give it one file"
        )
    planned = Planned(host.root, [act.real(host, step) for step in wished])
    reader = Reader(
        minor=minor,
        gates=with_our_flags(minor, kubelet.gates if kubelet else {}),
        executable=lambda name: planned.executable(f"{wiring.bin_dir}/{name}"),
    )
    found = problems(planned.config(wiring.config), reader)
    if found:
        raise Refused(
            "the kubelet would not start on the configuration: "
            + "; ".join(found)
            + ". Fix: correct what is named, then try again"
        )


def _install(
    host: Host,
    state: State,
    wiring: "Wiring",
    wished: Sequence[Step],
    left: Sequence[Step],
    kubelet: "Kubelet | None",
    minor: Minor,
    wish: Wish,
) -> None:
    settled = _record(host, state, wiring, wished, minor, wish)
    restart = _restart_is_due(state, left, kubelet)
    broken_off = state.change is not None and not state.change.finished
    if not left and state.installed == settled and not restart and not broken_off:
        _keep_program(host, wish)
        host.say("all is there already; nothing is changed")
        return
    if restart and host.restart and kubelet is not None:
        act.ready_to_restart(host)
    state = act.begun(host, state, "install", left, settled, kubelet)
    programs = [step for step in left if step.role in (PROVIDER, NAME) and _adds(step)]
    may_know = wiring if broken_off and act.can_restart(host) else None
    with back.if_it_fails(host, state, may_know):
        act.edit(host, programs)
        _probe(host, wiring, wish)
        host.store.keep_program(wish.program)  # only now: it is to go back where another fails
        if restart and kubelet and host.restart:
            act.arm(host, wiring)
        act.edit(host, [step for step in left if step not in programs])
    for step in left:
        host.say(f"{step.edit.path}: {'written' if _adds(step) else 'removed'}")
    if restart and kubelet and host.restart:
        try:
            act.restart(host, kubelet, wiring, Planned(host.root).hash(wiring.config, minor))
            _see_that_it_is_given(host, wiring, minor)
        except Failed as error:
            back.recover(host, state, kubelet, wiring, error)
        act.end(host, finished(state, restarted=True))
        host.say("the kubelet was restarted and is well")
        return
    act.end(host, finished(state, restarted=not restart))
    if restart:
        host.say(act.not_restarted(host))


def _keep_program(host: Host, wish: Wish) -> None:
    """Mend the copy that goes back, if it is another one. Raises Refused."""
    try:
        host.store.keep_program(wish.program)
    except OSError as error:
        raise Refused(act.cannot(error)) from None


def _see_that_it_is_given(host: Host, wiring: "Wiring", minor: Minor) -> None:
    """Raise Failed where the kubelet that was restarted has another configuration than ours.

    Its hash, where that can be seen, tells of one that has any.
    """
    from gcp_sa_credential_provider.node import kubelet

    try:
        there = kubelet.running(host.root, act.PROC, minor=minor)
    except Refused:
        return  # it was well a moment ago, and is not to be told apart from another right now
    found = kubelet.led_elsewhere(host.root, there, wiring.config, wiring.bin_dir) if there else []
    if found:
        raise Failed(
            f"{'; '.join(found)}. Fix: see what gives it its flags after ours does, a drop-in for"
            f" instance (systemctl cat {wiring.units[0]})."
        )


def _adds(step: Step) -> bool:
    return not isinstance(step.edit, Remove)


def _restart_is_due(state: State, left: Sequence[Step], kubelet: "Kubelet | None") -> bool:
    if any(step.role in (CONFIG, FLAGS) for step in left):
        return True
    last = state.change
    if last is None or kubelet is None:
        return False
    return last.touched() and last.unread(kubelet.started)


def _record(
    host: Host,
    state: State,
    wiring: "Wiring",
    wished: Sequence[Step],
    minor: Minor,
    wish: Wish,
) -> Installed:
    """What will be remembered, with what was there before the first installation."""
    old = state.installed
    known = {file.path: file for file in (old.files if old else ())}
    begun = {file.path: file for file in (state.change.files if state.change else ())}
    edits = [(act.real(host, step), step.role) for step in wished]
    for edit, role in edits:
        before = known.get(edit.path) or begun.get(edit.path)
        known[edit.path] = File(
            path=edit.path,
            role=role,
            before=before.before if before else now(host.root, edit.path),
            after=change.after(host.root, edit),
        )
    folders = change.missing_folders(host.root, [edit for edit, _ in edits])
    made = [*(old.folders if old else ()), *(state.change.folders if state.change else ())]
    config = next(edit.path for edit, role in edits if role == CONFIG)
    remembered = old.cache_types if old else {}
    names = [*(old.names if old else ()), *(one["name"] for one in wish.entries)]
    return Installed(
        version=VERSION,
        profile=wiring.profile,
        given=wiring.config,
        directory=wiring.directory,
        config=config,
        bin_dir=wiring.bin_dir,
        units=tuple(wiring.units),
        server=wiring.server,
        version_of=tuple(wiring.version),
        minor=minor,
        cache_types={
            one["name"]: entry.cache_type(one) or remembered.get(one["name"], "")
            for one in wish.entries
        },
        files=tuple(known.values()),
        folders=tuple(dict.fromkeys([*made, *folders])),
        taken=tuple(dict.fromkeys(names)),
    )


def _probe(host: Host, wiring: "Wiring", wish: Wish) -> None:
    """Have the node run the program as its kubelet will. Raises OSError, Failed."""
    if not host.live:
        return
    for line in check.exposed(host.root, wiring.config):
        host.say(line)  # it was so before us, and may be wanted: MicroK8s has a group for it
    program = f"{wiring.bin_dir}/{PLUGIN}"
    try:
        for line in check.set_label(host.root, program):
            host.say(line)
        found = check.problems(host.root, program, wiring.bin_dir)
        for one in wish.entries if not found else ():
            path = f"{wiring.bin_dir}/{one['name']}"
            found += check.run_once(host.root, path, _environment(one))
    except Failed as error:
        found = [str(error)]
    if found:
        raise Failed(f"{' '.join(found)}.")


def _environment(one: Entry) -> dict[str, str]:
    """What the kubelet adds for the entry; not the proxy, which may have a password."""
    listed = {variable["name"]: variable["value"] for variable in one.get("env") or []}
    return {name: value for name, value in listed.items() if not name.lower().endswith("_proxy")}

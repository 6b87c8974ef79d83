"""The way back behind a change of a node: after what failed, and for `node rollback`.

Imports `act` and `undo`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

from gcp_sa_credential_provider.node import act, entry, splice, undo
from gcp_sa_credential_provider.node.act import Host, Step, cannot
from gcp_sa_credential_provider.node.change import Write
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.entry import Minor
from gcp_sa_credential_provider.node.failure import Failed
from gcp_sa_credential_provider.node.planned import Planned
from gcp_sa_credential_provider.node.state import CONFIG, FOLDER, Change, State

if TYPE_CHECKING:
    from gcp_sa_credential_provider.node.kubelet import Kubelet
    from gcp_sa_credential_provider.node.profile import Wiring


@contextlib.contextmanager
def if_it_fails(host: Host, state: State, wiring: "Wiring | None" = None) -> Iterator[None]:
    """What fails in the block takes all back behind the change. Raises Failed.

    `wiring`: where a kubelet may have read some of the change; it is restarted then.
    """
    try:
        yield
    except OSError as error:
        why = cannot(error)
    except Failed as error:
        why = str(error)
    else:
        return
    host.say(f"{why}; going back")
    try:
        after = go_back(host, state)
    except Failed as error:
        raise Failed(f"{why} Then, on the way back: {error}") from None
    try:
        gone_back(host, after, wiring)
        act.disarm(host)
    except Failed as error:
        raise Failed(f"{why} All files are back as they were, but: {error}") from None
    restarted = ", and the kubelet was restarted" if wiring else ""
    raise Failed(f"{why} All is back as it was{restarted}")


def go_back(host: Host, state: State) -> State:
    """Bring all files back behind the last change. Raises Failed.

    The change stays remembered, so that a way back that is broken off before its restart is gone
    again; what is to be remembered after that is returned.
    A node that starts comes first: where others' edits cannot be told from ours, a copy of the file
    is set aside and its former bytes are put back.
    """
    last = state.change
    if last is None:
        return state
    of = state.installed or last.previous
    types = dict.fromkeys(of.names if of else (), "")
    types |= last.previous.cache_types if last.previous else {}
    # By `reconcile`, of what minor the kubelet has become since.
    minor = of.minor if of else entry.OLDEST
    try:
        act.edit(host, _ways_back(host, last, types, minor), reload=_reload_if_it_can)
        act.remove_folders(host, last.folders)
    except OSError as error:
        raise Failed(f"{cannot(error)} The way back stops here; run `node rollback` then") from None
    return State(last.previous and replace(last.previous, minor=minor), None)


def gone_back(host: Host, after: State, wiring: "Wiring | None" = None) -> None:
    """Restart the kubelet after `go_back`, if it is told how, and forget the change. Raises Failed.

    It is forgotten as well where the restart fails: nothing is left to be brought back.
    """
    try:
        if wiring is not None:
            act.restart_only(host, wiring)
    except Failed:
        _forget_change(host, after)
        raise
    _forget_change(host, after)


def _forget_change(host: Host, after: State) -> None:
    try:
        act.forget(host, after)
    except OSError as error:
        raise Failed(f"{cannot(error)} All else is done; run `node rollback` then") from None


def _ways_back(host: Host, last: Change, types: Mapping[str, str], minor: Minor) -> Iterator[Step]:
    """Each place's, looked at when its turn comes. Raises OSError, Failed."""
    store = host.store
    for file in reversed(last.files):
        host.root.sweep(file.path)
        try:
            edit = undo.careful(host.root, store, file, types).edit
        except undo.Entangled as error:
            aside = f"{FOLDER}/aside-{file.path.strip('/').replace('/', '-')}"
            host.root.write(aside, host.root.read(file.path) or b"", 0o600)
            host.say(f"{error}; the whole file goes back, a copy of it is {aside}")
            edit = undo.exact(host.root, store, file)
        if isinstance(edit, Write) and file.role == CONFIG:
            edit = _fitting(edit, types, minor)
        if edit is not None:
            yield Step(edit, file.role)


def _fitting(edit: Write, types: Mapping[str, str], minor: Minor) -> Write:
    """For the kubelet that starts next; `reconcile` stands aside while the node is changed."""
    try:
        return replace(edit, content=entry.fitted(edit.content, types, minor))
    except (Unreadable, splice.Unspliced):
        return edit  # what it was, whatever that is


def _reload_if_it_can(host: Host) -> None:
    try:
        act.reload(host)
    except Failed as failed:  # what else there is to bring back may be what is at fault
        host.say(f"{failed}; going on")


def recover(host: Host, state: State, before: "Kubelet", wiring: "Wiring", why: Failed) -> NoReturn:
    """Go back behind the change after a restart that failed. Raises Failed."""
    host.say(f"{why}; going back")
    previous = state.change.previous if state.change else None
    after = go_back(host, state)
    given = previous.given if previous else before.config
    expected = Planned(host.root).hash(given, before.minor) if given else None
    present = act.running_all_the_same(host, before.minor) or before
    try:
        gone_back(host, after, wiring)
        act.wait(host, present, wiring, expected)
    except Failed as error:
        raise Failed(f"{why} All files are back as they were, but: {error}") from None
    finally:
        act.disarm(host)
    raise Failed(f"{why} All is back as it was, and the kubelet is well") from None

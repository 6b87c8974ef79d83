"""The way back: what brings a place back to what was there before, past edits of others.

Imports `change`, `entry`, `splice`, `state`. A place that still is as we left it gets its former
bytes. In one that somebody has edited since, only what we put is taken away: entries from a
configuration, lines from any other file.
"""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gcp_sa_credential_provider.node import splice
from gcp_sa_credential_provider.node.change import Edit, Link, Remove, Write, now
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.entry import text_of
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.state import File, Store

_TOLD_APART = 1 << 20  # bytes; nothing larger is edited by hand


class Entangled(Exception):  # noqa: N818 -- said of the file
    """What others did there cannot be told from what we did; `str()` says where and why."""


@dataclass(frozen=True)
class Back:
    """One place's way back."""

    edit: Edit | None
    """None where it is there already."""
    stays: bool = False
    """Whether a file that we made stays, since others have put something of theirs into it."""


def exact(root: Root, store: Store, file: File) -> Edit | None:
    """The edit that puts back what was there before, whatever is there now. Raises Failed."""
    if now(root, file.path) == file.before:
        return None
    return _former(store, file)


def careful(root: Root, store: Store, file: File, names: Collection[str]) -> Back:
    """The same, but what others did there since stays; `names` are those of our entries.

    Raises Entangled, Failed.
    """
    present = now(root, file.path)
    if present == file.before:
        return Back(None)
    edited = bool(present.sha256) and present.sha256 != file.after.sha256
    if edited and file.role == "config":
        return without_entries(root, file, names, former_entries(store, file, names))
    if edited and file.role == "flags" and file.after.sha256:
        return Back(_without_lines(root, store, file))
    return Back(_former(store, file))


def without_entries(
    root: Root, file: File, names: Collection[str], former: Sequence[splice.Entry] = ()
) -> Back:
    """Take our entries out of a configuration, and put `former` ones back. Raises Entangled."""
    content = root.read(file.path)
    if content is None:
        return Back(None)
    try:
        text = text_of(content)
        text = splice.put(text, former) if former else text
        left = splice.cut(text, set(names) - {entry["name"] for entry in former})
    except splice.LastOne as error:
        if file.before.absent:
            return Back(Remove(file.path))
        raise Entangled(f"{file.path}: {error}") from None
    except (Unreadable, splice.Unspliced) as error:
        raise Entangled(f"{file.path}: {error}") from None
    edit = None if left.encode() == content else Write(file.path, left.encode())
    return Back(edit, stays=file.before.absent)


def former_entries(store: Store, file: File, names: Collection[str]) -> list[splice.Entry]:
    """The entries whose names ours have taken. Raises Failed."""
    if not file.before.sha256:
        return []
    try:
        found = splice.entries(text_of(store.former(file.before)))
    except (Unreadable, splice.Unspliced):
        return []
    return [entry for entry in found if isinstance(entry, dict) and entry.get("name") in names]


def _former(store: Store, file: File) -> Edit:
    if file.before.absent:
        return Remove(file.path)
    if file.before.link:
        return Link(file.path, file.before.link)
    return Write(file.path, store.former(file.before), file.before.mode)


def _without_lines(root: Root, store: Store, file: File) -> Edit:
    """Undo our hunks, each where its lines still are. Raises Entangled."""
    content = root.read(file.path) or b""
    before = store.former(file.before) if file.before.sha256 else b""
    ours = store.former(file.after)
    if max(map(len, (content, before, ours))) > _TOLD_APART:
        raise Entangled(f"{file.path}: {len(content)} bytes are more than a file of settings has")
    lines, old, new = (some.splitlines(keepends=True) for some in (content, before, ours))
    matcher = difflib.SequenceMatcher(None, old, new, autojunk=False)
    for kind, old_start, old_end, new_start, new_end in reversed(matcher.get_opcodes()):
        if kind == "equal":
            continue
        context = new[max(0, new_start - 1) : new_start]
        at = _place(lines, [*context, *new[new_start:new_end]])
        if at is None:
            raise Entangled(
                f"{file.path}: somebody has edited what was put there (line {new_start + 1})"
            )
        at += len(context)
        lines[at : at + new_end - new_start] = old[old_start:old_end]
    left = b"".join(lines)
    return Remove(file.path) if file.before.absent and not left else Write(file.path, left)


def _place(lines: list[bytes], wanted: list[bytes]) -> int | None:
    """Where these lines are, if they are there once."""
    last = len(lines) - len(wanted)
    found = [at for at in range(last + 1) if lines[at : at + len(wanted)] == wanted]
    return found[0] if wanted and len(found) == 1 else None

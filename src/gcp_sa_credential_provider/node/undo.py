"""The way back: what brings a place back to what was there before, past edits of others.

Imports `change`, `entry`, `splice`, `state`. A place that still is as we left it gets its former
bytes. In one that somebody has edited since, only what we put is taken away: entries from a
configuration, lines from any other file.
"""

import difflib
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from gcp_sa_credential_provider.node import splice
from gcp_sa_credential_provider.node.change import Edit, Link, Remove, Write, digest, now
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.entry import text_of
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.state import File, Store

_PLACE = re.compile(rb"[^\s\"'=]*credential-provider[^\s\"'=]*")
"""What flags of ours name, and the flags; a gate that is left does no harm."""
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
    if present == file.before or _never_written(store, file):
        return Back(None)
    edited = bool(present.sha256) and present.sha256 != file.after.sha256
    if edited and file.role == "config":
        whole = former_text(store, file)
        return without_entries(root, file, names, former_entries(whole, names), whole)
    if edited and file.role == "flags" and file.after.sha256:
        return Back(_without_lines(root, store, file))
    return Back(_former(store, file))


def without_entries(
    root: Root,
    file: File,
    names: Collection[str],
    former: Sequence[splice.Entry] = (),
    whole: str = "",
) -> Back:
    """Take our entries out of a configuration, and put `former` ones back. Raises Entangled.

    `whole`: the text that these were in.
    """
    content = root.read(file.path)
    if content is None:
        return Back(None)
    try:
        text = text_of(content)
        left = _as_it_was(text, names, former, whole) if former else None
        if left is None:
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


def _as_it_was(
    text: str, names: Collection[str], former: Sequence[splice.Entry], whole: str
) -> str | None:
    """The text of before with its own comments, if all that was done to it is what we did."""
    try:
        ours = [one for one in splice.entries(text) if _is(one, names)]
        given_up = set(names) - {one["name"] for one in ours}
        done = splice.cut(splice.put(whole, ours), given_up)
        return splice.put(whole, former) if done == text else None
    except (Unreadable, splice.Unspliced):
        return None


def former_text(store: Store, file: File) -> str:
    """What was in the file before; "" where it was not there, or is no text. Raises Failed."""
    try:
        return text_of(_former_bytes(store, file)) if file.before.sha256 else ""
    except Unreadable:
        return ""


def _former_bytes(store: Store, file: File) -> bytes:
    """What was in the file before, which may be there itself. Raises Failed."""
    there = store.root.read(file.path)
    if there is not None and (digest(there) == file.before.sha256 or _never_written(store, file)):
        return there
    return store.former(file.before)


def _never_written(store: Store, file: File) -> bool:
    """Whether a file was as we wanted it from the first; what is there now is others'.

    An older release kept no bytes of such a file. Of one that was written there are some.
    """
    same = bool(file.before.sha256) and file.before.sha256 == file.after.sha256
    return same and not store.has(file.before)


def former_entries(whole: str, names: Collection[str]) -> list[splice.Entry]:
    """Of that text, the entries whose names ours have taken."""
    try:
        return [one for one in splice.entries(whole) if _is(one, names)]
    except (Unreadable, splice.Unspliced):
        return []


def _is(one: object, names: Collection[str]) -> bool:
    return isinstance(one, dict) and one.get("name") in names


def _former(store: Store, file: File) -> Edit:
    if file.before.absent:
        return Remove(file.path)
    if file.before.link:
        return Link(file.path, file.before.link)
    return Write(file.path, store.former(file.before), file.before.mode)


def _without_lines(root: Root, store: Store, file: File) -> Edit | None:
    """Undo our hunks, each where its lines still are; None where nothing is of ours any more.

    Raises Entangled.
    """
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
            if not any(place in content for place in _places(ours) - _places(before)):
                return None  # somebody has taken it out, or has written the file anew
            raise Entangled(
                f"{file.path}: somebody has edited what was put there (line {new_start + 1})"
            )
        at += len(context)
        lines[at : at + new_end - new_start] = old[old_start:old_end]
    left = b"".join(lines)
    return Remove(file.path) if file.before.absent and not left else Write(file.path, left)


def _places(text: bytes) -> set[bytes]:
    return {found for found in _PLACE.findall(text) if not found.startswith(b"--")}


def _place(lines: list[bytes], wanted: list[bytes]) -> int | None:
    """Where these lines are, if they are there once."""
    last = len(lines) - len(wanted)
    found = [at for at in range(last + 1) if lines[at : at + len(wanted)] == wanted]
    return found[0] if wanted and len(found) == 1 else None

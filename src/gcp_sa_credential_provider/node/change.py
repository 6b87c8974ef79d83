"""What is to be changed in a host's files, as data; doing it, and telling it beforehand.

Imports `files`. An edit says what shall be there afterwards, whatever is there now; one that is
there already is none.
"""

import difflib
import hashlib
import posixpath
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gcp_sa_credential_provider.node.files import Root

_USER_INFO = re.compile(r"(://|(?i:_proxy)=[\"']?)[^\s\"']*@")
_NAME = re.compile(r"\bname[\"']?\s*:\s*[\"']?([\w.-]+)")
_VALUE = re.compile(r"(\bvalue[\"']?\s*:\s*).*")
_PUBLIC = ("GCP_", "SSL_CERT_", "NO_PROXY")
"""Variables of an entry that hold no secret: ours, but for the proxy."""
_OF_A_SNAP = re.compile(r"/var/snap/[^/]+/current/")


@dataclass(frozen=True)
class Write:
    """A file with this content; `mode` is for a new one."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symbolic link."""

    path: str
    target: str


@dataclass(frozen=True)
class Remove:
    """Neither file nor link."""

    path: str


Edit = Write | Link | Remove


@dataclass(frozen=True)
class Was:
    """What is at a path: a file, a link, or nothing (neither `sha256` nor `link`)."""

    sha256: str = ""
    """Of a file's content, in hex."""
    mode: int = 0
    link: str = ""
    """Where it points to."""

    @property
    def absent(self) -> bool:
        """Whether there is nothing."""
        return not (self.sha256 or self.link)


def digest(content: bytes) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def now(root: Root, path: str) -> Was:
    """What is there. Raises OSError, also where it is neither a file nor a link."""
    status = root.lstat(path)
    if status is None:
        return Was()
    if stat.S_ISLNK(status.st_mode):
        return Was(link=root.readlink(path) or "")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(0, "is neither a file nor a link", path)
    return Was(digest(root.read(path) or b""), stat.S_IMODE(status.st_mode))


def after(root: Root, edit: Edit) -> Was:
    """What will be there."""
    if isinstance(edit, Remove):
        return Was()
    if isinstance(edit, Link):
        return Was(link=edit.target)
    there = now(root, edit.path)
    return Was(digest(edit.content), there.mode if there.sha256 else edit.mode)


def is_done(root: Root, edit: Edit) -> bool:
    """Whether it is there already."""
    return now(root, edit.path) == after(root, edit)


def settled(root: Root, edit: Edit) -> Edit:
    """The edit with its real place: what a link leads to is written, a link itself is replaced.

    What a snap has keeps its name: each refresh copies it to where `current` leads from then on.
    """
    follows = isinstance(edit, Write) and root.readlink(edit.path) is not None
    if _OF_A_SNAP.match(edit.path) and not follows:
        return edit
    if isinstance(edit, Write):
        return Write(root.resolve(edit.path), edit.content, edit.mode)
    folder, name = posixpath.split(edit.path)
    path = posixpath.join(root.resolve(folder), name)
    return Link(path, edit.target) if isinstance(edit, Link) else Remove(path)


def do(root: Root, edit: Edit) -> None:
    """Make it so; folders that are missing are made. Raises OSError."""
    if isinstance(edit, Remove):
        root.remove(edit.path)
        return
    root.mkdir(posixpath.dirname(edit.path))
    if isinstance(edit, Link):
        root.link(edit.path, edit.target)
    else:
        root.write(edit.path, edit.content, edit.mode)


def missing_folders(root: Root, edits: Sequence[Edit]) -> list[str]:
    """Folders that these edits will make, outer ones first."""
    found: set[str] = set()
    for edit in edits:
        folder = "/" if isinstance(edit, Remove) else posixpath.dirname(edit.path)
        while root.stat(folder) is None:
            found.add(folder)
            folder = posixpath.dirname(folder)
    return sorted(found)


def _is_program(content: bytes) -> bool:
    return content.startswith(b"#!") or b"\0" in content


def told(root: Root, edit: Edit) -> Iterator[str]:
    """The edit in lines for people: a unified diff where it is one of texts."""
    before = root.read(edit.path) if now(root, edit.path).sha256 else None
    if isinstance(edit, Remove):
        content = None
    elif isinstance(edit, Link):
        yield f"{edit.path} -> {edit.target} (link)\n"
        return
    else:
        content = edit.content
    if any(_is_program(some) for some in (before, content) if some):
        size = f"program, {len(content)} bytes, sha256 {digest(content)}" if content else "removed"
        yield f"{edit.path}: {size}\n"
        return
    if content is None and before is None:
        yield f"{edit.path}: removed (link)\n"
        return
    old, new = (
        list(_without_secrets(some.decode("utf-8", "replace")))
        for some in (before or b"", content or b"")
    )
    names = ["/dev/null" if some is None else edit.path for some in (before, content)]
    # Without context: what stands around it is others' and may be secret.
    for line in difflib.unified_diff(old, new, names[0], names[1], n=0):
        yield line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n"


def _without_secrets(text: str) -> Iterator[str]:
    """The lines, without user-info in addresses and without values of variables but ours."""
    name = ""
    for line in text.splitlines(keepends=True):
        shown = _USER_INFO.sub(r"\1***@", line)
        names = _NAME.findall(line)
        name = names[-1] if names else name
        if not all(one.startswith(_PUBLIC) for one in names or [name]):
            shown = _VALUE.sub(r"\1***", shown)
        if _VALUE.search(line):
            name = ""
        yield shown

"""A host's tree as it will be once edits are done: what the kubelet will read, before it is there.

Imports `change`, `files`, `validate`.
"""

import posixpath
import stat
from collections.abc import Iterable

from gcp_sa_credential_provider.node.change import Edit, Link, Remove, Write
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.validate import ENDINGS, File, config_hash

HASHED = (1, 34)
"""The first minor that tells its configuration's hash, and the first that takes a folder."""


class Planned:
    """The tree; with no edits it is the one that is there."""

    def __init__(self, root: Root, edits: Iterable[Edit] = ()) -> None:
        self._root = root
        self._edits = {self._place(edit.path): edit for edit in edits}

    def read(self, path: str) -> bytes | None:
        """A file's content; None where there is none. Raises OSError."""
        edit = self._edit(path)
        if isinstance(edit, Write):
            return edit.content
        if isinstance(edit, Link):
            return self.read(posixpath.join(posixpath.dirname(edit.path), edit.target))
        return None if edit else self._root.read(path)

    def executable(self, path: str) -> bool:
        """Whether it is a program: exec.LookPath, as root."""
        edit = self._edit(path)
        if isinstance(edit, Link):
            return self.executable(posixpath.join(posixpath.dirname(edit.path), edit.target))
        if isinstance(edit, Remove):
            return False
        there = self._root.stat(path)
        if there is not None:
            return stat.S_ISREG(there.st_mode) and bool(there.st_mode & 0o111)
        return isinstance(edit, Write) and bool(edit.mode & 0o111)

    def config(self, given: str) -> list[File]:
        """The files that a kubelet reads which is given this path, in its order."""
        here = self._root.resolve(given)
        new = {path for path in self._edits if posixpath.dirname(path) == here}
        there = self._root.stat(here)
        if not new and not (there is not None and stat.S_ISDIR(there.st_mode)):
            content = self.read(given)
            return [] if content is None else [File(given, content)]
        paths = new | {posixpath.join(here, name) for name in self._root.listdir(here)}
        named = sorted(path for path in paths if path.endswith(ENDINGS) and self._is_file(path))
        return [File(path, self._content(path)) for path in named]

    def hash(self, given: str, minor: tuple[int, int]) -> str | None:
        """What the kubelet is to call that; None where it does not say, or has nothing."""
        contents = [file.content for file in self.config(given)]
        there = [content for content in contents if content is not None]
        if minor < HASHED or not there or len(there) < len(contents):
            return None
        return config_hash(there)

    def _content(self, path: str) -> bytes | None:
        try:
            return self.read(path)
        except IsADirectoryError:  # a link to one: the kubelet takes it for a file, and ends
            return None

    def _is_file(self, path: str) -> bool:
        """Or a link, wherever it leads."""
        if path in self._edits:
            return not isinstance(self._edits[path], Remove)
        status = self._root.lstat(path)
        return status is not None and not stat.S_ISDIR(status.st_mode)

    def _edit(self, path: str) -> Edit | None:
        return self._edits.get(self._place(path)) or self._edits.get(self._root.resolve(path))

    def _place(self, path: str) -> str:
        folder, name = posixpath.split(path)
        return posixpath.join(self._root.resolve(folder), name)

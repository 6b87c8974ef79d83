"""A host's files: the machine's own, those of the host around a pod, or a tree of another machine.

Imports the standard library. Every path is absolute and means what it means on that host: links are
followed inside its tree, so that an absolute one does not lead out of `/proc/1/root` (as openat2(2)
has it with RESOLVE_IN_ROOT). Only root may write where these commands do, so that a path does not
change between being resolved and being opened; the last step never follows a link all the same.

What is written survives a power cut: a file is complete under a name of its own, and on the disk,
before it takes its place (rename(2)), and its folder is written out after that. A process that is
killed in between leaves that other name behind, always the same one, which `sweep` removes.
"""

import contextlib
import errno
import os
import posixpath
import stat
from collections.abc import Iterator
from pathlib import Path

_MOST_LINKS = 40  # as the kernel (path_resolution(7))
_LABEL = "security.selinux"
_ACCESS = "system.posix_acl_access"
_NOT_THERE = (errno.ENODATA, errno.EOPNOTSUPP, errno.ENOSYS)


class Root:
    """A host's file tree."""

    def __init__(self, path: Path) -> None:
        self.path = path
        """Of the tree, as this process sees it."""

    def resolve(self, path: str) -> str:
        """The path with all links followed, inside the tree; what is missing stays as it is named.

        Raises OSError: a loop of links, or a part that is no folder.
        """
        return self._resolve(path, last=True)

    def passed(self, path: str) -> list[str]:
        """All folders that are passed through on the way to it, those of links too, sorted.

        Raises OSError.
        """
        folders: set[str] = set()
        self._resolve(path, last=True, folders=folders)
        return sorted(folders)

    def outside(self, path: str) -> Path:
        """Where this process finds it; to name it, or to give it to another program."""
        return self._here(self.resolve(path))

    def read(self, path: str) -> bytes | None:
        """A file's content; None where there is none. Raises OSError."""
        try:
            descriptor = os.open(self.outside(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            with os.fdopen(descriptor, "rb") as file:
                return file.read()
        except OSError as error:  # which knows no name
            raise OSError(error.errno, error.strerror, path) from None

    def stat(self, path: str) -> os.stat_result | None:
        """Of what the path leads to; None where there is nothing. Raises OSError."""
        return self._stat(self.resolve(path))

    def lstat(self, path: str) -> os.stat_result | None:
        """Of the path's last part itself, be it a link; None where there is nothing."""
        return self._stat(self._resolve(path, last=False))

    def listdir(self, path: str) -> list[str]:
        """Names in a folder, sorted; none where there is no folder. Raises OSError."""
        try:
            return sorted(found.name for found in self.outside(path).iterdir())
        except (FileNotFoundError, NotADirectoryError):
            return []

    def readlink(self, path: str) -> str | None:
        """Where a link points to, as it is written; None where there is no link."""
        try:
            # pathlib would tidy up what is written.
            return os.readlink(self._here(self._resolve(path, last=False)))  # noqa: PTH115
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL):
                return None
            raise

    def writable(self, path: str) -> bool:
        """Whether a file may be made at the path; folders that are missing are taken for made."""
        folder = posixpath.dirname(self.resolve(path))
        while self.stat(folder) is None:
            folder = posixpath.dirname(folder)
        return os.access(self.outside(folder), os.W_OK | os.X_OK, effective_ids=True)

    def write(self, path: str, content: bytes, mode: int) -> None:
        """Replace a file's content, or make it; where the path is a link, what it leads to.

        What it replaces keeps owner, mode, SELinux label and access control list; `mode` is for a
        new file. Raises OSError.
        """
        real = self.resolve(path)
        before = self._stat(real)
        if before is not None and not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "is no regular file", path)
        with self._placed(real) as temporary:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            descriptor = os.open(temporary, flags, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                if before is None:
                    os.fchmod(descriptor, mode)
                else:
                    _take_over(self._here(real), stat.S_IMODE(before.st_mode), descriptor)
                    os.fchown(descriptor, before.st_uid, before.st_gid)
                os.fsync(descriptor)

    def link(self, path: str, target: str) -> None:
        """Make or replace a symbolic link. Raises OSError."""
        real = self._resolve(path, last=False)
        before = self._stat(real)
        if before is not None and stat.S_ISDIR(before.st_mode):
            raise OSError(errno.EISDIR, "is a folder", path)
        with self._placed(real) as temporary:
            temporary.symlink_to(target)

    def remove(self, path: str) -> None:
        """Remove a file or a link (not what it leads to), if it is there. Raises OSError."""
        here = self._here(self._resolve(path, last=False))
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            here.unlink()
            _sync(here.parent)

    def mkdir(self, path: str, mode: int = 0o755) -> list[str]:
        """Make a folder, and those above it, where they are missing; which ones these were.

        `mode` is the last one's; the others are for everybody.
        """
        made: list[str] = []
        missing = [self.resolve(path)]
        while self._stat(missing[-1]) is None:
            missing.append(posixpath.dirname(missing[-1]))
        for folder in missing[-2::-1]:
            here, its = self._here(folder), mode if folder == missing[0] else 0o755
            here.mkdir(its)
            here.chmod(its)  # whatever the umask
            _sync(here.parent)
            made.append(folder)
        return made

    def rmdir(self, path: str) -> bool:
        """Remove a folder if it is there and empty; whether it is gone. Raises OSError."""
        here = self._here(self._resolve(path, last=False))
        try:
            here.rmdir()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.EBUSY):
                return False
            raise
        _sync(here.parent)
        return True

    def sweep(self, path: str) -> None:
        """Remove what a killed process left beside the path, if it did. Raises OSError."""
        for real in {self.resolve(path), self._resolve(path, last=False)}:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                _temporary(self._here(real)).unlink()

    def label(self, path: str) -> str | None:
        """A file's SELinux label; None where there is none."""
        return _label(self.outside(path))

    def set_label(self, path: str, label: str) -> None:
        """Give a file an SELinux label. Raises OSError."""
        os.setxattr(self.outside(path), _LABEL, label.encode() + b"\0", follow_symlinks=False)

    def _here(self, real: str) -> Path:
        return self.path / real.lstrip("/")

    def _stat(self, real: str) -> os.stat_result | None:
        try:
            return os.lstat(self._here(real))
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _resolve(self, path: str, *, last: bool, folders: set[str] | None = None) -> str:
        if not path.startswith("/"):
            raise ValueError(f"{path!r} is not absolute")
        left, real, links = path.split("/")[::-1], "/", 0
        while left:
            part = left.pop()
            if part in ("", "."):
                continue
            if part == "..":
                real = posixpath.dirname(real)
                continue
            if folders is not None:
                folders.add(real)
            following = posixpath.join(real, part)
            try:
                target = str(self._here(following).readlink()) if left or last else None
            except OSError:  # no link, or nothing there
                target = None
            if target is None:
                real = following
                continue
            links += 1
            if links > _MOST_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            left += target.split("/")[::-1]
            real = "/" if target.startswith("/") else real
        return real

    @contextlib.contextmanager
    def _placed(self, real: str) -> Iterator[Path]:
        """A name to make a file under, which then takes its place."""
        here = self._here(real)
        temporary = _temporary(here)
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        try:
            yield temporary
            temporary.rename(here)
            _sync(here.parent)
        except BaseException as error:
            with contextlib.suppress(OSError):
                temporary.unlink()
            if isinstance(error, OSError):  # it names the other file, or none (a full disk)
                raise OSError(error.errno, error.strerror, real) from None
            raise


def _temporary(here: Path) -> Path:
    """Beside it, under a name that no reader of folders takes: no .conf, .yaml, .json."""
    return here.with_name(f".{here.name[:200]}.gcp-sa-credential-provider-new")


def _label(file: Path) -> str | None:
    found = _attribute(file, _LABEL)
    return None if found is None else found.rstrip(b"\0").decode()


def _take_over(source: Path, mode: int, descriptor: int) -> None:
    """Give a file that is still ours the mode, label and access control list of another one.

    Once it is somebody else's that takes CAP_FOWNER.
    """
    access, label = _attribute(source, _ACCESS), _attribute(source, _LABEL)
    if access is None and _attribute(descriptor, _ACCESS) is not None:
        os.removexattr(descriptor, _ACCESS)  # which its folder has for new files
    os.fchmod(descriptor, mode)
    # After the mode, whose group is the list's mask (acl(5)).
    for name, value in ((_ACCESS, access), (_LABEL, label)):
        if value is not None and value != _attribute(descriptor, name):
            os.setxattr(descriptor, name, value)


def _attribute(file: Path | int, name: str) -> bytes | None:
    try:
        return os.getxattr(file, name)
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

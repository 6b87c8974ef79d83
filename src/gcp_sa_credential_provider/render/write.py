"""The directory of rendered files: compared, or brought to what was rendered.

Imports the standard library. The manifest, a file of that directory, lists what was written there:
of these files the next run removes those that are no longer made. Every other file belongs to
somebody else and is never touched. Symbolic links are not followed: a directory that came out of a
repository must not lead outside itself.
"""

import difflib
import fcntl
import os
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

MANIFEST = ".rendered"
"""Name of the list, in the directory."""
_STAGING = ".rendering"
# Every new file is complete here before the first one takes its place. A run that was killed leaves
# it behind; the next one clears it.
_HEAD = (
    "# what `gcp-sa-credential-provider render` wrote here; it removes what it no longer writes\n"
)
_PROGRAM, _PLAIN = 0o755, 0o644
_OWNER_RUNS = 0o100


class BadOut(Exception):  # noqa: N818 -- the directory is bad, not the program
    """A directory that cannot be used; `str()` has where, what and the remedy."""

    def __init__(self, where: Path, what: str, fix: str) -> None:
        super().__init__(where, what, fix)
        self.where = where
        self.what = what
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.where}: {self.what}. Fix: {self.fix}"


@dataclass(frozen=True)
class Changes:
    """What a run did, each as paths in the directory, sorted."""

    written: tuple[str, ...]
    removed: tuple[str, ...]


@dataclass(frozen=True)
class _Present:
    """A file as it is."""

    content: bytes
    mode: int


def manifest(files: Mapping[str, str]) -> str:
    """The list of these files, as it stands in the directory."""
    return _HEAD + "".join(f"{path}\n" for path in sorted(files))


def write(out: Path, files: Mapping[str, str]) -> Changes:
    """Make the directory hold these files, and none of a former run. Raises BadOut.

    Whatever can be found out before is: then nothing is changed. A run that is cut short is
    completed by the next one, since the manifest comes first.
    """
    with ExitStack() as undo:
        _make(out, undo)
        with _locked(out):
            former = _former(out)
            if former is None and _holds_files(out):
                raise BadOut(
                    out,
                    f"holds files, and no {MANIFEST}: they were not written by render",
                    "name a new or an empty directory",
                )
            changes = _wanted_changes(out, files, former or ())
            if changes.written or changes.removed:
                _apply(out, files, former or (), changes, undo)
            undo.pop_all()
    return changes


def compare(out: Path, files: Mapping[str, str]) -> str:
    """What `write` would change, as `diff -u` shows it; empty for nothing. Raises BadOut."""
    _check_directory(out)
    former = _former(out) or ()
    wanted = {**files, MANIFEST: manifest(files)}
    pieces = []
    for path in sorted({*wanted, *former}):
        present = _read(out, path)
        if path in wanted:
            pieces.append(_diff(out / path, present, wanted[path]))
        elif present is not None:
            pieces.append(_diff(out / path, present, None))
    return "".join(pieces)


def strangers(out: Path, files: Mapping[str, str]) -> list[str]:
    """Files in the directory that are not of render; folders without one of its, with `/`."""
    known = {MANIFEST, *files, *(_former(out) or ())}
    folders = {str(above) for path in known for above in PurePosixPath(path).parents}

    def within(folder: Path, prefix: str) -> Iterator[str]:
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            path = prefix + entry.name
            if not entry.is_dir(follow_symlinks=False):
                if path not in known:
                    yield path
            elif path in folders:
                yield from within(folder / entry.name, f"{path}/")
            elif path != _STAGING:
                yield f"{path}/"

    return list(within(out, "")) if out.is_dir() else []


def _mode(text: str) -> int:
    """Scripts are run as they lie there; all else is read."""
    return _PROGRAM if text.startswith("#!") else _PLAIN


def _differs(present: _Present, text: str) -> bool:
    """Bytes, and whether it runs: a clone has modes by its owner's umask, but for that bit."""
    return present.content != text.encode() or _runs(present) != (_mode(text) == _PROGRAM)


def _runs(present: _Present) -> bool:
    return bool(present.mode & _OWNER_RUNS)


def _check_directory(out: Path) -> None:
    """Raises BadOut unless it is a directory, or not there."""
    try:
        found = out.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadOut(out, f"cannot be used ({error.strerror})", "name another one") from None
    if stat.S_ISLNK(found.st_mode):
        raise BadOut(out, "is a symbolic link", "name the directory itself")
    if not stat.S_ISDIR(found.st_mode):
        raise BadOut(out, "is not a directory", "name a new or an empty directory")


def _make(out: Path, undo: ExitStack) -> None:
    """Make the directory, and those above it, unless they are there."""
    _check_directory(out)
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    for folder in reversed(missing):
        _new_folder(folder, undo)


def _new_folder(folder: Path, undo: ExitStack) -> None:
    """Make it, unless something is there."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    except OSError as error:
        raise _unwritable(folder, error) from None
    undo.callback(_remove_empty, folder)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # something is in it; or it stays, and does no harm
        folder.rmdir()


def _unwritable(path: Path, error: OSError) -> BadOut:
    fix = "correct its rights or make room, and run this again"
    return BadOut(path, f"cannot be written ({error.strerror})", fix)


@contextmanager
def _locked(out: Path) -> Iterator[None]:
    """One run at a time in one directory."""
    try:
        descriptor = os.open(out, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise BadOut(out, f"cannot be read ({error.strerror})", "correct its rights") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BadOut(out, "another run writes here", "wait until it has ended") from None
        except OSError as error:
            raise BadOut(
                out, f"cannot be locked ({error.strerror})", "name one on a local file system"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _holds_files(out: Path) -> bool:
    """Whether anything but folders is in it; what a killed run left does not count."""
    for folder, folders, names in os.walk(out):
        if Path(folder) == out:
            folders[:] = [name for name in folders if name != _STAGING]
        if names:
            return True
    return False


def _former(out: Path) -> tuple[str, ...] | None:
    """What the manifest lists; None without one. Raises BadOut."""
    present = _read(out, MANIFEST)
    if present is None:
        return None
    paths = []
    for number, line in enumerate(present.content.decode("utf-8", "replace").split("\n"), 1):
        if not line or line.startswith("#"):
            continue
        parts = line.split("/")
        if any(part in ("", ".", "..") for part in parts) or parts[0] in (MANIFEST, _STAGING):
            raise BadOut(
                out / MANIFEST,
                f"line {number} names no file of this directory",
                "restore it, or remove the whole directory and render again",
            )
        paths.append(line)
    return tuple(paths)


def _read(out: Path, path: str) -> _Present | None:
    """A regular file in the directory; None if it is not there. Raises BadOut."""
    place = out
    parts = path.split("/")
    for index, part in enumerate(parts):
        place /= part
        try:
            mode = place.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise BadOut(place, "is a symbolic link", "put a file or folder in its place")
            if index < len(parts) - 1 and not stat.S_ISDIR(mode):
                raise BadOut(place, "is a file, and a folder belongs here", "move it away")
        except FileNotFoundError:
            return None
        except OSError as error:
            what = f"cannot be read ({error.strerror})"
            raise BadOut(place, what, "correct its rights") from None
    if not stat.S_ISREG(mode):
        raise BadOut(place, "is no regular file, and a file belongs here", "move it away")
    try:
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            return _Present(file.read(), stat.S_IMODE(mode))
    except OSError as error:
        raise BadOut(place, f"cannot be read ({error.strerror})", "correct its rights") from None


def _wanted_changes(out: Path, files: Mapping[str, str], former: Sequence[str]) -> Changes:
    """What is to be done; everything that stands in the way is found here. Raises BadOut."""
    written = []
    for path, text in {**files, MANIFEST: manifest(files)}.items():
        present = _read(out, path)
        if present is not None and path != MANIFEST and path not in former:
            raise BadOut(
                out / path,
                "is there already, and was not written by render",
                "move it away, or rename the cluster or node group in fleet.yaml",
            )
        if present is None or _differs(present, text):
            written.append(path)
    removed = [path for path in {*former} - {*files} if _read(out, path) is not None]
    for path in (*written, *removed):
        folder = (out / path).parent
        if folder.is_dir() and not _may_write(folder):
            raise BadOut(folder, "cannot be written", "correct its rights")
    return Changes(tuple(sorted(written)), tuple(sorted(removed)))


def _may_write(folder: Path) -> bool:
    return os.access(folder, os.W_OK | os.X_OK, effective_ids=True)


def _apply(
    out: Path, files: Mapping[str, str], former: Sequence[str], changes: Changes, undo: ExitStack
) -> None:
    """First all that may fail, beside its place; then the manifest of old and new; then the rest.

    A run that ends in between leaves a manifest that lists whatever may be there.
    """
    staging = out / _STAGING
    with ExitStack() as cleared:
        cleared.callback(shutil.rmtree, staging, ignore_errors=True)
        try:
            if staging.exists():
                shutil.rmtree(staging)
            staging.mkdir(0o700)
            both = manifest({**files, **dict.fromkeys(former, "")})
            _stage(staging / "both", both)
            for number, path in enumerate(changes.written):
                _stage(staging / str(number), files.get(path, manifest(files)))
        except OSError as error:
            raise _unwritable(out, error) from None
        for path in changes.written:
            for above in reversed(PurePosixPath(path).parents):
                _new_folder(out / above, undo)
            _read(out, path)
        try:
            (staging / "both").replace(out / MANIFEST)
            undo.pop_all()
            for number, path in enumerate(changes.written):
                if path != MANIFEST:
                    (staging / str(number)).replace(out / path)
            for path in changes.removed:
                _remove(out, path)
            _stage(staging / "last", manifest(files))
            (staging / "last").replace(out / MANIFEST)
        except OSError as error:
            raise _unwritable(out, error) from None


def _stage(place: Path, text: str) -> None:
    with place.open("x", encoding="utf-8", newline="") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    place.chmod(_mode(text))


def _remove(out: Path, path: str) -> None:
    """A file, and the folders that are empty without it."""
    (out / path).unlink()
    for above in PurePosixPath(path).parents:
        if str(above) != ".":
            _remove_empty(out / above)


def _diff(place: Path, present: _Present | None, text: str | None) -> str:
    """One file's part; None stands for a file that is not there."""
    before = present.content.decode("utf-8", "surrogateescape") if present else ""
    head = ""
    if present and text is not None and _runs(present) != (_mode(text) == _PROGRAM):
        modes = (_PROGRAM, _PLAIN) if _runs(present) else (_PLAIN, _PROGRAM)
        head = f"{place}: mode {modes[0]:04o}, to be {modes[1]:04o}\n"
    lines = difflib.unified_diff(
        _lines(before),
        _lines(text or ""),
        str(place) if present else os.devnull,
        str(place) if text is not None else os.devnull,
    )
    return head + "".join(map(_shown, lines))


def _lines(text: str) -> list[str]:
    """Lines with their ends; none but a newline ends one."""
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def _shown(line: str) -> str:
    """As it may be shown on a terminal, and ended."""
    ended = line.endswith("\n")
    plain = "".join(
        letter if letter.isprintable() or letter == "\t" else ascii(letter)[1:-1]
        for letter in line.removesuffix("\n")
    )
    return f"{plain}\n" if ended else f"{plain}\n\\ No newline at end of file\n"

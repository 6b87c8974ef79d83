"""What is remembered on the node: what was put there, what was there before, what is under way.

Imports `change`, `failure`, `files`. In the folder FOLDER, for root alone:

* `state.json`: digests, paths, names; no value of any configuration. It is written before a change
  begins and after it has ended, so that whoever comes after a process that was killed knows all;
* `former/SHA256`: bytes that were there before, for going back;
* `program`: a copy of this program, which goes back also where the one in use is at fault.
"""

import contextlib
import fcntl
import json
import os
import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gcp_sa_credential_provider.node.change import Was, digest
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.files import Root

FOLDER = "/var/lib/gcp-sa-credential-provider"
PROGRAM = f"{FOLDER}/program"

PROVIDER = "program"
"""Role of the program in the kubelet's folder of providers."""
NAME = "name"
"""Of a link there to it, for an entry of another name."""
CONFIG = "config"
FLAGS = "flags"
"""Of what hands the kubelet its flags."""

_STATE = f"{FOLDER}/state.json"
_FORMER = f"{FOLDER}/former"
_VERSION = 1


class Busy(Refused):
    """Another command is changing the node."""


@dataclass(frozen=True, kw_only=True)
class File:
    """A place that we have a hand in."""

    path: str
    role: str
    """PROVIDER, NAME, CONFIG or FLAGS."""
    before: Was
    after: Was


@dataclass(frozen=True, kw_only=True)
class Installed:
    """What is there."""

    version: str
    """Of this program."""
    profile: str
    given: str
    """What the kubelet is given: a file, or a folder of such."""
    directory: bool
    config: str
    """The file that has our entries; its real place."""
    bin_dir: str
    units: tuple[str, ...]
    server: bool
    version_of: tuple[str, ...]
    """What tells the version of the kubelet that starts next."""
    minor: tuple[int, int]
    """Of the kubelet that the entries are written for."""
    cache_types: dict[str, str]
    """By the names of our entries; "" for one that never had any."""
    files: tuple[File, ...]
    """With what was there before the first installation."""
    folders: tuple[str, ...]
    """Those that we made, outer ones first."""
    taken: tuple[str, ...] = ()
    """Names that our entries have, or ever had since the first installation."""

    @property
    def names(self) -> tuple[str, ...]:
        """The same, also where an older release remembered only those that are there."""
        return tuple(dict.fromkeys((*self.taken, *self.cache_types)))


@dataclass(frozen=True, kw_only=True)
class Change:
    """The last change; what it takes to go back behind it."""

    command: str
    finished: bool
    files: tuple[File, ...]
    """In the order of the change, with what was there right before it."""
    folders: tuple[str, ...]
    previous: Installed | None
    restarted: bool
    """Whether the kubelet was restarted for it."""
    kubelet: str
    """The one that ran when it began, by its start; for none, the boot and "/", or "" alone."""

    def touched(self) -> bool:
        """Whether it was one of what a kubelet reads at its start."""
        return any(file.role in (CONFIG, FLAGS) for file in self.files)

    def unread(self, kubelet: str | None) -> bool:
        """Whether the kubelet that runs, known by its start, may not have read what was changed.

        Of a change that was broken off nobody knows. Where none runs, none waits for it.
        """
        if not self.finished:
            return True
        # None: files alone were written, and one may have run unseen; of this boot, or of any.
        none = self.kubelet == "" or self.kubelet.endswith("/")
        waits = kubelet is not None and (
            kubelet.startswith(self.kubelet) if none else kubelet == self.kubelet
        )
        return self.touched() and not self.restarted and waits


@dataclass(frozen=True)
class State:
    """All of it."""

    installed: Installed | None = None
    change: Change | None = None


@dataclass(frozen=True)
class Store:
    """The folder."""

    root: Root
    _known: dict[str, bytes] = field(default_factory=dict)

    def load(self) -> State:
        """What is remembered. Raises Refused."""
        content = self.root.read(_STATE)
        if content is None:
            return State()
        try:
            told = json.loads(content)
            if told["version"] != _VERSION:
                raise Refused(
                    f"{_STATE}: version {told['version']}, and this program knows {_VERSION}. Fix:"
                    " use the release that wrote it, or a newer one"
                )
            return State(_installed(told["installed"]), _change(told["change"]))
        except (ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"{_STATE}: not readable ({type(error).__name__}: {error}). Fix: if the node is as"
                " it should be, delete the file and install anew"
            ) from None

    def save(self, state: State) -> None:
        """Remember it, with the former bytes that it names. Raises OSError."""
        self.root.mkdir(FOLDER, 0o700)
        wanted = {file.before.sha256 for file in _files(state)}
        wanted |= {file.after.sha256 for file in _files(state) if file.role == FLAGS}
        wanted -= {""}
        for sha256 in sorted(wanted & self._known.keys()):
            if self.root.lstat(f"{_FORMER}/{sha256}") is None:
                self.root.mkdir(_FORMER, 0o700)
                self.root.write(f"{_FORMER}/{sha256}", self._known[sha256], 0o600)
        told = {"version": _VERSION, **asdict(state)}
        content = json.dumps(told, indent=2).encode() + b"\n"
        if self.root.read(_STATE) != content:
            self.root.write(_STATE, content, 0o600)
        for name in self.root.listdir(_FORMER):
            if name not in wanted:
                self.root.remove(f"{_FORMER}/{name}")

    def keep(self, content: bytes | None) -> None:
        """Have a file's bytes at hand for the next `save`."""
        if content is not None:
            self._known[digest(content)] = content

    def keep_program(self, content: bytes) -> None:
        """Keep a copy of the program that goes back. Raises OSError."""
        if self.root.read(PROGRAM) != content:
            self.root.mkdir(FOLDER, 0o700)
            self.root.write(PROGRAM, content, 0o700)

    def has(self, was: Was) -> bool:
        """Whether the bytes that were there are kept, be they damaged."""
        return self.root.lstat(f"{_FORMER}/{was.sha256}") is not None

    def former(self, was: Was) -> bytes:
        """The bytes that were there. Raises Failed."""
        content = self.root.read(f"{_FORMER}/{was.sha256}")
        if content is None or digest(content) != was.sha256:
            raise Failed(
                f"{_FORMER}/{was.sha256}: not there, or damaged. Fix: put the node's own files back"
                " by its distribution's means"
            )
        return content

    def forget(self) -> None:
        """Remove the folder. Raises OSError.

        First nothing is remembered any more: whoever comes after one that was broken off here has
        nothing to take back, for which some of the rest would be missing already.
        """
        if self.root.lstat(_STATE) is not None:
            self.save(State())
        for name in self.root.listdir(_FORMER):
            self.root.remove(f"{_FORMER}/{name}")
        self.root.rmdir(_FORMER)
        for name in self.root.listdir(FOLDER):
            if name != posixpath.basename(_STATE):
                self.root.remove(f"{FOLDER}/{name}")
        self.root.remove(_STATE)
        self.root.rmdir(FOLDER)

    @contextlib.contextmanager
    def locked(self, *, wait: bool = False) -> Iterator[None]:
        """Alone on this node. Raises Busy where another command is at work."""
        folder = next(path for path in ("/var/lib", "/var", "/") if self.root.stat(path))
        descriptor = os.open(self.root.outside(folder), os.O_RDONLY | os.O_CLOEXEC)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise Busy(
                    f"{folder}: another `node` command is at work here. Fix: wait for its end"
                ) from None
            yield
        finally:
            os.close(descriptor)


def finished(state: State, *, restarted: bool) -> State:
    """The state once its change has ended well."""
    change = state.change
    done = change and replace(change, finished=True, restarted=restarted)
    return replace(state, change=done)


def _files(state: State) -> Iterable[File]:
    change = state.change
    for some in (state.installed, change, change and change.previous):
        yield from some.files if some else ()


def _file(told: dict[str, Any]) -> File:
    return File(**{**told, "before": Was(**told["before"]), "after": Was(**told["after"])})


def _installed(told: dict[str, Any] | None) -> Installed | None:
    if told is None:
        return None
    lists = {name: tuple(told[name]) for name in ("units", "version_of", "minor", "folders")}
    lists["taken"] = tuple(told.get("taken", ()))
    return Installed(**{**told, **lists, "files": tuple(map(_file, told["files"]))})


def _change(told: dict[str, Any] | None) -> Change | None:
    if told is None:
        return None
    return Change(
        **{
            **told,
            "files": tuple(map(_file, told["files"])),
            "folders": tuple(told["folders"]),
            "previous": _installed(told["previous"]),
        }
    )

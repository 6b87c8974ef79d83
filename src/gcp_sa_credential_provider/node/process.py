"""The host's processes, as far as a kubelet has to be found among them.

Imports `files`. Rules: proc(5). What vanishes while it is looked at was not there.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from gcp_sa_credential_provider.node.files import Root

PROC = Path("/proc")

_PARENT, _START = 1, 19  # fields of /proc/PID/stat behind the command's name
_ALIASES = {"k3s-server": "k3s", "k3s-agent": "k3s"}


@dataclass(frozen=True)
class Process:
    """One that runs. `argv` may hold tokens: it is read, and never shown."""

    pid: int
    argv: tuple[str, ...]
    folder: Path
    """In /proc."""

    @property
    def name(self) -> str:
        """Of its program."""
        name = PurePosixPath(self.argv[0]).name
        return _ALIASES.get(name, name)

    @property
    def parent(self) -> int:
        """Its parent's number."""
        return int(self._fields()[_PARENT])

    @property
    def started(self) -> str:
        """When, for ever: the boot, and the clock ticks since then."""
        return f"{_boot(self.folder.parent)}/{self._fields()[_START]}"

    @property
    def program(self) -> str:
        """Path of what it runs, which may have been replaced since."""
        return str((self.folder / "exe").readlink()).removesuffix(" (deleted)")

    @property
    def root(self) -> Root:
        """The tree that it sees."""
        return Root(self.folder / "root")

    @property
    def environment(self) -> dict[str, str]:
        """What it was started with. May hold tokens."""
        pairs = _words(self.folder / "environ")
        return {
            name: value for name, mark, value in (pair.partition("=") for pair in pairs) if mark
        }

    @property
    def unit(self) -> str | None:
        """The systemd unit that it is in."""
        for line in (self.folder / "cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0" or controllers == "name=systemd":
                units = [part for part in path.split("/") if part.endswith(".service")]
                if units:
                    return units[-1]
        return None

    def in_root(self, root: Root) -> bool:
        """Whether its file tree is this one: a kubelet in a container's is another node's."""
        ours, theirs = root.path.stat(), (self.folder / "root").stat()
        return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)

    def shares(self, namespace: str, proc: Path) -> bool:
        """Whether it is in this process's own namespace of that kind."""
        kind = f"ns/{namespace}"
        return (self.folder / kind).readlink() == (proc / "self" / kind).readlink()

    def _fields(self) -> list[str]:
        # The command's name may hold spaces and brackets.
        return (self.folder / "stat").read_text().rpartition(")")[2].split()


def boot(proc: Path) -> str:
    """What tells this run of the machine from any other; "" where that cannot be told."""
    try:
        return _boot(proc)
    except OSError:
        return ""


def _boot(proc: Path) -> str:
    return (proc / "sys/kernel/random/boot_id").read_text().strip()


def every(proc: Path) -> Iterator[Process]:
    """All processes that have a command line."""
    for folder in proc.iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                if argv := _argv(folder):
                    yield Process(int(folder.name), argv, folder)


def of(proc: Path, pid: int) -> Process | None:
    """The process of that number; None if there is none."""
    with contextlib.suppress(OSError):
        if argv := _argv(proc / str(pid)):
            return Process(pid, argv, proc / str(pid))
    return None


def _argv(folder: Path) -> tuple[str, ...]:
    argv = _words(folder / "cmdline")
    # k3s writes its title over its arguments, which may hold a token.
    return tuple(argv[0].split()) if len(argv) == 1 else tuple(argv)


def _words(path: Path) -> list[str]:
    # An empty argument counts; zeros at the end are what a title written over them leaves.
    text = path.read_bytes().decode("utf-8", "replace").rstrip("\0")
    return text.split("\0") if text else []

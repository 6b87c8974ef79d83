"""One step of the build: said when it begins and ends, logged, and done only once."""

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from pins import cache

_TAIL = 30  # lines of a log that are shown when a step fails
# All that a step knows of the caller. CFLAGS and the like would end in what is kept for others.
_CALLERS = ("PATH", "HOME", "TMPDIR")


class BuildError(Exception):
    """A build cannot go on; `str()` says where, what and how to fix it."""


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"static: {text}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """The cache, for one build at a time: they would trip over each other's files."""
    lock = cache() / "lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another build is under way, which this one waits for ({lock})")
            fcntl.flock(held, fcntl.LOCK_EX)
        yield


def once(done: Path, what: str, do: Callable[[], None]) -> None:
    """Do `do` unless the stamp `done` is there, and leave the stamp."""
    if done.exists():
        return
    say(f"{what} …")
    started = time.monotonic()
    do()
    done.parent.mkdir(parents=True, exist_ok=True)
    done.touch()
    say(f"{what}: {time.monotonic() - started:.0f} s")


def run(
    command: Sequence[str | Path],
    *,
    log: Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run a step's program at low priority, its output into `log`. Raises BuildError.

    `env` is added to the little that a step knows; what fetches is given all of `os.environ`, for
    proxies and logins.
    """
    callers = {name: os.environ[name] for name in _CALLERS if name in os.environ}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"$ {' '.join(map(str, command))}\n".encode())
        out.flush()
        done = subprocess.run(
            ["nice", "-n", "10", *command],
            cwd=cwd,
            env={**callers, **(env or {}), "LC_ALL": "C", "TZ": "UTC"},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
        raise BuildError(f"{command[0]}: exit {done.returncode}; the end of {log}:\n{tail}")

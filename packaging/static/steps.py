"""One step of the build: said when it begins and ends, logged, and done only once."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_TAIL = 30  # lines of a log that are shown when a step fails


class BuildError(Exception):
    """A build cannot go on; `str()` says where, what and how to fix it."""


def say(text: str) -> None:
    """A line of progress."""
    sys.stderr.write(f"static: {text}\n")
    sys.stderr.flush()


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
    """Run a step's program at low priority, its output into `log`. Raises BuildError."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        out.write(f"$ {' '.join(map(str, command))}\n".encode())
        out.flush()
        done = subprocess.run(
            ["nice", "-n", "10", *command],
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C", "TZ": "UTC", **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
        raise BuildError(f"{command[0]}: exit {done.returncode}; the end of {log}:\n{tail}")

"""Real processes with the command line of something else, and a /proc that has only these."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

# A process may write over its own arguments (proc(5): arg_start, arg_end), as k3s does.
_SHAM = """\
import ctypes, json, subprocess, sys
words, child = json.loads(sys.argv[1]), json.loads(sys.argv[2])
fields = open("/proc/self/stat").read().rpartition(")")[2].split()
start, end = int(fields[45]), int(fields[46])
told = b"\\0".join(word.encode() for word in words) + b"\\0"
ctypes.memset(start, 0, end - start)
ctypes.memmove(start, told, len(told))
if child:
    command = [sys.executable, "-c", sys.argv[4], json.dumps(child), "null", sys.argv[3], "-"]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.stdout.readline()
print(started.pid if child else 0, flush=True)
sys.stdin.read()
"""


class Processes:
    """The processes of a test; they end when it does."""

    def __init__(self, folder: Path) -> None:
        self.proc = folder / "proc"
        self.proc.mkdir()
        for name in ("sys", "self"):
            (self.proc / name).symlink_to(Path("/proc") / name)
        self._stack = contextlib.ExitStack()

    def start(self, *argv: str, environment: Mapping[str, str] | None = None) -> int:
        """Start one with this command line; its number."""
        return self._start(argv, (), environment or {})[0]

    def start_child(self, parent: tuple[str, ...], child: tuple[str, ...]) -> tuple[int, int]:
        """A process that has another as its child; the numbers of both."""
        return self._start(parent, child, {})

    def _start(
        self, argv: tuple[str, ...], child: tuple[str, ...], environment: Mapping[str, str]
    ) -> tuple[int, int]:
        room = "x" * (len("".join((*argv, *child))) + len(argv) + len(child))
        words = [sys.executable, "-c", _SHAM, json.dumps(argv), json.dumps(child), room, _SHAM]
        process = self._stack.enter_context(
            subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env={"PATH": os.defpath, **environment},
            )
        )
        self._stack.callback(process.kill)
        assert process.stdout is not None
        inner = int(process.stdout.readline())
        for number in filter(None, (process.pid, inner)):
            (self.proc / str(number)).symlink_to(f"/proc/{number}")
        return process.pid, inner

    def end(self, pid: int) -> None:
        """End one that was started, as a crash would."""
        os.kill(pid, signal.SIGKILL)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)

    def close(self) -> None:
        """End all."""
        self._stack.close()


@contextlib.contextmanager
def processes(folder: Path) -> Iterator[Processes]:
    """For the block."""
    made = Processes(folder)
    try:
        yield made
    finally:
        made.close()

"""Lines of a growing file or a journal, and waiting for one of them."""

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self


class Lines:
    """All lines that a command prints, from when it starts, kept in `all`."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,  # to end what it starts too
        )
        self._lines: list[str] = []
        self._change = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            with self._change:
                self._lines.append(line.rstrip("\n"))
                self._change.notify_all()

    @property
    def all(self) -> list[str]:
        """What there is so far."""
        with self._change:
            return list(self._lines)

    def wait_for(self, wanted: Callable[[str], bool], *, seconds: float, after: int = 0) -> str:
        """The first line that is `wanted`, not counting the first `after`. Raises TimeoutError."""
        give_up = time.monotonic() + seconds
        seen = after
        with self._change:
            while True:
                for line in self._lines[seen:]:
                    if wanted(line):
                        return line
                seen = max(seen, len(self._lines))
                if not self._change.wait(give_up - time.monotonic()):
                    told = "\n".join(self._lines[-10:])
                    raise TimeoutError(f"not there after {seconds} s; the last lines:\n{told}")

    def __enter__(self) -> Self:
        """Follow while the block runs."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop following."""
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        assert self._process.stdout
        self._process.stdout.close()


def of_file(path: Path) -> Lines:
    """The lines of a file, from its first on."""
    return Lines("tail", "-n", "+1", "--follow=name", "--retry", "--quiet", str(path))

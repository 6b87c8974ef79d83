"""A host with systemd (tests/systemd_host.py), and a stand-in of a kubelet that tells of itself."""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import systemd_host
from systemd_host import Host

_ACT = Path(__file__).with_name("act.py")
_TOLD = "/opt/told"


class Machine:
    """Not booted yet: `booted` does that."""

    def __init__(self, folder: Path, kubelet: Path) -> None:
        self.host = Host(folder, "machine")
        self._pipe = folder / "told"
        os.mkfifo(self._pipe)
        # To write as well, so that it never ends.
        self._told = os.open(self._pipe, os.O_RDWR | os.O_NONBLOCK)
        self._read = b""
        self.host.link(_TOLD, self._pipe)
        for name in ("kubelet", "k0s"):
            self.host.write(f"/opt/bin/{name}", kubelet.read_bytes(), 0o755)

    def unit(self, name: str, content: str) -> None:
        """Write a unit before the first boot."""
        self.host.write(f"/etc/systemd/system/{name}", content)

    @contextlib.contextmanager
    def booted(self, *units: str) -> Iterator["Machine"]:
        """Boot it for the block, with these units beside the usual ones."""
        self.host.start_at_boot("multi-user.target", *units)
        try:
            with systemd_host.running(self.host):
                yield self
        finally:
            os.close(self._told)

    def told(self, seconds: float = 30) -> str:
        """The next line that somebody on it has written to /opt/told."""
        while b"\n" not in self._read:
            ready, _, _ = select.select([self._told], [], [], seconds)
            assert ready, f"nothing was told in {seconds} s"
            self._read += os.read(self._told, 65536)
        line, _, self._read = self._read.partition(b"\n")
        return line.decode()

    def act(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run act.py as a pod of it would: in its process numbers and network, not its files."""
        spaces = ("--pid", "--net", "--", "unshare", "--mount", "--mount-proc")
        return subprocess.run(
            ["nsenter", f"--target={self.host.pid}", *spaces, sys.executable, str(_ACT), *words],
            check=False,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )

    def asked(self, *words: str) -> Any:
        """What act.py answers."""
        done = self.act(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)

    def ours(self) -> str:
        """All that systemd knows of the installer."""
        return self.host.run("systemctl", "list-units", "--all", "--no-legend", "gcp-sa-*")

    def has(self, path: str) -> Path:
        """A path of it that runs, from here."""
        return self.host.root / path.lstrip("/")


def compiled(source: Path, made: Path) -> None:
    """Compile a program that runs wherever it is put."""
    subprocess.run(["cc", "-Wall", "-Werror", "-static", "-o", made, source], check=True)


def missing() -> list[str]:
    """What is not here and needed."""
    found = systemd_host.missing()
    if not shutil.which("cc"):
        found.append("cc: not installed. Fix: apt-get install gcc libc6-dev")
    return found

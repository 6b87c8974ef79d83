"""The programs that the benchmark compares: two in Go, built here, and the plugin's forms.

A form of the plugin that has not been built is left out; the yardstick must be there.
"""

import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stage import BenchError

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
GO = Path(__file__).resolve().parent / "go"
OURS = ("static", "zipapp", "script")
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Program:
    """One row of the tables."""

    key: str
    """Its word on the command line."""
    name: str
    path: Path
    is_ours: bool

    @property
    def size(self) -> int:
        """Bytes of the one file that has to be on the node; 0 where it is not one."""
        return 0 if self.key == "script" else self.path.stat().st_size


def _run(command: list[str], where: Path, **environment: str) -> None:
    done = subprocess.run(
        command,
        cwd=where,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{' '.join(command[:2])}: {done.stderr.strip()[-400:]}")


def build_launcher() -> Path:
    """The static program that starts the others and measures them."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise BenchError("cc is not there. Fix: install a C compiler")
    launcher = BUILD / "launch"
    source = Path(__file__).resolve().parent / "launch.c"
    flags = ["-O2", "-static", "-Wall", "-Wextra", "-Werror"]
    _run([compiler, *flags, "-o", str(launcher), str(source)], ROOT)
    return launcher


def _go(name: str) -> Path:
    go = shutil.which("go")
    if go is None:
        raise BenchError("go is not there. Fix: install Go 1.26 or newer")
    program = BUILD / name
    flags = ["-trimpath", "-ldflags", "-s -w", "-o", str(program)]
    _run([go, "build", *flags, "."], GO / name, CGO_ENABLED="0", GOFLAGS="-mod=readonly")
    return program


def all_programs() -> list[Program]:
    """The yardstick first. Raises BenchError where something cannot be built."""
    BUILD.mkdir(parents=True, exist_ok=True)
    machine = _ARCHITECTURES.get(platform.machine(), platform.machine())
    static = max(
        (ROOT / "dist").glob(f"gcp-sa-credential-provider-*-linux-{machine}"),
        key=lambda path: path.stat().st_mtime,
        default=ROOT / "dist" / "static file",
    )
    script = ROOT / ".venv" / "bin" / "gcp-sa-credential-provider"
    rows = [
        ("yardstick", "Go yardstick: net/http, encoding/json", _go("yardstick")),
        ("externalaccount", "Go, x/oauth2 externalaccount", _go("externalaccount")),
        ("static", "static file", static),
        ("zipapp", "zipapp", ROOT / "dist" / "gcp-sa-credential-provider.pyz"),
        ("script", "console script", script),
    ]
    return [
        Program(key=key, name=name, path=path, is_ours=key in OURS)
        for key, name, path in rows
        if path.exists()
    ]

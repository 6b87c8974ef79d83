"""The plugin as a process: how to start it in each of its forms, and what a process may leave.

Rules: a credential provider's exec contract (kubernetes pkg/credentialprovider/plugin/plugin.go)
and this program's own: one document on stdout and exit 0, or one line on stderr and exit 1 or 2.
"""

import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import gcp_sa_credential_provider

NAME = "gcp-sa-credential-provider"
PACKAGE_PARENT = Path(gcp_sa_credential_provider.__file__).parents[1]
ZIPAPP = Path(__file__).parents[2] / "dist" / f"{NAME}.pyz"
SHEBANG = "/usr/bin/python3"  # what the zipapp's first line names
DEFAULT_BUDGET = 10  # seconds, of GCP_TIMEOUT
GRACE = 5  # seconds over the budget; only a process that does not end by itself needs them
LONGEST_LINE = 1024  # bytes

_LINE = re.compile(
    rb"gcp-sa-credential-provider: \[([A-Z]+(?:-[A-Z0-9]+)*)\] [!-~][ -~]*\. Fix: [!-~][ -~]*"
)

Preparation = Callable[[], None]


@dataclass(frozen=True)
class Ended:
    """What a process left."""

    code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Launcher:
    """One way to start the program."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    """What this form needs to be found; nothing else is handed down."""

    def run(
        self,
        environment: Mapping[str, str],
        stdin: bytes = b"",
        *,
        arguments: Sequence[str] = (),
        wrapper: Sequence[str] = (),
        cwd: Path | None = None,
        prepare: Preparation | None = None,
    ) -> Ended:
        """Run to the end, which comes by itself. `wrapper` is a command to run it under.

        `prepare` runs in the child before the exec. Raises subprocess.TimeoutExpired where the
        budget is overrun.
        """
        done = subprocess.run(
            [*wrapper, *self.command, *arguments],
            input=stdin,
            env={**self.environment, **environment},
            capture_output=True,
            cwd=cwd,
            preexec_fn=prepare,
            timeout=float(environment.get("GCP_TIMEOUT") or DEFAULT_BUDGET) + GRACE,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def started(
        self,
        environment: Mapping[str, str],
        stdin: bytes | int,
        *,
        stdout: int = subprocess.PIPE,
        stderr: int = subprocess.PIPE,
        cwd: Path | None = None,
    ) -> Iterator[subprocess.Popen[bytes]]:
        """A running process; killed at the end of the block. `stdin` as bytes is written whole."""
        process = subprocess.Popen(
            self.command,
            env={**self.environment, **environment},
            stdin=subprocess.PIPE if isinstance(stdin, bytes) else stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd,
        )
        with process:
            try:
                if isinstance(stdin, bytes) and process.stdin is not None:
                    process.stdin.write(stdin)
                    process.stdin.close()
                    process.stdin = None
                yield process
            finally:
                process.kill()

    def ended(self, process: subprocess.Popen[bytes], budget: float = DEFAULT_BUDGET) -> Ended:
        """Wait for a started process to end by itself."""
        stdout, stderr = process.communicate(timeout=budget + GRACE)
        return Ended(process.returncode, stdout or b"", stderr or b"")


def at_once(jobs: Mapping[str, Callable[[], Ended]]) -> dict[str, tuple[int, str]]:
    """Outcomes by name of runs that do not get in each other's way, a few at the same time."""
    with ThreadPoolExecutor(8) as pool:
        running = {name: pool.submit(job) for name, job in jobs.items()}
        return {name: outcome(future.result()) for name, future in running.items()}


def refusal(ended: Ended) -> tuple[int, str]:
    """Exit code and error code of a failure, once all that holds for every failure is checked.

    Not even the line's own newline is there: klog would break the kubelet's log entry at it.
    """
    assert ended.stdout == b"", "a failure writes nothing to stdout"
    assert b"Traceback" not in ended.stderr
    assert len(ended.stderr) <= LONGEST_LINE
    line = _LINE.fullmatch(ended.stderr)
    assert line, f"not one line of the form '[CODE] what. Fix: how': {ended.stderr!r}"
    assert ended.code in (1, 2)
    return ended.code, line[1].decode()


def credentials(ended: Ended) -> dict[str, Any]:
    """The one document of a success, once all that holds for every success is checked."""
    assert ended.stderr == b""
    assert ended.code == 0
    response = json.loads(ended.stdout)
    assert isinstance(response, dict)
    assert response["kind"] == "CredentialProviderResponse"
    assert response["apiVersion"] == "credentialprovider.kubelet.k8s.io/v1"
    assert response["auth"], "an empty auth hides a failure"
    for credential in response["auth"].values():
        assert credential["username"] == "oauth2accesstoken"
        assert credential["password"]
    return response


def outcome(ended: Ended) -> tuple[int, str]:
    """`(0, "")` for a success, exit code and error code for a failure; both checked."""
    if ended.code == 0:
        credentials(ended)
        return 0, ""
    return refusal(ended)


@cache
def interpreters() -> dict[tuple[int, int], str]:
    """Every Python at hand by (major, minor): on PATH and among pyenv's; ours first."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    # Not pyenv's shims, scripts that take long to find what is under its versions.
    folders = [path for path in map(Path, os.get_exec_path()) if path.name != "shims"]
    candidates = [
        sys.executable,
        *(str(path) for folder in folders for path in sorted(folder.glob("python[23].*"))),
        *(str(path) for path in sorted(pyenv.glob("*/bin/python"))),
    ]
    found: dict[tuple[int, int], str] = {}
    for candidate in candidates:
        if version := _version(candidate):
            found.setdefault(version, candidate)
    return found


def _version(python: str) -> tuple[int, int] | None:
    """(major, minor); None for what is no working Python (a tool of a similar name, a shim)."""
    if not re.fullmatch(r"python(\d(\.\d+)?)?", Path(python).name):
        return None
    asked = subprocess.run(
        [
            python,
            "-Sc",
            "import sys; print(sys.version_info[:2])",
        ],
        capture_output=True,
        check=False,
        text=True,
    )
    numbers = re.fullmatch(r"\((\d+), (\d+)\)\n", asked.stdout)
    return (int(numbers[1]), int(numbers[2])) if numbers else None


def supported() -> dict[str, str]:
    """The interpreters that the program supports, by version."""
    return {f"{a}.{b}": path for (a, b), path in interpreters().items() if (a, b) >= (3, 11)}


def too_old() -> dict[str, str]:
    """The interpreters that it turns away, by version."""
    return {f"{a}.{b}": path for (a, b), path in interpreters().items() if (a, b) < (3, 11)}


def console() -> Launcher:
    """The script that pip installs."""
    script = Path(sysconfig.get_path("scripts")) / NAME
    handed = {name: os.environ[name] for name in ("PYTHONPATH",) if name in os.environ}
    return Launcher("console", (str(script),), handed)


def module(version: str, python: str, pycache: Path) -> Launcher:
    """`python -m`, for interpreters into which nothing was installed; compiles to `pycache`."""
    return Launcher(
        f"module-{version}",
        (python, "-m", "gcp_sa_credential_provider"),
        {"PYTHONPATH": str(PACKAGE_PARENT), "PYTHONPYCACHEPREFIX": str(pycache)},
    )


def zipapp(version: str, python: str) -> Launcher:
    """The zipapp, with the switches of its first line."""
    return Launcher(f"zipapp-{version}", (python, "-IS", str(ZIPAPP)))


def everyone(pycache: Path) -> dict[str, Launcher]:
    """Every form of the program by name."""
    forms = [console()]
    if (_version(SHEBANG) or (0, 0)) >= (3, 11):
        forms.append(Launcher("zipapp", (str(ZIPAPP),)))
    for version, python in supported().items():
        forms += [module(version, python, pycache), zipapp(version, python)]
    return {form.name: form for form in forms}

"""What the hot path imports beyond an empty interpreter, and what that costs.

Measured by CPython's own `-X importtime` over a whole exchange of the zipapp; its bookkeeping is in
the figures, so they are upper bounds.
"""

import re
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stage import BenchError, Stage

PYTHON = Path("/usr/bin/python3")
_PACKAGE = "gcp_sa_credential_provider"
_C_MODULES = ("_ssl", "_socket", "_json", "binascii", "resource")
_LINE = re.compile(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", re.MULTILINE)


@dataclass(frozen=True)
class Import:
    """A module, or several that belong together."""

    name: str
    modules: int
    microseconds: float
    """Without what it imports in turn; the median of all runs."""


def _times(program: list[str], environment: dict[str, str], stdin: bytes | None) -> dict[str, int]:
    done = subprocess.run(
        [str(PYTHON), "-IS", "-X", "importtime", *program],
        env=environment,
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    told = done.stderr.decode(errors="replace")
    if done.returncode:
        raise BenchError(f"{PYTHON}: exit {done.returncode}: {told.strip()[-400:]}")
    return {name: int(self_time) for self_time, name in _LINE.findall(told)}


def hot_path(stage: Stage, zipapp: Path, count: int) -> list[Import]:
    """The C modules one by one; the plugin's own files and the interpreter's share as sums."""
    environment = stage.environment(stage.bundle)
    empty = _times(["-c", "pass"], environment, None)
    stdin = stage.request.read_bytes()
    runs = [_times([str(zipapp)], environment, stdin) for _ in range(count)]
    names = [name for name in runs[0] if name not in empty]
    ours = [name for name in names if name.partition(".")[0] == _PACKAGE]
    others = [name for name in names if name not in ours and name not in _C_MODULES]
    groups = {f"`{name}`": [name] for name in _C_MODULES if name in names}
    groups["the plugin's own files"] = ours
    groups["what CPython itself imports to run an archive (`runpy`)"] = others
    return [
        Import(
            name=name,
            modules=len(members),
            microseconds=statistics.median(
                sum(run.get(member, 0) for member in members) for run in runs
            ),
        )
        for name, members in groups.items()
    ]

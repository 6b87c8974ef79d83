"""Interleaved rounds: every program once a round, and each compared with the yardstick's own round.

Other work on the machine slows a round as a whole, so the ratio within a round holds still where
times do not. The order turns from round to round.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from programs import Program
from stage import BenchError, Stage

SECONDS = 60


@dataclass(frozen=True)
class Run:
    """What one run cost: microseconds, and KiB of resident memory at its peak."""

    cpu: int
    wall: int
    rss: int


@dataclass(frozen=True)
class Spread:
    """A ratio or an amount over all rounds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: list[float]) -> "Spread":
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True)
class Result:
    """One program in one case."""

    program: Program
    cpu: Spread
    """Times the yardstick's."""
    wall: Spread
    """Times the yardstick's."""
    cpu_ms: float
    wall_ms: float
    rss_mib: float


class Bench:
    """The launcher, and where the measured programs' answers go."""

    def __init__(self, launcher: Path, directory: Path, stage: Stage) -> None:
        self._launcher = launcher
        self._directory = directory
        self._stage = stage

    def _command(self, program: Program, name: str) -> list[str]:
        answer = self._directory / name
        return [str(self._launcher), str(self._stage.request), str(answer), str(program.path)]

    def _check(self, program: Program, name: str, told: str, error: str) -> Run:
        """A run that did not end in credentials measures nothing."""
        if not told:
            raise BenchError(error.strip())  # the launcher's own word
        user, system, wall, rss, code = (int(word) for word in told.split())
        if code:
            raise BenchError(f"{program.name}: exit {code}: {error.strip()[-400:]}")
        auth = json.loads((self._directory / name).read_text())["auth"]
        if not all(entry["password"] for entry in auth.values()) or not auth:
            raise BenchError(f"{program.name}: a response without credentials")
        return Run(cpu=user + system, wall=wall, rss=rss)

    def once(self, program: Program, trust: Path) -> Run:
        """Run once. Raises BenchError where it fails."""
        done = subprocess.run(
            self._command(program, "answer"),
            env=self._stage.environment(trust),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return self._check(program, "answer", done.stdout, done.stderr)

    def together(self, program: Program, trust: Path, count: int) -> Run:
        """Run `count` times at once: CPU of all, time until the last is done, the largest peak."""
        started = time.perf_counter_ns()
        children = [
            subprocess.Popen(
                self._command(program, f"answer-{number}"),
                env=self._stage.environment(trust),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for number in range(count)
        ]
        told = [child.communicate(timeout=SECONDS) for child in children]
        wall = (time.perf_counter_ns() - started) // 1000
        runs = [
            self._check(program, f"answer-{number}", out, error)
            for number, (out, error) in enumerate(told)
        ]
        return Run(cpu=sum(run.cpu for run in runs), wall=wall, rss=max(run.rss for run in runs))

    def instructions(self, program: Program, trust: Path) -> float | None:
        """Millions of instructions of one run, by callgrind; None where it cannot run that."""
        with self._stage.request.open("rb") as stdin:
            done = subprocess.run(
                [
                    "valgrind",
                    "--tool=callgrind",
                    "--callgrind-out-file=/dev/null",
                    str(program.path),
                ],
                env=self._stage.environment(trust),
                stdin=stdin,
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
            )
        for line in done.stderr.splitlines():
            if "Collected :" in line and done.returncode == 0:
                return int(line.rpartition(":")[2]) / 1e6
        return None


def rounds(
    programs: list[Program], count: int, run: Callable[[Program], Run], say: Callable[[str], None]
) -> list[Result]:
    """`count` rounds after one that is thrown away; ratios against the first of `programs`."""
    taken: list[dict[str, Run]] = []
    for number in range(count + 1):
        turn = number % len(programs)
        taken.append({p.name: run(p) for p in programs[turn:] + programs[:turn]})
        say(f"round {number} of {count}")
    taken = taken[1:]
    yardstick = programs[0].name
    return [
        Result(
            program=program,
            cpu=Spread.of([one[program.name].cpu / one[yardstick].cpu for one in taken]),
            wall=Spread.of([one[program.name].wall / one[yardstick].wall for one in taken]),
            cpu_ms=statistics.median(one[program.name].cpu / 1000 for one in taken),
            wall_ms=statistics.median(one[program.name].wall / 1000 for one in taken),
            rss_mib=statistics.median(one[program.name].rss / 1024 for one in taken),
        )
        for program in programs
    ]

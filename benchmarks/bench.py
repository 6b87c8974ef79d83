"""`make bench`: what one image pull's exchange costs, beside two programs in Go.

    python benchmarks/bench.py [--rounds N] [--together N] [--without KEY] [--instructions]

Writes the tables of docs/performance.md. Needs the rights to make a mount namespace (root, or user
namespaces), Go and a C compiler; talks to loopback only. Exit 0; 2 where it cannot run.
"""

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

import report
from imports import hot_path
from measure import Bench, Run, rounds
from programs import OURS, Program, all_programs, build_launcher
from stage import BenchError, Stage, enter, stage

LATENCY = 0.05  # seconds
TOGETHER_ROUNDS = 5
IMPORT_RUNS = 15


def _say(text: str) -> None:
    sys.stderr.write(f"\rbench: {text}\033[K" if sys.stderr.isatty() else "")
    sys.stderr.flush()


def _cases(
    bench: Bench, scene: Stage, programs: list[Program], options: argparse.Namespace
) -> list[report.Case]:
    """Every table, in order."""
    done: list[report.Case] = []

    def add(title: str, note: str, trust: Path, together: int = 1) -> None:
        def run(program: Program) -> Run:
            if together > 1:
                return bench.together(program, trust, together)
            return bench.once(program, trust)

        count = TOGETHER_ROUNDS if together > 1 else options.rounds
        results = rounds(programs, count, run, lambda at: _say(f"{title}: {at}"))
        done.append(report.Case(title=title, note=note, rounds=count, results=results))

    alone = "The trust store is the server's authority alone."
    own = f"{scene.certificates} certificates: the machine's, and the server's authority."
    slow = f"As before, and the server waits {LATENCY * 1000:.0f} ms before it answers."
    add("One certificate", alone, scene.one_certificate)
    add("The machine's own bundle", own, scene.bundle)
    scene.google.faults.set("latency", seconds=LATENCY)
    add("The machine's own bundle, a slower answer", slow, scene.bundle)
    scene.google.faults.clear()
    if options.together > 1:
        note = f"{own} CPU of all, wall until the last is done, the largest peak."
        add(f"{options.together} executions at once", note, scene.bundle, options.together)
    return done


def measure_all(directory: Path, options: argparse.Namespace) -> dict[str, str]:
    """The texts for the page's markers."""
    programs = [program for program in all_programs() if program.key not in options.without]
    launcher = build_launcher()
    with stage(directory) as scene:
        bench = Bench(launcher, directory, scene)
        cases = _cases(bench, scene, programs, options)
        parts = [report.machine(os.cpu_count() or 1), *map(report.case, cases)]
        parts.append(report.files(cases[0].results))
        if options.instructions:
            parts.append(
                report.instructions({p.name: bench.instructions(p, scene.bundle) for p in programs})
            )
        ours = [program for program in programs if program.is_ours]
        if ours and not scene.records:
            raise BenchError("the journal got no record: the plugin left a part of its work out")
        zipapps = [program.path for program in ours if program.path.suffix == ".pyz"]
        imports = [report.imports(hot_path(scene, path, IMPORT_RUNS)) for path in zipapps]
    return {"figures": "\n".join(parts), "imports": "\n".join(imports)}


def main() -> int:
    """Enter the namespace, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=30, help="of each table (default: 30)")
    parser.add_argument("--together", type=int, default=100, help="executions at once (1: none)")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        choices=["externalaccount", *OURS],
        help="leave a program out; may be repeated",
    )
    parser.add_argument("--instructions", action="store_true", help="count them by valgrind")
    parser.add_argument("--print-only", action="store_true", help="leave the page as it is")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rounds < 1:
        parser.error("--rounds: at least 1")
    if options.instructions and shutil.which("valgrind") is None:
        parser.error("--instructions: valgrind is not there")
    try:
        if options.inside is None:
            with tempfile.TemporaryDirectory(prefix="bench-") as directory:
                return enter(Path(directory), [*sys.argv, "--inside", directory])
        texts = measure_all(options.inside, options)
        _say("")
        print("\n".join(texts.values()))
        if not options.print_only:
            report.write(texts)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

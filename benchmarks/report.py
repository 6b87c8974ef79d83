"""The tables of docs/performance.md, between its markers, and what they were measured on."""

import platform
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from imports import PYTHON, Import
from measure import Result, Spread
from stage import BenchError

PAGE = Path(__file__).resolve().parents[1] / "docs" / "performance.md"


@dataclass(frozen=True)
class Case:
    """One table."""

    title: str
    note: str
    rounds: int
    results: list[Result]


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _table(head: list[str], rows: list[list[str]]) -> str:
    return "\n".join([_row(*head), _row(*["---"] * len(head)), *(_row(*row) for row in rows)])


def _spread(ratio: Spread) -> str:
    return f"**{ratio.median:.2f}** ({ratio.least:.2f}-{ratio.most:.2f})"


def case(one: Case) -> str:
    """One case as Markdown."""
    rows = [
        [
            result.program.name,
            _spread(result.cpu),
            _spread(result.wall),
            f"{result.rss_mib:.1f}",
            f"{result.cpu_ms:.1f}",
            f"{result.wall_ms:.1f}",
        ]
        for result in one.results
    ]
    head = ["", "CPU ÷ yardstick", "wall ÷ yardstick", "peak RSS, MiB", "CPU, ms", "wall, ms"]
    return f"### {one.title}\n{one.note} {one.rounds} rounds.\n\n{_table(head, rows)}\n"


def files(results: list[Result]) -> str:
    """How large each program is."""
    rows = [
        [result.program.name, f"{result.program.size / 1e6:.1f} MB"]
        for result in results
        if result.program.size
    ]
    return f"### Size of the file on the node\n\n{_table(['', 'size'], rows)}\n"


def instructions(counts: dict[str, float | None]) -> str:
    """Instructions by program; some programs are beyond valgrind."""
    rows = [[name, f"{count:.1f}" if count else "-"] for name, count in counts.items()]
    table = _table(["", "million instructions"], rows)
    note = "The machine's own bundle, one run each; a dash where valgrind cannot run the program."
    return f"### Instructions (callgrind)\n{note}\n\n{table}\n"


def imports(found: list[Import]) -> str:
    """The hot path's imports."""
    rows = [[i.name, str(i.modules), f"{i.microseconds / 1000:.2f}"] for i in found]
    rows.append(
        [
            "together",
            str(sum(i.modules for i in found)),
            f"{sum(i.microseconds for i in found) / 1000:.2f}",
        ]
    )
    return _table(["", "modules", "at most, ms"], rows) + "\n"


def _first_line(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[0]


def machine(cores: int) -> str:
    """What it ran on, in a paragraph; no name and no path of the machine."""
    described = Path("/proc/cpuinfo").read_text()
    processor = re.search(r"^model name\s*:\s*(.+)$", described, re.MULTILINE)
    python = _first_line(str(PYTHON), "-c", "import sys; print(sys.version.split()[0])")
    openssl = _first_line(str(PYTHON), "-c", "import ssl; print(ssl.OPENSSL_VERSION)")
    go = _first_line("go", "version").split()[2].removeprefix("go")
    facts = [
        processor[1] if processor else platform.machine(),
        f"{cores} cores",
        f"Linux {platform.release().partition('-')[0]}",
        f"Go {go}",
        f"the zipapp under the system's Python {python} with {openssl}",
        f"the console script under Python {platform.python_version()}",
    ]
    return f"Measured on {', '.join(facts)}.\n"


def write(texts: dict[str, str]) -> None:
    """Replace what stands between the markers of each name. Raises BenchError, nothing changed."""
    page = PAGE.read_text()
    for name, text in texts.items():
        begin, end = f"<!-- {name}: written by make bench -->", f"<!-- {name}: end -->"
        head, found, rest = page.partition(begin)
        _, found_end, tail = rest.partition(end)
        if not (found and found_end):
            raise BenchError(
                f"docs/performance.md: no markers {begin} and {end}. Fix: put them back"
            )
        page = f"{head}{begin}\n{text}{end}{tail}"
    PAGE.write_text(page)

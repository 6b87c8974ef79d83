"""What is wrong with a description: all of it at once, each with its place and its remedy.

Imports the standard library.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Location = tuple[str | int, ...]
"""A value's way down: field names as in the file, and indexes."""


@dataclass(frozen=True)
class Finding:
    """Something wrong with a value, wherever that stands."""

    location: Location
    message: str
    fix: str


@dataclass(frozen=True)
class Problem:
    """Something wrong, and where in the file it stands."""

    line: int
    """From 1."""
    column: int
    """From 1, in characters."""
    path: str
    """As in `clusters[0].issuer`; empty for the file as a whole."""
    message: str
    fix: str


class BadFleet(Exception):  # noqa: N818 -- the description is bad, not the program
    """A description that cannot be used; `str()` has one line for each problem."""

    def __init__(self, file: str, problems: Sequence[Problem]) -> None:
        super().__init__(file, problems)
        self.file = file
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(self._line(problem) for problem in self.problems)

    def _line(self, problem: Problem) -> str:
        path = f"{problem.path}: " if problem.path else ""
        place = f"{self.file}:{problem.line}:{problem.column}"
        return f"{place}: {path}{problem.message}. Fix: {problem.fix}"


def path_of(location: Location) -> str:
    """As people write it: `clusters[0].issuer`."""
    text = ""
    for step in location:
        if isinstance(step, str) and step.isascii() and step.isidentifier():
            text += f".{step}"
        else:
            # An index, or the name of a field that is none.
            text += f"[{step}]" if isinstance(step, int) else f"[{shown(step)}]"
    return text.removeprefix(".")


def shown(value: object) -> str:
    """A value as evidence: quoted, on one line, printable, at most 100 characters."""
    text = ascii(value)
    return text if len(text) <= 100 else f"{text[:97]}..."

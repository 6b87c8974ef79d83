"""What the demo reports: frozen records, which the renderers turn into text or JSON.

Imports the standard library. Nothing in a step is secret: tokens never get here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

Evidence = Mapping[str, str | int | tuple[str, ...]]


class UnexpectedError(Exception):
    """A step went another way than it should; `str()` says where and what."""


@dataclass(frozen=True)
class Explanation:
    """What a person who made this mistake is told."""

    code: str
    """Key of the catalogue."""
    link: str
    """The link of the chain that broke."""
    says: str
    """The text as the user meets it: the plugin's line in the kubelet's log, or the registry's."""
    meaning: str
    fix: str


@dataclass(frozen=True)
class Outcome:
    """What a step found."""

    evidence: Evidence = field(default_factory=dict)
    explanation: Explanation | None = None


@dataclass(frozen=True)
class Step:
    """One step, done."""

    name: str
    """Stable, for `--json`."""
    title: str
    what: str
    """What happens here, in plain sentences."""
    outcome: Outcome = Outcome()
    problem: str = ""
    """What went wrong; empty where all was as expected."""

    @property
    def ok(self) -> bool:
        """Whether it went as expected: a mistake that is refused as it should be is ok."""
        return not self.problem

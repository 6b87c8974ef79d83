"""What generated files say about themselves, as lines of `#` comments.

Imports the plan. Both halves are texts of people: a line break or a control character in them
must not end the comment.
"""

import textwrap
from collections.abc import Iterable

from gcp_sa_credential_provider.fleet.plan import Decision
from gcp_sa_credential_provider.version import VERSION

HEADER = f"made by gcp-sa-credential-provider {VERSION} from fleet.yaml; do not edit, render again"
"""The first line of every generated file."""

_WIDTH = 100


def comment(text: str) -> list[str]:
    """Comment lines of one paragraph."""
    plain = "".join(letter if letter.isprintable() else " " for letter in text)
    return textwrap.wrap(
        plain,
        _WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def decisions(taken: Iterable[Decision], *topics: str) -> list[str]:
    """Comment lines of the decisions on these topics, in the topics' order."""
    wanted = [decision for decision in taken if decision.topic in topics]
    return [
        line
        for decision in sorted(wanted, key=lambda decision: topics.index(decision.topic))
        for line in comment(f"{decision.topic}: {decision.choice}. {decision.reason}")
    ]

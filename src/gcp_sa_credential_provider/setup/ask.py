"""Questions: on a terminal they are asked, elsewhere their flags are named, all at once.

Imports nothing of the cluster: what is to be known comes in as questions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gcp_sa_credential_provider.cluster.failure import BadInput


@dataclass(frozen=True)
class Question:
    """Something that nobody has said yet."""

    field: str
    """Whose answer it is."""
    flag: str
    """The flag that says it, with its metavariable."""
    text: str
    """The question, without a mark at its end."""
    parse: Callable[[str], Any]
    """Text to value; raises ValueError with the reason."""
    default: str | None = None
    """Taken for an empty answer."""
    many: bool = False
    """Asked until an empty answer; the value is a tuple of at least one."""


def ask(questions: Sequence[Question], *, terminal: bool) -> dict[str, Any]:
    """Answers by field. Raises BadInput without a terminal, or where its input ends."""
    if questions and not terminal:
        flags = ", ".join(question.flag for question in questions)
        raise BadInput(
            "command line",
            f"not everything is said, and there is no terminal to ask at (missing: {flags})",
            "add these flags",
        )
    try:
        return {question.field: _answer(question) for question in questions}
    except EOFError:
        raise BadInput("terminal", "the input ended", "run it again, or give flags") from None


def confirm(text: str) -> bool:
    """Yes or no; no is what an empty answer and the end of input mean."""
    try:
        return input(f"{text} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def _answer(question: Question) -> Any:
    if not question.many:
        return _one(question, question.text)
    values: list[Any] = []
    while True:
        text = f"{question.text}; empty ends" if values else question.text
        value = _one(question, text, optional=bool(values))
        if value is None:
            return tuple(values)
        values.append(value)


def _one(question: Question, text: str, *, optional: bool = False) -> Any:
    """One answer, asked again until it can be taken; None for an empty one if `optional`."""
    hint = f" [{question.default}]" if question.default and not optional else ""
    while True:
        said = input(f"{text}{hint}: ").strip()
        if not said and optional:
            return None
        if not said and question.default:
            said = question.default
        if not said:
            print("  an answer is needed")
            continue
        try:
            return question.parse(said)
        except ValueError as error:
            print(f"  {error}")

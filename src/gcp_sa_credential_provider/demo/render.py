"""Steps as text for people, plain or in colour, and as one JSON document.

Imports rich, and that only for a terminal.
"""

import json
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TextIO

from gcp_sa_credential_provider.demo.step import Evidence, Explanation, Step

Line = tuple[tuple[str, str], ...]
"""Pieces of text, each with its role (a key of `_STYLES`)."""

_STYLES = {
    "": "",
    "title": "bold",
    "ok": "green",
    "bad": "bold red",
    "label": "dim",
    "code": "cyan",
}
_WIDTHS = (60, 100)
"""Columns of sentences: least and most. Evidence is never broken: it is there to be copied."""
_PLAIN_WIDTH = 80
_COLUMN = 22

_OPENING = (
    "A pod's ServiceAccount token becomes registry credentials, and an image comes down; then four "
    "typical mistakes. The plugin is the real one; Google is emulated on this machine, and the "
    "demo plays the cluster, the kubelet and the container runtime. Tokens are never shown."
)
_ENDING = (
    "All {count} steps went as expected. What to do next:",
    '- your own cluster: README, "Real set-up"',
    "- a code in a kubelet's log: gcp-sa-credential-provider explain STS-CONDITION",
    "- your own experiments with the emulator: gcp-sa-credential-provider emulate --help",
)


def as_text(steps: Iterable[Step], out: TextIO) -> Step | None:
    """Write each step as it comes. Returns the one that failed, if one did."""
    write, width = (_terminal if out.isatty() else _plain)(out)
    for line in _sentences(_OPENING, width):
        write(line)
    step = None
    count = 0
    for count, step in enumerate(steps, 1):
        for line in _step(count, step, width):
            write(line)
        out.flush()
    if step is None or not step.ok:
        return step
    first, *rest = _ENDING
    for text in ("", first.format(count=count), *rest):
        write((("", text),))
    return None


def as_json(steps: Iterable[Step], out: TextIO) -> Step | None:
    """Write one document: `ok`, `steps` (name, title, what, ok, evidence, explanation, problem)."""
    told = list(steps)
    failed = next((step for step in told if not step.ok), None)
    document = {"ok": failed is None, "steps": [_document(step) for step in told]}
    out.write(json.dumps(document, indent=2) + "\n")
    return failed


def _document(step: Step) -> dict[str, Any]:
    explanation = step.outcome.explanation
    return {
        "name": step.name,
        "title": step.title,
        "what": step.what,
        "ok": step.ok,
        "evidence": dict(step.outcome.evidence),
        "explanation": vars(explanation) if explanation else None,
        "problem": step.problem or None,
    }


def _step(number: int, step: Step, width: int) -> Iterator[Line]:
    yield ()
    expected = "refused, as it should be" if step.outcome.explanation else "ok"
    verdict = ("ok", expected) if step.ok else ("bad", "FAILED")
    yield ("title", f"{number}. {step.title}"), ("", " ... "), verdict
    yield from _sentences(step.what, width, "   ")
    yield from _evidence(step.outcome.evidence)
    if step.outcome.explanation:
        yield from _explanation(step.outcome.explanation, width)
    if step.problem:
        yield (("", "   "), ("bad", step.problem))


def _evidence(evidence: Evidence) -> Iterator[Line]:
    for label, value in evidence.items():
        texts = value if isinstance(value, tuple) else (str(value),)
        for name, text in zip((f"{label}:", *[""] * len(texts)), texts, strict=False):
            yield ("label", f"     {name:<{_COLUMN}}"), ("", text)


def _explanation(explanation: Explanation, width: int) -> Iterator[Line]:
    yield (("label", "   What one sees:"),)
    yield from _sentences(explanation.says, width, "     ")
    yield (
        ("label", "   What it means: "),
        ("code", f"[{explanation.code}]"),
        ("", f" {explanation.link}"),
    )
    yield from _sentences(explanation.meaning, width, "     ")
    if explanation.fix not in explanation.says:
        yield (("label", "   What to do:"),)
        yield from _sentences(explanation.fix, width, "     ")


def _sentences(text: str, width: int, indent: str = "") -> Iterator[Line]:
    for line in textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    ):
        yield (("", line),)


Printer = tuple[Callable[[Line], None], int]


def _plain(out: TextIO) -> Printer:
    return lambda line: print("".join(text for _, text in line).rstrip(), file=out), _PLAIN_WIDTH


def _terminal(out: TextIO) -> Printer:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=out, highlight=False)

    def write(line: Line) -> None:
        pieces = [(text, _STYLES[role]) for role, text in line]
        console.print(Text.assemble(*pieces), soft_wrap=True)

    least, most = _WIDTHS
    return write, min(most, max(least, shutil.get_terminal_size().columns))

"""The catalogue for readers: a code or a finding on a terminal, all of it as Markdown.

Pure functions. The Markdown is docs/errors.md: `make docs` writes it, a test keeps it so.
Imports the catalogue only.
"""

import re
import textwrap

from gcp_sa_credential_provider.catalogue.messages import ALL, LINKS, OWN
from gcp_sa_credential_provider.catalogue.recognise import Finding
from gcp_sa_credential_provider.catalogue.texts import TEXTS

NAME = "gcp-sa-credential-provider"
_LABEL = 9  # columns
_GOOD_WIDTH = 100  # columns; longer lines are hard to read
_NARROWEST = 40  # columns; below that a terminal may wrap by itself

_MARKDOWN_HEAD = f"""\
# Errors

Every error that `{NAME}` writes, and what the kubelet, Google, the
container runtime and the registry say when a pull fails. They stand in the order in which a pull
passes the links of the chain: where several appear, the first is likely the cause.

The plugin writes one line to stderr, which the kubelet copies into its log. Codes are stable and
never reused. `<...>` stands for evidence. To look one up, or to have a log read:

    {NAME} explain STS-AUDIENCE
    journalctl -u kubelet | {NAME} explain -

Which log it is on your nodes, and where else to look: [a pull fails](failed-pull.md).

The exit code of the plugin is 2 where the request, the environment or the configuration is wrong,
and 1 where the exchange failed.

This page is made by `make docs`.
"""


def shown(what: str) -> str:
    """A message's `what` with its placeholders as readers know them: `{kid}` -> `<kid>`."""
    return re.sub(r"\{(\w+)\}", r"<\1>", what)


def entry(code: str, width: int, finding: Finding | None = None) -> str:
    """One code for a terminal of `width` columns, with the finding's evidence if there is one."""
    message = ALL[code]
    rows = [("where", message.link)]
    if finding is None:
        rows.append(("what", shown(message.what)))
    else:
        evidence = dict(finding.latest.evidence)
        rows.append(("what", evidence.pop("said", "") or _summary(code)))
        rows += [("found", f"{name}: {value}") for name, value in evidence.items()]
        rows += [("seen", text) for text in [_seen(finding)] if text]
    rows += [("meaning", message.meaning), ("fix", message.fix)]
    return "\n".join([code, *(_row(label, text, width) for label, text in rows)])


def listing(width: int) -> str:
    """Every code with what it stands for, by link of the chain."""
    column = max(map(len, ALL)) + 4
    blocks = []
    for link in LINKS:
        lines = [link]
        for code in _codes(link):
            head = f"  {code}".ljust(column)
            lines.append(_wrap(head, shown(ALL[code].what), column, width))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def markdown() -> str:
    """The whole catalogue as one page; the same text at every call."""
    contents = [
        f"- {link}: " + ", ".join(f"[{code}](#{code.lower()})" for code in _codes(link))
        for link in LINKS
    ]
    parts = [_MARKDOWN_HEAD, "## Contents\n", "\n".join(contents) + "\n"]
    for link in LINKS:
        parts.append(f"## {link[0].upper()}{link[1:]}\n")
        parts += [_section(code) for code in _codes(link)]
    return "\n".join(parts)


def _codes(link: str) -> list[str]:
    return [code for code, message in ALL.items() if message.link == link]


def _section(code: str) -> str:
    message = ALL[code]
    parts = [f"### {code}\n"]
    if code in OWN:
        line = f"{NAME}: [{code}] {shown(message.what)}. Fix: {message.fix}"
        parts.append(f"Exit code {message.exit_code}. The line in the kubelet's log:\n")
        parts.append(f"    {line}\n")
    else:
        parts.append(f"**What:** {_escape(message.what)}\n")
    texts = [text.example for text in TEXTS if text.code == code]
    if texts:
        parts.append("Recognised from:\n")
        parts.append("".join(f"    {text}\n" for text in texts))
    parts.append(f"**Meaning:** {_escape(message.meaning)}\n")
    parts.append(f"**Fix:** {_escape(message.fix)}\n")
    return "\n".join(parts)


def _escape(text: str) -> str:
    """Running text in Markdown: no mark-up comes of names with `*`, `_` or `<`."""
    return re.sub(r"([\\`*_<\[\]])", r"\\\1", text)


def _seen(finding: Finding) -> str:
    """How often and when; nothing of what was seen once at an unknown time."""
    if finding.times == 1:
        return f"at {finding.last}" if finding.last else ""
    return f"{finding.times} times" + (f", last at {finding.last}" if finding.last else "")


def _summary(code: str) -> str:
    """What happened where other people's text gave no evidence for our placeholders."""
    what = ALL[code].what
    return what if "{" not in what else next(t.example for t in TEXTS if t.code == code)


def _row(label: str, text: str, width: int) -> str:
    return _wrap(f"  {label}".ljust(2 + _LABEL), text, 2 + _LABEL, width)


def _wrap(head: str, text: str, indent: int, width: int) -> str:
    return textwrap.fill(
        text,
        max(_NARROWEST, min(width, _GOOD_WIDTH)),
        initial_indent=head,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )

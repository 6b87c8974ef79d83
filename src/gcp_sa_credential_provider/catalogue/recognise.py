"""Other people's texts -> codes of the catalogue, with the evidence in them.

For one line of the kubelet's log, a pod's event, an answer of Google or of the registry. This
program's own line, `gcp-sa-credential-provider: [CODE] ...`, wins over whatever wraps it, the
words of Google that it quotes included. No token gets through: evidence is masked.

Imports the catalogue's tables only.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from gcp_sa_credential_provider.catalogue.messages import ALL, OWN
from gcp_sa_credential_provider.catalogue.texts import TEXTS

_LONGEST_ENTRY = 16 * 1024  # characters of a log entry that are looked at
_LONGEST_EVIDENCE = 400  # characters; one piece of evidence
_LONGEST_BLOCK = 50  # lines of one entry of the kubelet's log
_MOST_OF_A_CODE = 5  # findings; more tell nothing new, and others may choose the names in them
# Evidence that makes two causes of one code, each to be mended by itself; not: whose pull it was.
_APART = ("registry", "resource", "project", "audience", "plugin")

_OWN_LINE = re.compile(
    r"gcp-sa-credential-provider: \[(?P<code>[A-Z0-9-]+)\] (?P<said>.*?)(?:\. Fix: |$)"
)
# Fields of a structured entry that say whose pull it was.
_FIELDS = re.compile(r'\b(image|pod|serviceAccount)="([^"]+)"')
_TIME = re.compile(r"\b[IWEF](\d\d)(\d\d) (\d\d:\d\d:\d\d)\.")  # klog's, at the head of an entry
_IMAGE = re.compile(r"error execing credential provider plugin \S+ for image (\S+): ")
# A JWT, whole or cut; Google's access tokens; credentials in a header or a URL.
_SECRETS = re.compile(
    r"eyJ[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)*"
    r"|ya29\.[A-Za-z0-9._~+/=-]+"
    r"|(?i:\b(?:bearer|basic) +)[A-Za-z0-9._~+/=-]{16,}"
    r"|(?<=://)[^/\s]+(?=@)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----(?s:.*)"
)


@dataclass(frozen=True)
class Recognised:
    """A code of the catalogue, and what the text says of this occurrence.

    The keys of `evidence` are plain words: `audience`, `node`, `registry`, `image`, ...; `said` is
    the middle of this program's own line.
    """

    code: str
    evidence: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """A cause that a log tells of."""

    latest: Recognised
    times: int = 1
    """How many of its entries do."""
    last: str = ""
    """When the latest was written, `MM-DD HH:MM:SS` by the node's clock; "" if it does not say."""


def recognise(text: str) -> Recognised | None:
    """The most telling thing that one log entry, event or answer says; None if unknown."""
    # Quotes come escaped from JSON and from klog, and twice so where one is inside the other.
    entry = re.sub(r'\\{1,8}"', '"', text[:_LONGEST_ENTRY])
    entry = " ".join(entry.split())
    own = _OWN_LINE.search(entry)
    if own and own["code"] in OWN:
        return Recognised(own["code"], _evidence({"said": own["said"]}, entry))
    for known in TEXTS:
        if found := known.pattern.search(entry):
            return Recognised(known.code, _evidence(found.groupdict(), entry))
    return None


def findings(lines: Iterable[str]) -> list[Finding]:
    """The causes that a log tells of, in the order of the chain; of one code the latest come first.

    A log goes from old to new, and what it said first may be mended since.
    """
    found: dict[str, dict[tuple[str | None, ...], Finding]] = {}
    for entry in entries(lines):
        if recognised := recognise(entry):
            of_code = found.setdefault(recognised.code, {})
            cause = tuple(map(recognised.evidence.get, _APART))
            before = of_code.pop(cause, None)
            of_code[cause] = Finding(recognised, before.times + 1 if before else 1, _time(entry))
            if len(of_code) > _MOST_OF_A_CODE:
                del of_code[next(iter(of_code))]
    return [finding for code in ALL for finding in reversed(found.get(code, {}).values())]


def entries(lines: Iterable[str]) -> Iterator[str]:
    """Log entries: one line each, but for klog's blocks from `=<` to a line that begins ` >`.

    klog writes a value of several lines so, and what a plugin wrote to stderr ends in a newline.
    journald may put its own prefix before each line.
    """
    block: list[str] = []
    for line in lines:
        block.append(line)
        opened = block[0].rstrip().endswith("=<")
        if not opened or re.match(r"(?:.*: )? >", line) or len(block) == _LONGEST_BLOCK:
            yield "".join(block)
            block = []
    if block:
        yield "".join(block)


def masked(text: str) -> str:
    """`text` without anything that looks like a token or a password."""
    return _SECRETS.sub("[REDACTED]", text)


def _time(entry: str) -> str:
    found = _TIME.search(entry)
    return "{}-{} {}".format(*found.groups()) if found else ""


def _evidence(groups: dict[str, str | None], entry: str) -> dict[str, str]:
    pieces = {name: value for name, value in groups.items() if value}
    for name, value in _FIELDS.findall(entry):
        pieces.setdefault(name, value)
    if image := _IMAGE.search(entry):
        pieces.setdefault("image", image[1])
    return {name: _shown(value) for name, value in pieces.items()}


def _shown(value: str) -> str:
    """Masked, printable and short: it may end on a terminal."""
    if value.endswith('"') and value.count('"') % 2:  # it closes klog's value, not one in ours
        value = value[:-1]
    text = "".join(c if c.isprintable() else "?" for c in masked(value))
    return text if len(text) <= _LONGEST_EVIDENCE else text[: _LONGEST_EVIDENCE - 3] + "..."

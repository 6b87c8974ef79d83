r"""What systemd is told about a unit: its file and its drop-ins, read from a host's tree.

Imports `files`. Rules: systemd.unit(5) (the folders and their order; drop-ins of all folders in the
order of their names, one of a name in an earlier folder hiding the others; a unit `a-b.service` has
those of `a-.service.d` too), systemd.syntax(7) (a `\` continues a line, `#` and `;` begin a
comment, an empty value empties a list), systemd.service(5) (quoting of a command line).
"""

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from gcp_sa_credential_provider.node.files import Root

FOLDERS = (
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
)
"""First things first; those of generators are left out: no unit of a kubelet is generated."""

_ESCAPES = {"n": "\n", "t": "\t", "s": " ", "r": "\r"}


@dataclass(frozen=True)
class Unit:
    """A unit's settings, in the order in which systemd reads them."""

    name: str
    path: str
    """Of its own file."""
    settings: tuple[tuple[str, str, str], ...]
    """Section, key, value; the value as it is written, lines joined."""

    def values(self, key: str, section: str = "Service") -> list[str]:
        """What counts of a key that may stand several times."""
        found: list[str] = []
        for where, name, value in self.settings:
            if (where, name) == (section, key):
                found = [*found, value] if value else []
        return found

    @property
    def command(self) -> str:
        """The last ExecStart, as it is written, without prefixes; "" where there is none."""
        listed = self.values("ExecStart")
        return listed[-1].lstrip("@-:+!|") if listed else ""


def read(root: Root, name: str, *, without: str = "") -> Unit | None:
    """The unit; None if it has no file. `without`: a drop-in's name that is left out."""
    path = next((path for path in _places(name) if root.read(path) is not None), None)
    if path is None:
        return None
    settings = list(_settings(root, path))
    for drop_in in drop_ins(root, name):
        if posixpath.basename(drop_in) != without:
            settings += _settings(root, drop_in)
    return Unit(name, path, tuple(settings))


def _places(name: str) -> list[str]:
    """Its file may be in; of an instance, its template's too."""
    stem, at, _ = name.partition("@")
    names = [name, f"{stem}@.service"] if at else [name]
    return [f"{folder}/{one}" for one in names for folder in FOLDERS]


def drop_ins(root: Root, name: str) -> list[str]:
    """Paths of the unit's drop-ins, in the order in which they are read."""
    found: dict[str, str] = {}
    stem, _, kind = name.rpartition(".")
    names = [name]
    parts = stem.split("-")
    names += [f"{'-'.join(parts[:count])}-.{kind}" for count in range(len(parts) - 1, 0, -1)]
    names.append(kind)
    for one in names:
        for folder in FOLDERS:
            for file in root.listdir(f"{folder}/{one}.d"):
                if file.endswith(".conf"):
                    found.setdefault(file, f"{folder}/{one}.d/{file}")
    return [found[file] for file in sorted(found)]


def _settings(root: Root, path: str) -> Iterator[tuple[str, str, str]]:
    section = ""
    text = (root.read(path) or b"").decode("utf-8", "surrogateescape")
    for line in _lines(text):
        if line.startswith("[") and line.endswith("]"):
            section = line[1:-1]
        elif "=" in line:
            key, _, value = line.partition("=")
            yield section, key.strip(), value.strip()


def _lines(text: str) -> Iterator[str]:
    """Logical lines: comments gone, continued ones joined."""
    held = ""
    for line in text.splitlines():
        bare = line.strip()
        if bare.startswith(("#", ";")) or (not bare and not held):
            continue
        if bare.endswith("\\"):
            held += bare[:-1] + " "
            continue
        yield (held + bare).strip()
        held = ""
    if held:
        yield held.strip()


@dataclass(frozen=True)
class Word:
    """A word of a command line: as it is written, and what it means."""

    written: str
    meant: str


def words(command: str) -> list[Word]:
    """A command line's words; quotes may stand anywhere in one, as systemd's parser has it."""
    found: list[Word] = []
    at, end = 0, len(command)
    while True:
        while at < end and command[at].isspace():
            at += 1
        if at >= end:
            return found
        start, meant, quote = at, "", ""
        while at < end and (quote or not command[at].isspace()):
            letter = command[at]
            if letter == "\\" and at + 1 < end:
                at += 1
                meant += _ESCAPES.get(command[at], command[at])
            elif letter == quote:
                quote = ""
            elif not quote and letter in "\"'":
                quote = letter
            else:
                meant += letter
            at += 1
        found.append(Word(command[start:at], meant))


def quoted(meant: str) -> str:
    """A word that systemd reads as `meant`; `%` and `$` keep their meaning for systemd."""
    if meant and not any(letter.isspace() or letter in "\"'\\;" for letter in meant):
        return meant
    inner = meant.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{inner}"'

"""The YAML of a description: read strictly, with the place of every value.

Imports ruamel.yaml. YAML 1.2, one document, UTF-8; no anchors, aliases, merges or tags: they make a
description that cannot be edited by a program without being changed elsewhere too.
"""

from collections.abc import Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, StringMark, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    NodeEvent,
)
from ruamel.yaml.reader import ReaderError

from gcp_sa_credential_provider.fleet.problem import (
    BadFleet,
    Finding,
    Location,
    Problem,
    path_of,
    shown,
)

LARGEST = 4 * 1024 * 1024
"""Bytes of a description."""
_DEEPEST = 16  # lists and mappings in one another; the format has seven


def decoded(content: bytes, file: str) -> str:
    """The text of a file. Raises BadFleet."""
    if len(content) > LARGEST:
        problem = Problem(1, 1, "", f"the file is longer than {LARGEST} bytes", "name another one")
        raise BadFleet(file, [problem])
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        problem = Problem(1, 1, "", "the file is UTF-16", "save it as UTF-8")
        raise BadFleet(file, [problem])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start]
        line = before.count(b"\n") + 1
        start = before.rpartition(b"\n")[2].decode()
        byte = content[error.start]
        problem = Problem(
            line, len(start) + 1, "", f"byte 0x{byte:02x} is not UTF-8", "save it as UTF-8"
        )
        raise BadFleet(file, [problem]) from None


def round_trip() -> YAML:
    """A parser and printer that keeps comments, quotes and order."""
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096  # characters: long lines stay as they are
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


class Document:
    """A description's YAML; `root` is a mapping."""

    def __init__(self, text: str, file: str) -> None:
        """Raises BadFleet where it is no such YAML."""
        try:
            problems = list(_strange(text))
            root: Any = None if problems else round_trip().load(text)
        except DuplicateKeyError as error:
            problems = [_duplicate(error)]
        except MarkedYAMLError as error:
            problems = [_broken(error, text)]
        except ReaderError as error:
            problems = [_unreadable(error, text)]
        except (RecursionError, YAMLError, ValueError):
            # ValueError: numbers and dates that YAML's patterns take and Python does not.
            problems = [Problem(1, 1, "", "this is not YAML that can be read", "see docs/fleet.md")]
        if problems:
            raise BadFleet(file, problems)
        if not isinstance(root, CommentedMap):
            what = "the file is empty" if root is None else "the file holds no fields"
            fix = "begin with `version: 1`; see docs/fleet.md"
            raise BadFleet(file, [Problem(1, 1, "", what, fix)])
        self.root: CommentedMap = root

    def problem(self, finding: Finding) -> Problem:
        """A finding with its place: that of the value, else of the nearest thing around it."""
        line, column = self._place(finding.location)
        path = path_of(finding.location)
        return Problem(line + 1, column + 1, path, finding.message, finding.fix)

    def _place(self, location: Location) -> tuple[int, int]:
        value: Any = self.root
        place: tuple[int, int] = (0, 0)
        for step in location:
            if isinstance(value, CommentedMap) and step in value:
                place = value.lc.key(step)
            elif isinstance(value, CommentedSeq) and isinstance(step, int) and step < len(value):
                place = value.lc.item(step)
            else:
                break
            value = value[step]
        return place


def plain(value: Any) -> Any:
    """The same as dict, list, and Python's own scalars."""
    if isinstance(value, CommentedMap):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, CommentedSeq):
        return [plain(item) for item in value]
    for kind in (bool, int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def _strange(text: str) -> Iterator[Problem]:
    """What YAML allows and a description does not."""
    documents = depth = 0
    for event in round_trip().parse(text):
        mark = event.start_mark
        what, fix = None, "write the value out"
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > _DEEPEST:
            # Reading on would take time by the square of the depth.
            what, fix = "lists or mappings stand too deep in one another here", "see docs/fleet.md"
            yield Problem(mark.line + 1, mark.column + 1, "", what, fix)
            return
        if isinstance(event, DocumentStartEvent):
            documents += 1
            if documents > 1:
                what, fix = "a second document begins here", "keep one document in the file"
        elif isinstance(event, AliasEvent):
            what = "an alias (*name) stands here"
        elif isinstance(event, NodeEvent) and event.anchor:
            what = "an anchor (&name) stands here"
        elif getattr(event, "tag", None):
            what, fix = "a tag (!name) stands here", "take it out"
        if what is not None:
            yield Problem(mark.line + 1, mark.column + 1, "", what, fix)


def _duplicate(error: DuplicateKeyError) -> Problem:
    line, column = _mark(error)
    # The library's text: found duplicate key "NAME" with value "..." (original value: ...).
    name = str(error.problem).partition('"')[2].partition('"')[0]
    field = name if name.isidentifier() and name.isascii() else shown(name)
    return Problem(line, column, "", f"the field {field} stands here twice", "keep one of them")


def _broken(error: MarkedYAMLError, text: str) -> Problem:
    line, column = _mark(error)
    lines = text.splitlines()
    around = lines[line - 1] if line <= len(lines) else ""
    if "\t" in around:
        column = around.index("\t") + 1
        return Problem(
            line, column, "", "there is a tab, and YAML is indented by spaces", "put spaces there"
        )
    said = " ".join(str(part) for part in (error.context, error.problem) if part)
    what = said.encode("ascii", "backslashreplace").decode()
    return Problem(line, column, "", f"this is not YAML: {what}", "correct the line")


def _mark(error: MarkedYAMLError) -> tuple[int, int]:
    mark = error.problem_mark or error.context_mark
    return (mark.line + 1, mark.column + 1) if isinstance(mark, StringMark) else (1, 1)


def _unreadable(error: ReaderError, text: str) -> Problem:
    before = text[: error.position]
    return Problem(
        before.count("\n") + 1,
        len(before.rpartition("\n")[2]) + 1,
        "",
        f"the character U+{ord(text[error.position]):04X} has no place in YAML",
        "take it out",
    )

"""A configuration file as the kubelet reads it, with the place of everything in its text.

Imports PyYAML's pure-Python parser for positions. The rules are those of the kubelet's decoder:

* a text whose first character other than white space is `{` is JSON and nothing else (apimachinery
  pkg/runtime/serializer/recognizer, IsJSONBuffer); any other is YAML, its first document alone
  (go.yaml.in/yaml/v2 `Unmarshal`);
* YAML 1.1 by the rules of go-yaml v2 (resolve.go, decode.go): which plain words are booleans, nulls
  and numbers; tabs may separate, not indent; a key may not stand twice, not even merged by `<<`;
* text is not coerced: where the kubelet wants a string, an unquoted number is an error.

PyYAML differs from go-yaml in few places; those that people meet are evened out here.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from yaml.error import MarkedYAMLError, YAMLError
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentStartEvent,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)
from yaml.parser import Parser
from yaml.reader import Reader, ReaderError
from yaml.scanner import Scanner, ScannerError
from yaml.tokens import DirectiveToken, ScalarToken

BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""A line break of YAML 1.1."""

_TAG = "tag:yaml.org,2002:"
_DEEPEST = 50
_MOST = 100_000  # values, aliases counted as often as they are used
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys("y Y yes Yes YES true True TRUE on On ON".split(), True),  # noqa: SIM905 -- as YAML 1.1 lists them
    **dict.fromkeys("n N no No NO false False FALSE off Off OFF".split(), False),  # noqa: SIM905 -- so too
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
# strconv.ParseInt with base 0 and go-yaml's yamlStyleFloat, once underscores are dropped.
_INTEGER = re.compile(r"[-+]?(0[xX][0-9a-fA-F]{1,16}|0[bB][01]{1,64}|0[oO]?[0-7]{1,21}|0|[1-9]\d*)")
_FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?")
_ODD_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class Unreadable(Exception):  # noqa: N818 -- said of the file
    """The kubelet, or this program, cannot read the text; line and column count from 1."""

    def __init__(self, line: int, column: int, what: str) -> None:
        super().__init__(f"line {line}, column {column}: {what}")
        self.line, self.column, self.what = line, column, what


@dataclass(frozen=True)
class Number:
    """An unquoted number; the kubelet's configuration has no place for any."""

    text: str


@dataclass(eq=False)
class Node:
    """A value in its place. `start` and `end` are offsets in the text; `end` is where content ends.

    Comments, blank lines and the line break behind a block's last line are outside.
    """

    kind: Literal["scalar", "sequence", "mapping", "alias"]
    start: int
    end: int
    line: int
    column: int
    """Both from 1."""
    indicator: int = -1
    """Of a block sequence: offset of its first `-`."""
    block: bool = False
    """Written by indentation, not in brackets or quotes."""
    plain: bool = False
    """A scalar without quotes."""
    tag: str | None = None
    text: str = ""
    children: list["Node"] = field(default_factory=list)
    """Of a sequence its items; of a mapping key, value, key, value, …; of an alias its target."""

    @property
    def real(self) -> "Node":
        """The value meant: itself, or what the alias stands for."""
        return self.children[0].real if self.kind == "alias" else self

    def error(self, what: str) -> Unreadable:
        """A complaint about this place."""
        return Unreadable(self.line, self.column, what)


class _Parser(Reader, Scanner, Parser):
    """PyYAML's parser, with go-yaml's rules where they differ."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        self._json = is_json(text)

    def scan_directive(self) -> DirectiveToken:
        """Others are an error (yaml_parser_process_directives)."""
        token = super().scan_directive()
        told: Any = (token.name, token.value)
        if told[0] == "YAML" and told[1] != (1, 1):
            raise ScannerError(None, None, "the kubelet reads YAML 1.1 only", token.start_mark)
        if told[0] not in ("YAML", "TAG"):
            raise ScannerError(None, None, "an unknown directive", token.start_mark)
        return token

    def scan_to_next_token(self) -> None:
        """Tabs separate tokens, but do not indent (yaml_parser_scan_to_next_token).

        JSON knows no indentation.
        """
        super().scan_to_next_token()
        while self.peek() == "\t" and (self._json or self.flow_level or not self.allow_simple_key):
            while self.peek() in (" ", "\t"):
                self.forward()
            super().scan_to_next_token()

    def scan_plain(self) -> ScalarToken:
        """In brackets a colon ends a plain word only before white space."""
        token = super().scan_plain()
        if self.flow_level and self.peek() == ":" and self.peek(1) in tuple(",[]{}"):
            mark = self.get_mark()
            raise ScannerError(None, None, "a ':' here needs a space behind it", mark)
        return token


def is_json(text: str) -> bool:
    """Whether the kubelet takes the text for JSON."""
    return text.lstrip().startswith("{")


def read(text: str) -> Node:
    """The tree of the first document. Raises Unreadable."""
    told = _json(text) if is_json(text) else None
    try:
        root = _Builder(text).root
    except MarkedYAMLError as error:
        mark: Any = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        what = " ".join(filter(None, (error.context, error.problem)))
        raise Unreadable(line, column, f"not YAML: {what}") from None
    except ReaderError as error:
        line, column = position(text, error.position)
        what = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
        raise Unreadable(line, column, what) from None
    except YAMLError as error:
        raise Unreadable(1, 1, f"not YAML: {error}") from None
    if told is not None and value(root) != told:
        raise root.error("JSON in a form that this program does not understand")
    return root


def position(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1."""
    start, line = 0, 1
    for found in BREAK.finditer(text, 0, offset):
        start, line = found.end(), line + 1
    return line, offset - start + 1


def _json(text: str) -> Any:
    def refuse(word: str) -> None:
        raise ValueError(word)

    try:
        return json.loads(text, parse_int=Number, parse_float=Number, parse_constant=refuse)
    except json.JSONDecodeError as error:
        what = f"not JSON, as which the kubelet reads a file that begins with '{{': {error.msg}"
        raise Unreadable(error.lineno, error.colno, what) from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(1, 1, f"not JSON: {error}") from None


class _Builder:
    """The tree of the first document, from the parser's events: these know where aliases stand."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._json = is_json(text)
        self._anchors: dict[str, Node] = {}
        self._open: list[Node] = []
        self.root = Node("scalar", 0, 0, 1, 1, plain=True)
        """A text without a document is a null."""
        for event in self._events():
            self._take(event)

    def _events(self) -> Iterator[Any]:
        """Those of the first document's content."""
        parser: Any = _Parser(self._text)
        while parser.check_event(StreamStartEvent, DocumentStartEvent):
            parser.get_event()
        depth, begun = 0, False
        while not (begun and depth == 0) and not parser.check_event(StreamEndEvent):
            event = parser.get_event()
            depth += isinstance(event, CollectionStartEvent)
            depth -= isinstance(event, CollectionEndEvent)
            begun = True
            yield event
        parser.peek_event()  # what follows the document must begin like something that may

    def _take(self, event: Any) -> None:
        if isinstance(event, CollectionEndEvent):
            closed = self._open.pop()
            if not closed.block:
                end: Any = event.end_mark
                closed.end = end.index
                self._close(closed.end)
            return
        node = self._node(event)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self.root = node
        if node.kind != "alias" and event.anchor:
            self._anchors[event.anchor] = node
        if isinstance(event, CollectionStartEvent):
            if len(self._open) == _DEEPEST:
                raise node.error(f"nested more than {_DEEPEST} deep")
            self._open.append(node)
        else:
            self._close(node.end)

    def _close(self, end: int) -> None:
        for node in self._open:
            node.end = end

    def _node(self, event: Any) -> Node:
        start: Any = event.start_mark
        end: Any = event.end_mark
        where = (start.index, end.index, start.line + 1, start.column + 1)
        if isinstance(event, AliasEvent):
            target = self._anchors.get(str(event.anchor))
            if target is None:
                raise Unreadable(*where[2:], f"no anchor '{event.anchor}' before this alias")
            if target in self._open:
                raise Unreadable(*where[2:], f"the anchor '{event.anchor}' contains itself")
            return Node("alias", *where, children=[target])
        if isinstance(event, ScalarEvent):
            node = Node("scalar", *where, tag=event.tag, text=event.value)
            node.plain = event.style is None and event.implicit[0]
            node.block = event.style in ("|", ">")
            if node.block:  # its end is the start of the line behind it
                node.end = _before_break(self._text, node.start, node.end)
            self._surrogates(node)
            return node
        kind: Literal["sequence", "mapping"] = (
            "sequence" if isinstance(event, SequenceStartEvent) else "mapping"
        )
        node = Node(kind, *where, tag=event.tag, block=not event.flow_style)
        if node.block and kind == "sequence":
            # The mark stands before the `-`, or behind it where that is not indented.
            node.indicator = end.index - (self._text[end.index : end.index + 1] != "-")
        return node

    def _surrogates(self, node: Node) -> None:
        if any("\ud800" <= letter <= "\udfff" for letter in node.text):
            if not self._json:
                raise node.error("an escape that is no character")
            pairs = node.text.encode("utf-16-le", "surrogatepass")
            node.text = pairs.decode("utf-16-le", "surrogatepass")


def _before_break(text: str, start: int, end: int) -> int:
    """`end` without a line break right before it."""
    breaks = [found for found in BREAK.finditer(text, start, end) if found.end() == end]
    return breaks[0].start() if breaks else end


def scalar(node: Node) -> str | bool | Number | None:
    """What a scalar's text means."""
    tag = (node.tag or "").removeprefix(_TAG)
    if tag in ("binary", "timestamp"):
        raise node.error(f"!!{tag} has no place in this configuration")
    if tag == "str" or (not tag and not node.plain):
        return node.text
    if tag not in ("", "bool", "int", "float", "null"):
        return node.text
    meant = _plain(node.text)
    kind = {bool: "bool", Number: "number", type(None): "null"}.get(type(meant), "str")
    if tag and kind != {"int": "number", "float": "number"}.get(tag, tag):
        raise node.error(f"not of the type !!{tag}")
    return meant


def _plain(text: str) -> str | bool | Number | None:
    if text in _WORDS:
        return _WORDS[text]
    bare = text.replace("_", "") if text[:1] != "_" and text[:1] != "." else text
    if _ODD_FLOAT.fullmatch(text) or _INTEGER.fullmatch(bare):
        return Number(text)
    if _FLOAT.fullmatch(bare) and math.isfinite(float(bare)):
        return Number(text)
    return text


def members(node: Node) -> dict[str, tuple[Node, Node]]:
    """A mapping's keys and values by key, merged ones too. Raises Unreadable."""
    found: dict[str, tuple[Node, Node]] = {}
    pairs = node.real.children
    for key, item in zip(pairs[::2], pairs[1::2], strict=True):
        meant = scalar(key.real) if key.real.kind == "scalar" else None
        if meant == "<<" and key.kind == "scalar" and key.plain:
            more = [pair for source in _sources(item) for pair in members(source).items()]
        elif isinstance(meant, str):
            more = [(meant, (key, item))]
        else:
            raise key.error("a key that is no text")
        for name, pair in more:
            if name in found:
                raise key.error(f"the key {json.dumps(name)} is there already")
            found[name] = pair
    return found


def _sources(merged: Node) -> list[Node]:
    listed = merged.real.children if merged.real.kind == "sequence" else [merged]
    if any(source.real.kind != "mapping" for source in listed):
        raise merged.error("'<<' merges mappings only")
    return listed[::-1]


def value(node: Node) -> Any:
    """The node as dict, list, str, bool, None and Number. Raises Unreadable."""
    left = [_MOST]

    def build(node: Node) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise node.error(f"more than {_MOST} values; aliases count as often as they are used")
        real = node.real
        if real.kind == "scalar":
            return scalar(real)
        if real.kind == "sequence":
            return [build(item) for item in real.children]
        return {name: build(item) for name, (_, item) in members(real).items()}

    return build(node)

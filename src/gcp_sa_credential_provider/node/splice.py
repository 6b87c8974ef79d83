"""Put entries into the text of a CredentialProviderConfig, and cut them out again.

Imports `document`. The text of others is never written anew: bytes are inserted at one place, or
cut, and the result is read again; unless all else means what it meant, `Unspliced` is raised.
Cutting what was put gives the same text as before, whatever others did elsewhere in the file.
"""

import functools
import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from gcp_sa_credential_provider.node import document
from gcp_sa_credential_provider.node.document import BREAK, Node, Number, Unreadable

Entry = Mapping[str, Any]
"""A provider's entry: dict, list, str, bool and None."""

_PROVIDERS = "providers"
_DEEPER = "  "
_WHITE = " \t\r\n\x85\u2028\u2029"
_T = TypeVar("_T")
# The same text is looked at several times over; its tree is only looked at.
_read = functools.lru_cache(4)(document.read)
# Characters that a double-quoted text of YAML 1.1 must not hold, or takes for a line break.
_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


class Unspliced(Exception):  # noqa: N818 -- said of the text
    """The text cannot be changed so that all else stays; `str()` says why."""


class LastOne(Unspliced):
    """Nothing would be left in the list, and the kubelet does not start on an empty one."""


def entries(text: str) -> list[Any]:
    """What `providers` holds. Raises Unreadable, Unspliced."""
    return [document.value(item) for item in _sequence(text).children]


def put(text: str, wanted: Sequence[Entry]) -> str:
    """The text with these entries; those of the same names are replaced where they stand.

    Raises Unreadable, Unspliced.
    """
    names = [entry["name"] for entry in wanted]
    spliced = text
    for entry in wanted:
        spliced = _put(spliced, entry)
    _verify(text, spliced, names, wanted)
    return spliced


def cut(text: str, names: Collection[str]) -> str:
    """The text without the entries of these names.

    Raises Unreadable, Unspliced, and of these LastOne where no entry would be left.
    """
    spliced, sequence = text, _sequence(text)
    while (place := _find(sequence, names)) is not None:
        if len(sequence.children) == 1:
            raise LastOne(
                "no provider would be left, and a kubelet does not start on an empty list"
            )
        spliced = (_cut_line if sequence.block else _cut_item)(spliced, sequence, place)
        sequence = _again(_sequence, spliced)
    _verify(text, spliced, names, ())
    return spliced


def whole(wanted: Sequence[Entry], comment: str) -> str:
    """A file of its own for these entries."""
    lines = [
        f"# {comment}",
        "apiVersion: kubelet.config.k8s.io/v1",
        "kind: CredentialProviderConfig",
        f"{_PROVIDERS}:",
    ]
    for entry in wanted:
        first, *more = _block(entry)
        lines += [f"- {first}", *(_DEEPER + line for line in more)]
    return "\n".join([*lines, ""])


def _sequence(text: str) -> Node:
    root = _read(text)
    if root.real.kind != "mapping":
        raise root.error("not a mapping, as a CredentialProviderConfig is")
    pair = document.members(root).get(_PROVIDERS)
    if pair is None:
        raise Unspliced(f"there is no `{_PROVIDERS}`")
    sequence = pair[1].real
    if sequence.kind != "sequence" or not sequence.children:
        raise Unspliced(f"line {sequence.line}: `{_PROVIDERS}` is no list with entries")
    return sequence


def _name(item: Node) -> object:
    meant = document.value(item)
    return meant.get("name") if isinstance(meant, dict) else None


def _find(sequence: Node, names: Collection[str]) -> int | None:
    found = (place for place, item in enumerate(sequence.children) if _name(item) in names)
    return next(found, None)


def _again(read: Callable[[str], _T], text: str) -> _T:
    """What is read of a text that was changed. Raises Unspliced: that cannot be read."""
    try:
        return read(text)
    except Unreadable as error:
        raise Unspliced(f"it could not be read any more ({error})") from None


def _verify(before: str, after: str, names: Collection[str], wanted: Sequence[Entry]) -> None:
    """Everything but the entries of these names is as it was, and they are as wanted."""
    if before == after and not wanted:
        return
    old, new = (_again(lambda some: document.value(_read(some)), text) for text in (before, after))
    kept, found = old.pop(_PROVIDERS), new.pop(_PROVIDERS)
    theirs = [[item for item in some if not _is(item, names)] for some in (kept, found)]
    ours = {item["name"]: item for item in found if _is(item, names)}
    there = {entry["name"]: entry for entry in wanted}
    if (
        old != new
        or theirs[0] != theirs[1]
        or ours != there
        or len(found) > len(theirs[1] + [*ours])
    ):
        raise Unspliced(
            "something else in it would mean something else (an anchor that is shared, or an end"
            " within a text block, without a line break?)"
        )


def _is(item: object, names: Collection[str]) -> bool:
    return isinstance(item, dict) and item.get("name") in names


# How a text is laid out.


def _break(text: str, offset: int) -> str:
    """The line break that is used there."""
    found = BREAK.search(text, offset) or BREAK.search(text)
    return found[0] if found else "\n"


def _line_start(text: str, offset: int) -> int:
    start = 0
    for found in BREAK.finditer(text, 0, offset):
        start = found.end()
    return start


def _line_end(text: str, offset: int) -> tuple[int, int]:
    """Where the line ends, before and behind its break."""
    found = BREAK.search(text, offset)
    return (found.start(), found.end()) if found else (len(text), len(text))


def _margin(text: str, offset: int) -> str | None:
    """The white space before it, if nothing else is before it on its line."""
    before = text[_line_start(text, offset) : offset]
    return before if not before.strip(" \t") else None


# Putting.


def _put(text: str, entry: Entry) -> str:
    sequence = _sequence(text)
    place = _find(sequence, [entry["name"]])
    if place is not None:
        item = sequence.children[place]
        if document.value(item) == entry:
            return text
        return text[: item.start] + _in_place(text, sequence, item, entry) + text[item.end :]
    return _add_line(text, sequence, entry) if sequence.block else _add_item(text, sequence, entry)


def _in_place(text: str, sequence: Node, item: Node, entry: Entry) -> str:
    if item.kind == "alias" or not sequence.block or not item.block:
        return _flow(entry)
    ending = _break(text, item.start) + " " * (item.column - 1)
    return ending.join(_block(entry))


def _add_line(text: str, sequence: Node, entry: Entry) -> str:
    """Behind the last entry, in lines of its own."""
    last = sequence.children[-1]
    margin = " " * (sequence.indicator - _line_start(text, sequence.indicator))
    end = _line_end(text, last.end)[0]
    ending = _break(text, _line_start(text, last.start)) + margin
    first, *more = _block(entry)
    lines = "".join(ending + line for line in [f"- {first}", *(_DEEPER + line for line in more)])
    return text[:end] + lines + text[end:]


def _add_item(text: str, sequence: Node, entry: Entry) -> str:
    """Behind the last entry, in a line of its own where that has one."""
    last = sequence.children[-1]
    margin = _margin(text, last.start)
    if margin is None:
        added = ", " + _flow(entry)
    else:
        ending = _break(text, _line_start(text, last.start)) + margin
        added = "," + ending + ending.join(_pretty(entry))
    return text[: last.end] + added + text[last.end :]


# Cutting.


def _cut_line(text: str, sequence: Node, place: int) -> str:
    item = sequence.children[place]
    start = _dash(text, sequence, place)
    if _margin(text, start) is None:
        raise Unspliced(f"line {item.line}: the entry does not begin a line of its own")
    start = _line_start(text, start)
    end, behind = _line_end(text, max(item.end, start))
    breaks = [found for found in BREAK.finditer(text, 0, start) if found.end() == start]
    if not breaks:
        return text[:start] + text[behind:]
    return text[: breaks[0].start()] + text[end:]  # as it was put: with the break before it


def _dash(text: str, sequence: Node, place: int) -> int:
    """Where the `-` of an entry is."""
    if place == 0:
        return sequence.indicator
    width = sequence.indicator - _line_start(text, sequence.indicator)
    offset = _line_end(text, sequence.children[place - 1].end)[1]
    while offset < len(text):
        if text[offset : offset + width + 1] == " " * width + "-":
            return offset + width
        offset = _line_end(text, offset)[1]
    raise Unspliced(f"line {sequence.children[place].line}: the entry's '-' was not found")


def _cut_item(text: str, sequence: Node, place: int) -> str:
    items = sequence.children
    if place:
        comma = _comma(text, items[place - 1].end, items[place].start)
        between = text[comma + 1 : items[place].start]
        kept = "" if not between.strip(_WHITE) else between
        return text[:comma] + kept + text[items[place].end :]
    comma = _comma(text, items[0].end, items[1].start)
    behind = text[comma + 1 :]
    return text[: items[0].start] + text[items[0].end : comma] + behind.lstrip(_WHITE)


def _comma(text: str, start: int, end: int) -> int:
    """The comma between two entries: what else stands there are white space and comments."""
    comment = False
    for offset in range(start, end):
        if BREAK.match(text, offset):
            comment = False
        elif text[offset] == "#":
            comment = True
        elif text[offset] == "," and not comment:
            return offset
    raise Unspliced("the comma between two entries was not found")


# Writing values. JSON is YAML too, as long as its texts hold nothing that YAML escapes.


def _quoted(text: str) -> str:
    plain = json.dumps(text, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", plain)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_quoted(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, Number):  # a mistake of somebody, and not made worse here
        return value.text
    return _quoted(value) if isinstance(value, str) else json.dumps(value)


def _pretty(value: Any) -> list[str]:
    """As `_flow`, in lines."""
    if isinstance(value, Mapping) and value:
        parts = [(_quoted(key) + ": ", item) for key, item in value.items()]
    elif isinstance(value, list) and value:
        parts = [("", item) for item in value]
    else:
        return [_flow(value)]
    opening, closing = "{}" if isinstance(value, Mapping) else "[]"
    lines = [opening]
    for number, (key, item) in enumerate(parts, 1):
        first, *more = _pretty(item)
        inner = [key + first, *more]
        inner[-1] += "," * (number < len(parts))
        lines += [_DEEPER + line for line in inner]
    return [*lines, closing]


def _block(value: Entry) -> list[str]:
    return list(_block_lines(value))


def _block_lines(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            name = key if re.fullmatch(r"[A-Za-z][A-Za-z]+", key) and key not in _WORDS else None
            head = f"{name or _quoted(key)}:"
            if isinstance(item, list | Mapping) and item:
                yield head
                deeper = "" if isinstance(item, list) else _DEEPER
                yield from (deeper + line for line in _block_lines(item))
            else:
                yield f"{head} {_flow(item)}"
    elif isinstance(value, list) and value:
        for item in value:
            first, *more = _block_lines(item)
            yield f"- {first}"
            yield from (_DEEPER + line for line in more)
    else:
        yield _flow(value)


_WORDS = frozenset("yes no on off true false null".split())  # noqa: SIM905 -- read better so

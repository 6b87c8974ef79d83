"""A configuration's text as the kubelet reads it, with the place of everything."""

from typing import Any

import pytest

from gcp_sa_credential_provider.node import document
from gcp_sa_credential_provider.node.document import Number, Unreadable


def said(text: str) -> Any:
    return document.value(document.read(text))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("a: 1", {"a": Number("1")}),
        ("a: 0x1F", {"a": Number("0x1F")}),
        ("a: 0o17", {"a": Number("0o17")}),
        ("a: 0b1", {"a": Number("0b1")}),
        ("a: 1_000", {"a": Number("1_000")}),
        ("a: -1.5e3", {"a": Number("-1.5e3")}),
        ("a: .inf", {"a": Number(".inf")}),
        ("a: 1e999", {"a": "1e999"}),
        ("a: 08", {"a": Number("08")}),
        ("a: 1h", {"a": "1h"}),
        ("a: yes", {"a": True}),
        ("a: y", {"a": True}),
        ("a: Off", {"a": False}),
        ("a: yEs", {"a": "yEs"}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: 'yes'", {"a": "yes"}),
        ("a: !!str yes", {"a": "yes"}),
        ("a: !!bool yes", {"a": True}),
        ("a: !!int 3", {"a": Number("3")}),
        ("a: !own x", {"a": "x"}),
        ("a: 2001-01-01", {"a": "2001-01-01"}),
        ("a: |\n  b\n", {"a": "b\n"}),
        ("a: >-\n  b\n  c\n", {"a": "b c"}),
        ("a: {b: [c, d], e: }\n", {"a": {"b": ["c", "d"], "e": None}}),
        ("a: [b,c:d]\n", {"a": ["b", "c:d"]}),
        ("a:\tb\t# c", {"a": "b"}),
        ("a: &x [1]\nb: *x\n", {"a": [Number("1")], "b": [Number("1")]}),
        ("a: &x {b: c}\nd: {<<: *x, e: f}\n", {"a": {"b": "c"}, "d": {"b": "c", "e": "f"}}),
        ("a: {<<: [{b: c}, {d: e}]}\n", {"a": {"b": "c", "d": "e"}}),
        ("a: b\n---\nc: d\n", {"a": "b"}),
        ("%YAML 1.1\n---\na: b\n...\n", {"a": "b"}),
        ("\ufeffa: b", {"a": "b"}),
        (' \t\n{"a": [1, "\\ud83d\\ude00"]}\t\n', {"a": [Number("1"), "\U0001f600"]}),
    ],
)
def test_what_it_says(text: str, value: Any) -> None:
    """By the rules of go-yaml v2."""
    assert said(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a: b: c", "line 1, column 5: not YAML: mapping values are not allowed here"),
        ("a:\n\tb: c", "line 2, column 1: not YAML"),
        ("a: [b:]", "a ':' here needs a space behind it"),
        ("a: \x00", "line 1, column 4: the character U+0000 is not allowed in YAML"),
        ("%YAML 1.2\n---\na: b", "line 1, column 1: not YAML: the kubelet reads YAML 1.1 only"),
        ("%OTHER x\n---\na: b", "line 1, column 1: not YAML: an unknown directive"),
        ("a: *x", "line 1, column 4: no anchor 'x' before this alias"),
        ("a: &x [*x]", "the anchor 'x' contains itself"),
        ("a: b\na: c", 'line 2, column 1: the key "a" is there already'),
        ("a: {<<: {b: c}, b: d}", 'the key "b" is there already'),
        ("a: {<<: b}", "'<<' merges mappings only"),
        ("1: a", "a key that is no text"),
        ("[a]: b", "a key that is no text"),
        ("a: !!binary aGk=", "!!binary has no place in this configuration"),
        ("a: !!int x", "not of the type !!int"),
        ('a: "\\ud800"', "an escape that is no character"),
        ("[" * 60 + "]" * 60, "nested more than 50 deep"),
        ('{"a": b}', "not JSON, as which the kubelet reads a file that begins with '{'"),
        ('{"a": NaN}', "not JSON: NaN"),
        ('{"a": "\x85"}', "JSON in a form that this program does not understand"),
        ('{"a": 1, "a": 1}', 'the key "a" is there already'),
    ],
)
def test_what_cannot_be_read(text: str, why: str) -> None:
    with pytest.raises(Unreadable) as raised:
        said(text)
    assert why in str(raised.value)


def test_aliases_are_counted() -> None:
    """A short text that means a very long one is not followed to its end."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 7)]
    with pytest.raises(Unreadable, match="more than 100000 values"):
        said("\n".join(lines))


def test_places() -> None:
    text = "# c\nproviders:\n  - name: a # c\n    args:\n    - b\n\n  - c\nlast: |\n  d\n\n"
    root = document.read(text)
    listed = document.members(root)["providers"][1]
    first, second = listed.children
    assert text[first.start : first.end] == "name: a # c\n    args:\n    - b"
    assert text[second.start : second.end] == "c"
    assert (second.line, second.column) == (7, 5)
    assert text[listed.indicator] == "-"
    assert document.position(text, listed.indicator) == (3, 3)
    assert text[root.start : root.end].endswith("|\n  d\n")


@pytest.mark.parametrize("ending", ["\n", "\r\n", "\x85", "\u2028"])
def test_lines(ending: str) -> None:
    assert document.position(f"a{ending}bc", 1 + len(ending) + 1) == (2, 2)

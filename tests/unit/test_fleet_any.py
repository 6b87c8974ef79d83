"""Any change of a good description is read, or refused in the words of a description."""

import copy
import json
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gcp_sa_credential_provider.fleet.load import BadFleet, parse
from unit.fleet_samples import GOOD

BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""Of lines, as YAML counts them."""
TREE = yaml.safe_load(GOOD)
WORDS = [
    "prod",
    "images",
    "1.33",
    "*",
    "",
    "gcr.io",
    "https://x",
    "uploaded",
    "Token",
    "\n",
    "\x85",
]
SLIPS = ["&a", "*a", "!b", "-", ":", "#", "'", '"', "{", "[", "|", "\t", "\n", "---\n"]
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(WORDS) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=4,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The ways down to every value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


PLACES = st.sampled_from(list(places(TREE)))


def put(path: tuple[Any, ...], value: Any) -> str:
    """The sample with one value replaced; YAML takes JSON."""
    tree = copy.deepcopy(TREE)
    place: Any = tree
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return json.dumps(tree)


def read(text: str) -> None:
    """Read it; nothing but BadFleet may come out, and that is fit for people."""
    with suppress(BadFleet):
        parse(text, "fleet.yaml", None)
        return
    with pytest.raises(BadFleet) as caught:
        parse(text, "fleet.yaml", None)
    assert caught.value.problems
    for problem in caught.value.problems:
        assert 1 <= problem.line <= len(BREAK.split(text))
        assert problem.column >= 1
        assert problem.message
        assert problem.fix
    lines = str(caught.value).splitlines()
    assert len(lines) == len(caught.value.problems)
    assert all(line.isprintable() for line in lines), lines


@given(PLACES, ANYTHING)
@settings(deadline=None, max_examples=60)
def test_any_value_anywhere(path: tuple[Any, ...], value: Any) -> None:
    """Wrong kinds, wrong words, nothing at all."""
    read(put(path, value))


@given(PLACES, st.text(max_size=8), ANYTHING)
@settings(deadline=None, max_examples=20)
def test_any_field_anywhere(path: tuple[Any, ...], name: str, value: Any) -> None:
    """A field that is not of the format, in any mapping."""
    read(put(path, {name: value}))


@given(st.integers(0, len(GOOD)), st.text(max_size=4) | st.sampled_from(SLIPS))
@settings(deadline=None, max_examples=40)
def test_any_text_anywhere(position: int, text: str) -> None:
    """What a slip of the hand makes of the file."""
    read(GOOD[:position] + text + GOOD[position:])


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("keys", "\ud800", "'\\ud800' has half a character. Fix: write it out, in UTF-8"),
        ("jwks", "\ud800", "'\\ud800' is not a file beside this one."),
        ("jwks", "a\x85b", "'a\\x85b' is not a file beside this one."),
        ("issuer", "\ud800", "'\\ud800' does not begin with https://."),
    ],
)
def test_odd_characters_are_shown_escaped(field: str, value: str, message: str) -> None:
    """They come by YAML's own escapes."""
    with pytest.raises(BadFleet) as caught:
        parse(put(("clusters", 0, field), value), "fleet.yaml", None)
    assert f": clusters[0].{field}: {message}" in str(caught.value)


def test_a_large_file() -> None:
    """Hundreds of entries, all of them kept."""
    many = copy.deepcopy(TREE)
    many["pull"] += [
        {"cluster": "cloud", "namespace": f"n{number % 50}", "serviceAccount": f"a{number}"}
        for number in range(500)
    ]
    assert len(parse(json.dumps(many), "fleet.yaml", None).pull) == 502

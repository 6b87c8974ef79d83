"""jsonc: the standard library's `json` is the judge."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcp_sa_credential_provider.plugin.jsonc import NotJson, dumps, loads

SCALARS = st.none() | st.booleans() | st.integers() | st.text()
VALUES = st.recursive(SCALARS, lambda v: st.lists(v) | st.dictionaries(st.text(), v), max_leaves=20)


@given(VALUES)
def test_json_reads_what_dumps_writes(value: object) -> None:
    """Including lone surrogates, which stay escaped."""
    assert json.loads(dumps(value)) == value


@given(VALUES)
def test_loads_reads_what_json_writes(value: object) -> None:
    """White space around the document is allowed."""
    assert loads(b" \r\n" + json.dumps(value, indent=1).encode() + b"\n\t") == value


@given(st.binary())
def test_any_bytes_are_json_or_not_json(data: bytes) -> None:
    """Nothing but NotJson is ever raised, and only for what `json` refuses too."""
    try:
        value = loads(data)
    except NotJson:
        with pytest.raises((ValueError, RecursionError)):
            json.loads(data.decode(), parse_constant=_refuse)
    else:
        assert json.dumps(value) == json.dumps(json.loads(data.decode()))


def _refuse(name: str) -> None:
    raise ValueError(name)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b" ", "empty"),
        (b"x", "no value at character 0"),
        (b"{}x", "more after the document's end at character 2"),
        (b"\xff", "invalid UTF-8 at byte 0"),
        (b"[" * 100_000, "nested too deeply"),
        (b"1" * 5000, "malformed"),
        (b"NaN", "NaN is not JSON"),
        (b"[-Infinity]", "-Infinity is not JSON"),
        (b'"a\nb"', "malformed at character 2"),
    ],
)
def test_the_reason_quotes_nothing(data: bytes, reason: str) -> None:
    """The text may hold a token."""
    with pytest.raises(NotJson) as caught:
        loads(data)
    assert str(caught.value) == reason


def test_no_other_type_is_written() -> None:
    """A programming error, found by the first test that meets it."""
    with pytest.raises(TypeError, match="no JSON for float"):
        dumps([1.5])

"""text: nothing of a secret is ever shown, nor anything that is not printable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcp_sa_credential_provider.plugin.text import moment, printable, redact

SECRET = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJodHRwcyJ9.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nothing in it", "nothing in it"),
        (f"you sent {SECRET}!", "you sent [REDACTED]!"),
        (f"{SECRET[:20]}\n{SECRET[20:]}", "[REDACTED]\n[REDACTED]"),
        (f"a{SECRET[3:12]}b", "a[REDACTED]b"),
        (SECRET[:7], SECRET[:7]),
        ("user:pw", "user:[REDACTED]"),
    ],
)
def test_runs_of_a_secret_are_masked(text: str, expected: str) -> None:
    """Whole, cut or wrapped; a short password where it stands whole."""
    assert redact(text, [SECRET, "pw", ""]) == expected


@given(st.text(), st.integers(0, 40), st.integers(8, 60), st.text())
def test_no_window_of_a_secret_remains(before: str, start: int, size: int, after: str) -> None:
    """Whatever part is quoted, no eight characters in a row come through."""
    shown = redact(before + SECRET[start : start + size] + after, [SECRET])
    assert not any(SECRET[i : i + 8] in shown for i in range(len(SECRET) - 7))


@given(st.text(), st.integers(3, 50))
def test_printable_is_one_short_line_of_ascii(text: str, longest: int) -> None:
    """Control characters could forge a line of the kubelet's log."""
    shown = printable(text, longest)
    assert len(shown) <= longest
    assert all(" " <= character <= "~" for character in shown)


def test_printable_folds_white_space_and_marks_the_cut() -> None:
    """What was there can still be guessed."""
    assert printable("a\r\n b\tc\x00\u00e9", 50) == "a b c??"
    assert printable("abcdefghij", 8) == "abcde..."


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "1970-01-01T00:00:00Z"), (None, "MISSING"), (1 << 60, str(1 << 60))],
)
def test_moments(seconds: int | None, shown: str) -> None:
    """A number that is no date is shown as it is."""
    assert moment(seconds) == shown


@pytest.mark.parametrize("between", ["\n", " ", "\0", "\t\0"])
def test_what_stands_between_hides_nothing(between: str) -> None:
    """A token in UTF-16, or in lines shorter than a window."""
    shown = redact(f"said: {between.join(SECRET)} end", [SECRET])
    assert shown == "[REDACTED]"
    assert redact(f"said: {between.join('harmless text')} end", [SECRET]) != "[REDACTED]"

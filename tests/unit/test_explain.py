"""`explain` as a person types it."""

import io
import sys
from pathlib import Path

import pytest

from gcp_sa_credential_provider.catalogue import render
from gcp_sa_credential_provider.catalogue.messages import ALL
from gcp_sa_credential_provider.cli.main import main

LOG = (
    b"I1124 10:00:00 \xff\xfe starting\n"
    b'W1124 Failed to pull image "us-docker.pkg.dev/p/r/app:1": denied: Unauthenticated request.\n'
    b"E1124 exit status 1: gcp-sa-credential-provider: [STS-SIGNATURE] kid k fits no key. Fix: x\n"
)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def type_in(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    """Give the bytes as stdin."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="ascii"))


def test_code(capsys: pytest.CaptureFixture[str]) -> None:
    """A code, in any case and with the brackets of a log."""
    assert main(["explain", "[registry-image]"]) == 0
    assert capsys.readouterr() == (
        (
            "REGISTRY-IMAGE\n"
            "  where    pull from the registry\n"
            "  what     the registry has no such image or tag\n"
            "  meaning  Credential and grant are good: without them the answer would have\n"
            "           been 401 or 403.\n"
            "  fix      check image name, tag and digest\n"
        ),
        "",
    )


def test_several_codes(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order asked for, each once."""
    assert main(["explain", "STS-QUOTA", "REQUEST-EMPTY", "STS-QUOTA"]) == 0
    expected = f"{render.entry('STS-QUOTA', 80)}\n\n{render.entry('REQUEST-EMPTY', 80)}\n"
    assert capsys.readouterr() == (expected, "")


def test_placeholders_are_shown_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    """A code alone has no evidence."""
    assert main(["explain", "DNS-TIMEOUT"]) == 0
    assert "resolving <host> took longer than GCP_TIMEOUT" in capsys.readouterr().out


def test_unknown_code(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the finger gets the neighbours named."""
    assert main(["explain", "STS-SIGNATUR"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        "gcp-sa-credential-provider explain: there is no such code. Fix: did you mean "
        "STS-SIGNATURE, STS-ISSUER?\n"
    )


def test_code_like_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    """Without neighbours the list is named."""
    assert main(["explain", "QQQ-ZZZ"]) == 1
    assert capsys.readouterr().err.endswith("Fix: --list shows all codes\n")


def test_text_in_one_argument(capsys: pytest.CaptureFixture[str]) -> None:
    """A text shows its evidence, and an example where our own words would need more."""
    text = "The audience in ID Token [a] does not match the expected audience b."
    assert main(["explain", text]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines()[:6] == [
        "STS-AUDIENCE",
        "  where    exchange at Google's Security Token Service",
        "  what     The audience in ID Token [AUDIENCE] does not match the expected",
        "           audience.",
        "  found    audience: a",
        "  found    expected: b",
    ]


def test_text_in_many_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    """Quotes forgotten around a text are no matter."""
    assert main(["explain", "Unable", "to", "verify", "the", "ID", "Token", "signature."]) == 0
    assert capsys.readouterr().out.startswith("STS-SIGNATURE\n")


def test_log_on_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Several findings, cause first; bytes that are no text are no matter."""
    type_in(monkeypatch, LOG)
    assert main(["explain", "-"]) == 0
    out, err = capsys.readouterr()
    first, second, third = out.split("\n\n")
    assert err == ""
    assert first == "2 findings in the order of the chain; the first is likely the cause."
    assert second.startswith("STS-SIGNATURE\n")
    assert "  what     kid k fits no key\n" in second
    assert third.startswith("REGISTRY-ANONYMOUS\n")


def test_how_often_and_when(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So that what was mended since can be told from what is wrong now."""
    line = b"E1124 %b.0 1 a.go:1] gcp-sa-credential-provider: [STS-CONDITION] refused. Fix: x\n"
    type_in(monkeypatch, line % b"18:00:00" + line % b"19:00:00" + LOG)
    assert main(["explain", "-"]) == 0
    seen = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  seen")]
    assert seen == ["  seen     2 times, last at 11-24 19:00:00"]
    assert main(["explain", (line % b"18:00:00").decode()]) == 0
    assert "  seen     at 11-24 18:00:00\n" in capsys.readouterr().out
    assert main(["explain", "Unable to verify the ID Token signature\n" * 2]) == 0
    assert "  seen     2 times\n" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["what is this", "some\nlines\n"])
def test_unknown_text(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing known: exit 1, and the text is not echoed."""
    type_in(monkeypatch, text.encode())
    assert [main(["explain", text]), main(["explain", "-"])] == [1, 1]
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("nothing in this text is known. Fix: give the kubelet's log") == 2
    assert text not in err


def test_closed_stdin(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No stdin at all is an empty text."""
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["explain", "-"]) == 1
    assert "nothing in this text is known" in capsys.readouterr().err


def test_no_token_is_echoed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither what is recognised nor what is not brings a token back."""
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLXBhcnQ"
    line = f"gcp-sa-credential-provider: [ANSWER-CUT] broke off: {token} ya29.secret. Fix: x\n"
    type_in(monkeypatch, line.encode())
    assert [main(["explain", "-"]), main(["explain", token])] == [0, 1]
    out, err = capsys.readouterr()
    assert "what     broke off: [REDACTED] [REDACTED]\n" in out
    assert [piece for piece in (*token.split("."), "secret") if piece in out + err] == []


@pytest.mark.parametrize(
    "words", [[], ["--list", "STS-QUOTA"], ["--markdown", "-"], ["--list", "--markdown"]]
)
def test_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to do, or too much: usage on stderr, exit 2."""
    try:
        code: object = main(["explain", *words])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert err.startswith("usage: gcp-sa-credential-provider explain ")


def test_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    """The page of the documentation, to the byte."""
    assert main(["explain", "--markdown"]) == 0
    page = Path(__file__).parents[2] / "docs" / "errors.md"
    assert capsys.readouterr() == (page.read_text("utf-8"), "")


def test_list(capsys: pytest.CaptureFixture[str]) -> None:
    """Every code, in the order of the chain."""
    assert main(["explain", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    codes = [line.split()[0] for line in lines if line[:2] == "  " and line[2] != " "]
    assert codes == list(ALL)
    assert max(map(len, lines)) <= 80

"""line and messages: every failure is one line that the kubelet's log can hold."""

import string
import time

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.plugin import line
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.messages import MESSAGES, Message
from gcp_sa_credential_provider.plugin.token import read_claims
from scene import AUDIENCE, SUBJECT


@pytest.mark.parametrize("code", MESSAGES)
def test_every_message_fits_with_the_longest_evidence(code: str) -> None:
    """1024 bytes with the newline, the fix never cut."""
    message: Message = MESSAGES[code]
    names = {name for _, name, _, _ in string.Formatter().parse(message.what) if name}
    evidence: dict[str, object] = dict.fromkeys(names - {"now"}, "\x1bé " + "x" * 5000)
    text = line.explain(Failure(code, **evidence), [], 4)
    assert len(text) < 1024
    assert text.startswith(f"gcp-sa-credential-provider: [{code}] ")
    assert text.endswith(f" (4 tries). Fix: {message.fix}")
    assert text.isprintable()
    assert text.isascii()


@pytest.mark.parametrize("code", MESSAGES)
def test_every_message_is_written_in_the_same_way(code: str) -> None:
    """A sentence for what and meaning; the fix begins with a verb and ends without a stop."""
    message: Message = MESSAGES[code]
    assert code == code.upper()
    assert message.link
    assert message.meaning.endswith(".")
    assert not message.fix.endswith(".")
    assert "{" not in message.fix + message.meaning
    assert message.exit_code in (1, 2)


def test_absent_evidence_is_called_missing() -> None:
    """A line is written even then."""
    assert "{" not in line.explain(Failure("TIMEOUT"), [], 0)
    assert "while MISSING" in line.explain(Failure("TIMEOUT"), [], 0)


def test_claims_and_clocks_are_taken_apart(issuer: Issuer) -> None:
    """Who, from where, until when, and how far this node's clock is off."""
    claims = read_claims(issuer.token(AUDIENCE, iat=0, exp=3600))
    shown = line.pieces(Failure("STS-STALE", claims=claims, clock=0), [])
    assert shown["subject"] == SUBJECT
    assert shown["issued"] == "1970-01-01T00:00:00Z"
    assert shown["expires"] == "1970-01-01T01:00:00Z"
    assert shown["google"] == "1970-01-01T00:00:00Z"
    assert shown["skew"].endswith(" s ahead")


def test_skew_is_told_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second is nothing."""
    monkeypatch.setattr(time, "time", lambda: 1000.0)
    clocks = {999: "in step with it", 1300: "300 s behind", None: "1970-01-01T00:16:40Z"}
    for clock, skew in clocks.items():
        assert line.pieces(Failure("STS-STALE", clock=clock), [])["skew"] == skew


def test_bytes_and_secrets_in_evidence() -> None:
    """What a peer sent is shown as far as it can be."""
    failure = Failure("ANSWER-MALFORMED", address="a:1", answer=b"\xffSSH-2.0 hunter2hunter2")
    assert "is not HTTP: ?SSH-2.0 [REDACTED]." in line.explain(failure, ["hunter2hunter2"], 1)

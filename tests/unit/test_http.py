"""http: one POST, with its tries, and every way in which an answer can be wrong."""

import time

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.plugin import http as http_module
from gcp_sa_credential_provider.plugin.connect import parse_endpoint
from gcp_sa_credential_provider.plugin.deadline import Deadline, Progress
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.http import Answer, Service, _seconds, post
from gcp_sa_credential_provider.plugin.tls import TrustStore
from raw_server import RESET, answering, http
from scene import ACCOUNT, AUDIENCE, Outcome, request, run_plugin

Environment = dict[str, str]

GOOD = b'{"access_token": "t", "expires_in": 3600}'


def _plugin_at(url: str, environment: Environment, issuer: Issuer) -> Outcome:
    """Run against plain http on loopback."""
    environment["GCP_STS_ENDPOINT"] = url
    return run_plugin(environment, request(issuer.token(AUDIENCE)))


def test_the_request(environment: Environment, issuer: Issuer) -> None:
    """No Authorization header: STS may fail with one."""
    with answering(http("200 OK", GOOD)) as server:
        assert _plugin_at(server.url, environment, issuer).code == 0
    head, _, body = server.received[0].partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[:2] == ["POST /v1/token HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
    assert "Content-Type: application/json" in lines
    assert f"Content-Length: {len(body)}" in lines
    assert "Connection: close" in lines
    assert not any(line.lower().startswith("authorization") for line in lines)


@pytest.mark.parametrize(
    "answer",
    [
        http("200 OK", GOOD),
        b"HTTP/1.1 200 OK\r\n\r\n" + GOOD,
        b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(GOOD), GOOD),
        b"HTTP/1.1 200\r\ncontent-length:%d\r\n\r\n%s surplus" % (len(GOOD), GOOD),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5;ext=1\r\n%s\r\n%x\r\n%s\r\n0\r\n\r\n" % (GOOD[:5], len(GOOD) - 5, GOOD[5:]),
        http("200 OK", b" " * 60000 + GOOD),
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
        + http("200 OK", GOOD),
    ],
)
def test_ways_to_say_it(environment: Environment, issuer: Issuer, answer: bytes) -> None:
    """By length, by chunks, by closing; after interim answers."""
    with answering(answer) as server:
        outcome = _plugin_at(server.url, environment, issuer)
    assert outcome.code == 0, outcome.stderr


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"", "ANSWER-CUT"),
        (RESET, "ANSWER-CUT"),
        (b"HTTP/1.1 200 OK\r\nContent-", "ANSWER-CUT"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", "ANSWER-CUT"),
        (CHUNKED + b"5\r\nab", "ANSWER-CUT"),
        (CHUNKED + b"5\r\nabcde\r\n", "ANSWER-CUT"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "ANSWER-MALFORMED"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 9, "ANSWER-MALFORMED"),
        (b"HTTP/2 200 OK\r\n\r\n", "ANSWER-MALFORMED"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "ANSWER-MALFORMED"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "ANSWER-MALFORMED"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "ANSWER-MALFORMED"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1e3\r\n\r\n", "ANSWER-MALFORMED"),
        (CHUNKED + b"x\r\n", "ANSWER-MALFORMED"),
        (CHUNKED + b"-1\r\n", "ANSWER-MALFORMED"),
        (CHUNKED + b"1\r\nabc", "ANSWER-MALFORMED"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 40000, "ANSWER-LARGE"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 65537\r\n\r\n", "ANSWER-LARGE"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 70000, "ANSWER-LARGE"),
        (CHUNKED + b"10001\r\n", "ANSWER-LARGE"),
        (CHUNKED + (b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 3, "ANSWER-LARGE"),
        (http("302 Found", b"", "Location: https://portal/"), "ANSWER-REDIRECT"),
        (http("300 Multiple Choices", b"{}"), "ANSWER-REDIRECT"),
        (http("200 OK", b"<html>log in</html>", "Content-Type: text/html; x"), "ANSWER-HTML"),
        (http("200 OK", b"\n <!doctype html>"), "ANSWER-HTML"),
        (http("404 Not Found", b"no"), "ANSWER-NOT-JSON"),
        (http("200 OK", b"[]"), "ANSWER-NOT-JSON"),
        (http("200 OK", b""), "ANSWER-NOT-JSON"),
        (http("200 OK", b"\xff"), "ANSWER-NOT-JSON"),
    ],
)
def test_answers_that_are_none(
    environment: Environment, issuer: Issuer, answer: bytes, code: str
) -> None:
    """Each has its own code, none a traceback; what was cut off is tried again."""
    with answering(answer) as server:
        outcome = _plugin_at(server.url, environment, issuer)
    assert (outcome.code, outcome.error, outcome.stdout) == (1, code, b"")
    assert len(server.received) == (4 if code == "ANSWER-CUT" else 1)


@pytest.mark.parametrize(
    ("status", "code"),
    [("408 x", "STS-UNAVAILABLE"), ("429 x", "STS-QUOTA"), ("502 x", "STS-UNAVAILABLE")],
)
def test_a_passing_fault_needs_no_json(
    environment: Environment,
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    status: str,
    code: str,
) -> None:
    """What stands before Google has pages of its own; the status says enough."""
    monkeypatch.setattr(http_module, "TRIES", 1)
    with answering(http(status, b"<html>come back later</html>")) as server:
        assert _plugin_at(server.url, environment, issuer).error == code


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_fault_is_tried_again(
    environment: Environment, google: Emulator, issuer: Issuer, status: int
) -> None:
    """Two refusals, then the token."""
    google.faults.set("status", status=status, path="/v1/token", times=2)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr
    assert [entry["status"] for entry in google.log.entries("sts")] == [status, status, 200]


@pytest.mark.parametrize(("status", "code"), [(503, "STS-UNAVAILABLE"), (429, "STS-QUOTA")])
def test_four_tries_are_enough(
    environment: Environment, google: Emulator, issuer: Issuer, status: int, code: str
) -> None:
    """Then it is told."""
    google.faults.set("status", status=status, path="/v1/token")
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == code
    assert "(4 tries)" in outcome.stderr
    assert len(google.log.entries("sts")) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 301])
def test_no_other_status_is_tried_again(
    environment: Environment, google: Emulator, issuer: Issuer, status: int
) -> None:
    """It would not become better."""
    google.faults.set("status", status=status, body="{}", path="/v1/token")
    assert run_plugin(environment, request(issuer.token(AUDIENCE))).code == 1
    assert len(google.log.entries("sts")) == 1


@pytest.mark.parametrize("fault", ["close", "reset"])
def test_a_connection_that_breaks_is_tried_again(
    environment: Environment, google: Emulator, issuer: Issuer, fault: str
) -> None:
    """Before the answer, and in its middle."""
    google.faults.set(fault, path="/v1/token", times=1)
    google.faults.set(fault, name="later", path="/v1/token", times=1, after=10)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr
    assert len(google.log.entries("sts")) == 3


@pytest.mark.parametrize("fault", ["stall", "drip"])
def test_an_answer_that_does_not_end(
    environment: Environment, google: Emulator, issuer: Issuer, fault: str
) -> None:
    """Every byte may come in time and the whole does not."""
    google.faults.set(fault, path="/v1/token")
    environment["GCP_TIMEOUT"] = "1"
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (1, "ANSWER-TIMEOUT")


def test_an_endless_answer(environment: Environment, google: Emulator, issuer: Issuer) -> None:
    """Read to the limit and no further."""
    google.faults.set("endless", path="/v1/token")
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "ANSWER-LARGE"


def test_retry_after_is_honoured_within_the_budget(
    environment: Environment, google: Emulator, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No sooner than the server asks, and not all at once: many were told the same."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(http_module, "pause", lambda attempt: 0.25)
    google.faults.set("status", status=503, headers={"Retry-After": "7"}, times=1)
    assert run_plugin(environment, request(issuer.token(AUDIENCE))).code == 0
    assert pauses == [7.25]


def test_without_retry_after_the_pauses_are_our_own(
    environment: Environment, google: Emulator, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They grow, whatever a server asks for besides."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    monkeypatch.setattr(http_module, "pause", lambda attempt: 1.5 + attempt)
    google.faults.set("status", status=503, times=1)
    google.faults.set("status", name="later", status=503, headers={"Retry-After": "1"}, times=1)
    assert run_plugin(environment, request(issuer.token(AUDIENCE))).code == 0
    assert pauses == [1.5, 3.5]


def test_retry_after_beyond_the_budget_fails_now(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """A pull that fails early is tried again by the kubelet."""
    google.faults.set("status", status=503, headers={"Retry-After": "60"})
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "STS-UNAVAILABLE"
    assert len(google.log.entries("sts")) == 1


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        ("", "", 0.0),
        ("120", "", 120.0),
        ("-1", "", 0.0),
        ("1" * 10, "", 0.0),
        ("Tue, 24 Nov 2026 16:00:09 GMT", "Tue, 24 Nov 2026 16:00:00 GMT", 9.0),
        ("Tue, 24 Nov 2026 15:00:00 GMT", "Tue, 24 Nov 2026 16:00:00 GMT", 0.0),
        ("Tue, 24 Nov 2026 16:00:09 GMT", "", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str, date: str, seconds: float) -> None:
    """A date counts from the answer's own."""
    assert _seconds(value, date) == seconds


def test_no_budget_left_for_another_try(
    environment: Environment, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pause as long as what is left ends the tries."""
    monkeypatch.setattr(http_module, "pause", lambda _: 60.0)
    with answering(b"") as server:
        outcome = _plugin_at(server.url, environment, issuer)
    assert outcome.error == "ANSWER-CUT"
    assert len(server.received) == 1


def test_a_try_that_would_be_too_short_is_not_made(
    environment: Environment, google: Emulator, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would end in a time-out wherever it is just then, and hide what Google said."""
    monkeypatch.setattr(http_module, "pause", lambda _: 0.7)
    environment["GCP_TIMEOUT"] = "1"
    google.faults.set("status", status=503, path="/v1/token", times=1)
    google.faults.set("stall", name="later", path="/v1/token")
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "STS-UNAVAILABLE"
    assert len(google.log.entries("sts")) == 1


@pytest.mark.parametrize(("status", "code"), [(503, "STS-UNAVAILABLE"), (429, "STS-QUOTA")])
@pytest.mark.parametrize(("fault", "tries"), [("close", 4), ("stall", 3)])
def test_what_google_said_outlasts_tries_without_an_answer(
    environment: Environment,
    google: Emulator,
    issuer: Issuer,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    code: str,
    fault: str,
    tries: int,
) -> None:
    """Two refusals, then nothing: the network is not to blame."""
    monkeypatch.setattr(http_module, "_ANSWER_SECONDS", 0.05)
    environment["GCP_TIMEOUT"] = "1"
    google.faults.set("status", status=status, path="/v1/token", times=2)
    google.faults.set(fault, name="later", path="/v1/token")
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (1, code)
    assert f"({tries} tries)" in outcome.stderr
    assert len(google.log.entries("sts")) == tries


def test_what_google_said_outlasts_the_budget(
    environment: Environment, google: Emulator, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The watchdog knows of it too: nothing else ends this try."""
    monkeypatch.setattr(http_module, "_ANSWER_SECONDS", 30)
    monkeypatch.setattr(Deadline, "within", lambda _, seconds: Deadline(seconds))
    environment["GCP_TIMEOUT"] = "1"
    google.faults.set("status", status=503, path="/v1/token")
    google.faults.set("latency", seconds=1.2, path="/v1/token", skip=1)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error, outcome.left) == (1, "STS-UNAVAILABLE", [1])


def test_what_google_said_is_over_once_it_says_yes(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """The exchange went well in the end; the other service is silent."""
    environment |= {"GCP_TIMEOUT": "1", "GCP_SERVICE_ACCOUNT": ACCOUNT}
    google.faults.set("status", status=503, path="/v1/token", times=1)
    google.faults.set("stall", name="later", service="iam_credentials")
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "ANSWER-TIMEOUT"


def test_a_final_failure_is_told_whatever_was_said_before(
    environment: Environment, issuer: Issuer
) -> None:
    """It would not become better, and it says more."""
    with answering(http("503 x", b"{}"), b"SSH-2.0-OpenSSH\r\n\r\n") as server:
        assert _plugin_at(server.url, environment, issuer).error == "ANSWER-MALFORMED"


def test_a_try_that_would_be_shorter_than_the_last_answer_took_is_not_made(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """It could only time out."""
    environment["GCP_TIMEOUT"] = "2"
    google.faults.set("latency", seconds=1.1, path="/v1/token")
    google.faults.set("status", status=429, path="/v1/token")
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "STS-QUOTA"
    assert len(google.log.entries("sts")) == 1


def _not_asked(answer: Answer) -> Failure:
    """What no answer is given to."""
    raise AssertionError(answer)


def test_a_late_answer_leaves_time_for_another_try(
    google: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One try takes no more than half of what is left."""
    google.faults.set("stall", path="/v1/token")
    monkeypatch.setattr(http_module, "_ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(http_module, "TRIES", 2)
    service = Service(
        endpoint=parse_endpoint(google.endpoints["http"]["sts"]),
        proxy=None,
        store=TrustStore("", ""),
    )
    with pytest.raises(Failure) as caught:
        post(service, "/v1/token", {}, b"{}", _not_asked, Progress(Deadline(2)))
    assert caught.value.code == "ANSWER-TIMEOUT"
    assert len(google.log.entries("sts")) == 2

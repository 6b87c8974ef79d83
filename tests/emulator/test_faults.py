"""Fault rules: who is hit, how often, and what a client then sees on a real connection."""

import contextlib
import http.client
import json
import ssl
import time
from typing import Any

import httpx
import pytest

from emulator.world import AUDIENCE, exchange, request_of
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.faults import CERTIFICATE, CONNECTION, FaultRules
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.emulator.rejection import Invalid


def hit(rules: FaultRules, **request: str) -> list[str]:
    """The names of the rules that act on an exchange, changed as given."""
    usual = {"path": "/v1/token", "host": "127.0.0.1:1", "method": "POST", "service": "sts"}
    return [rule.name for rule in rules.for_request(**{**usual, **request})]


def test_matching() -> None:
    """By path, host, method and service, all as patterns."""
    rules = FaultRules()
    rules.set("reset", path="/v1/*", host="127.*", method="POST", service="sts")
    assert hit(rules) == ["reset"]
    for other in ({"path": "/v2/"}, {"host": "x"}, {"method": "GET"}, {"service": "registry"}):
        assert hit(rules, **other) == []


def test_counting() -> None:
    """The first go by, then so many are hit; setting it again starts anew."""
    rules = FaultRules()
    for _ in range(2):
        assert rules.set("reset", skip=1, times=2) == "reset"
        assert [hit(rules) for _ in range(4)] == [[], ["reset"], ["reset"], []]
        assert rules.hits("reset") == 2
    assert rules.hits("unknown") == 0


def test_the_first_rule_acts_and_latency_adds_to_it() -> None:
    """Every latency, and one of the others."""
    rules = FaultRules()
    rules.set("latency", seconds=1)
    rules.set("reset", name="one")
    rules.set("reset", name="two")
    rules.set("latency", name="more", seconds=1)
    rules.set("connect_reset")
    assert hit(rules) == ["latency", "one", "more"]
    assert rules.for_connection(CERTIFICATE) is None
    found = rules.for_connection(CONNECTION)
    assert found is not None
    assert found.kind == "connect_reset"
    assert rules.remove("one")
    assert not rules.remove("one")
    assert hit(rules) == ["latency", "two", "more"]
    rules.clear()
    assert rules.listing() == []


def test_listing() -> None:
    """What was set, and the count."""
    rules = FaultRules()
    rules.set("status", status=500, headers={"Retry-After": "1"}, times=3)
    hit(rules)
    assert rules.listing() == [
        {
            "kind": "status",
            "name": "status",
            "times": 3,
            "status": 500,
            "headers": {"Retry-After": "1"},
            "hits": 1,
        }
    ]


@pytest.mark.parametrize(
    ("kind", "settings", "field"),
    [
        ("boom", {}, "kind"),
        ("reset", {"seconds": 1}, "seconds"),
        ("connect_reset", {"path": "/"}, "path"),
        ("reset", {"after": "1"}, "after"),
        ("reset", {"times": True}, "times"),
        ("reset", {"times": -1}, "times"),
        ("drip", {"chunk": 0}, "chunk"),
        ("status", {"status": 100}, "status"),
        ("status", {"status": 600}, "status"),
        ("status", {"body": 3}, "body"),
        ("certificate", {"which": "odd"}, "which"),
    ],
)
def test_settings_that_do_not_exist(kind: str, settings: dict[str, Any], field: str) -> None:
    """Refused by name, before anything changes."""
    rules = FaultRules()
    with pytest.raises(Invalid) as caught:
        rules.set(kind, **settings)
    assert caught.value.field == field
    assert rules.listing() == []


def test_status(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Status, headers, and a body of either form."""
    google.faults.set(
        "status", status=503, headers={"Retry-After": "7"}, body={"error": {"code": 503}}, times=1
    )
    answer = exchange(client, google, issuer.token(AUDIENCE))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "7")
    assert answer.json() == {"error": {"code": 503}}
    assert answer.headers["date"]
    google.faults.set("status", status=302, headers={"Location": "https://x.example"}, body="gone")
    answer = exchange(client, google, issuer.token(AUDIENCE))
    assert (answer.status_code, answer.text) == (302, "gone")
    assert google.log.exchanges()[1]["faults"] == ["status"]


def test_captive_portal(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """200, but HTML."""
    google.faults.set("captive_portal")
    answer = exchange(client, google, issuer.token(AUDIENCE))
    assert (answer.status_code, answer.text[:15]) == (200, "<!DOCTYPE html>")
    assert answer.headers["content-type"].startswith("text/html")


def test_latency(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """The answer comes, later."""
    google.faults.set("latency", seconds=0.2)
    before = time.monotonic()
    assert exchange(client, google, issuer.token(AUDIENCE)).status_code == 200
    assert time.monotonic() - before >= 0.2


def raw_exchange(google: Emulator, issuer: Issuer, scheme: str) -> tuple[int, bytes]:
    """Status and body, by the standard library's client."""
    host = base_url(google, scheme).partition("://")[2]
    connection = http.client.HTTPConnection(host, timeout=10)
    if scheme == "https":
        context = ssl.create_default_context(cafile=str(google.ca_pem))
        connection = http.client.HTTPSConnection(host, timeout=10, context=context)
    body = httpx.QueryParams(request_of(issuer.token(AUDIENCE)))
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    with contextlib.closing(connection):
        connection.request("POST", "/v1/token", str(body), headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def base_url(google: Emulator, scheme: str) -> str:
    endpoints = google.endpoints if scheme == "https" else google.endpoints["http"]
    return str(endpoints["sts"])


both = pytest.mark.parametrize("scheme", ["https", "http"])


@both
def test_close_before_the_answer(google: Emulator, issuer: Issuer, scheme: str) -> None:
    """The connection ends without a byte."""
    google.faults.set("close")
    with pytest.raises(http.client.RemoteDisconnected):
        raw_exchange(google, issuer, scheme)


@both
@pytest.mark.parametrize("after", [0, 10])
def test_truncation(google: Emulator, issuer: Issuer, scheme: str, after: int) -> None:
    """The whole head, so many bytes of the body, then the end."""
    google.faults.set("close", after=after)
    with pytest.raises(http.client.IncompleteRead) as caught:
        raw_exchange(google, issuer, scheme)
    assert caught.value.partial == b'{"access_token": '[:after]


@both
def test_reset(google: Emulator, issuer: Issuer, scheme: str) -> None:
    """RST, before the answer and in the middle of the body."""
    google.faults.set("reset")
    with pytest.raises(ConnectionResetError):
        raw_exchange(google, issuer, scheme)
    google.faults.set("reset", after=5)
    # Over TLS, OpenSSL may report the RST as an end of file.
    with pytest.raises((ConnectionResetError, http.client.IncompleteRead)) as caught:
        raw_exchange(google, issuer, scheme)
    assert scheme == "https" or isinstance(caught.value, ConnectionResetError)


def test_after_more_than_there_is(google: Emulator, issuer: Issuer) -> None:
    """A cut beyond the body leaves the answer whole."""
    google.faults.set("close", after=1 << 20)
    status, body = raw_exchange(google, issuer, "http")
    assert (status, json.loads(body)["token_type"]) == (200, "Bearer")


@both
def test_stall(google: Emulator, issuer: Issuer, scheme: str) -> None:
    """Nothing comes, and the connection stays."""
    google.faults.set("stall", after=3)
    context = ssl.create_default_context(cafile=str(google.ca_pem))
    timeout = httpx.Timeout(10, read=1)
    with (
        httpx.Client(verify=context, trust_env=False, timeout=timeout) as client,
        client.stream(
            "POST", f"{base_url(google, scheme)}/v1/token", data=request_of(issuer.token(AUDIENCE))
        ) as answer,
    ):
        parts = answer.iter_raw()
        assert next(parts) == b'{"a'
        with pytest.raises(httpx.ReadTimeout):
            next(parts)


def test_drip(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """All comes, slowly."""
    google.faults.set("drip", chunk=300, interval=0.02)
    before = time.monotonic()
    assert exchange(client, google, issuer.token(AUDIENCE)).json()["token_type"] == "Bearer"
    assert time.monotonic() - before >= 0.06


@both
def test_drip_and_then_others(
    google: Emulator, client: httpx.Client, issuer: Issuer, scheme: str
) -> None:
    """Each answer of a connection has its own fault."""
    url = f"{base_url(google, scheme)}/v1/token"
    google.faults.set("drip", chunk=1 << 16, interval=0, times=1)
    for _ in range(2):
        assert client.post(url, data=request_of(issuer.token(AUDIENCE))).status_code == 200
    google.faults.set("close", times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(url, data=request_of(issuer.token(AUDIENCE)))
    assert google.faults.hits("close") == 1


@both
def test_garbage(google: Emulator, issuer: Issuer, scheme: str) -> None:
    """What comes is not HTTP."""
    google.faults.set("garbage", data="SSH-2.0-OpenSSH_9.9\r\n")
    with pytest.raises(http.client.BadStatusLine, match="SSH"):
        raw_exchange(google, issuer, scheme)


def test_endless(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """JSON begins, and never ends."""
    google.faults.set("endless")
    url = f"{google.endpoints['sts']}/v1/token"
    total = 0
    with client.stream("POST", url, data=request_of(issuer.token(AUDIENCE))) as answer:
        for part in answer.iter_raw():
            total += len(part)
            if total > 1 << 20:
                break
    assert answer.status_code == 200
    google.faults.clear()
    assert exchange(client, google, issuer.token(AUDIENCE)).status_code == 200


@both
@pytest.mark.parametrize(
    ("kind", "plain", "secure"),
    [
        ("connect_close", ConnectionError, ConnectionError | ssl.SSLError),
        ("connect_reset", ConnectionError, ConnectionError | ssl.SSLError),
        ("connect_garbage", http.client.BadStatusLine, ssl.SSLError),
    ],
)
def test_broken_connections(
    google: Emulator, issuer: Issuer, scheme: str, *, kind: str, plain: Any, secure: Any
) -> None:
    """Before any TLS or HTTP, once."""
    google.faults.set(kind, times=1)
    with pytest.raises(Exception) as caught:
        raw_exchange(google, issuer, scheme)
    assert isinstance(caught.value, secure if scheme == "https" else plain)
    assert raw_exchange(google, issuer, scheme)[0] == 200


@both
def test_a_connection_that_never_speaks(google: Emulator, scheme: str) -> None:
    """Accepted, then silence: no handshake, no answer."""
    google.faults.set("connect_stall")
    context = ssl.create_default_context(cafile=str(google.ca_pem))
    with (
        httpx.Client(verify=context, trust_env=False, timeout=0.2) as client,
        pytest.raises((httpx.ConnectTimeout, httpx.ReadTimeout)),
    ):
        client.get(f"{base_url(google, scheme)}/v2/")


WRONG = {
    "untrusted": "unable to get local issuer certificate",
    "expired": "certificate has expired",
    "wrong_host": "IP address mismatch",
}


@pytest.mark.parametrize("which", WRONG)
def test_wrong_certificates(google: Emulator, client: httpx.Client, which: str) -> None:
    """On a listener of their own, always; on the main one by rule, once."""
    with pytest.raises(httpx.ConnectError, match=WRONG[which]):
        client.get(f"{google.endpoints['wrong_certificate'][which]}/v2/")
    google.faults.set("certificate", which=which, times=1)
    with pytest.raises(httpx.ConnectError, match=WRONG[which]):
        client.get(f"{google.endpoints['registry']}/v2/")
    assert client.get(f"{google.endpoints['registry']}/v2/").status_code == 401


def test_a_certificate_by_name(google: Emulator, client: httpx.Client) -> None:
    """The TLS server name picks the victim."""
    google.faults.set("certificate", host="sts.googleapis.com")
    url = f"{google.endpoints['registry']}/v2/"
    assert client.get(url, headers={"Connection": "close"}).status_code == 401
    with pytest.raises(httpx.ConnectError, match=WRONG["untrusted"]):
        client.get(url, extensions={"sni_hostname": "sts.googleapis.com"})


def test_stopping_amid_faults(google: Emulator, issuer: Issuer) -> None:
    """Open connections, a stalled and a late answer do not hold up the end."""
    google.faults.set("latency", seconds=600)
    google.faults.set("connect_stall", skip=1)
    timeout = httpx.Timeout(10, read=0.2)
    context = ssl.create_default_context(cafile=str(google.ca_pem))
    client = httpx.Client(verify=context, trust_env=False, timeout=timeout)
    with pytest.raises(httpx.ReadTimeout):
        client.post(f"{google.endpoints['sts']}/v1/token", data=request_of(issuer.token(AUDIENCE)))
    before = time.monotonic()
    google.__exit__(None, None, None)
    assert time.monotonic() - before < 2
    client.close()

"""proxy: HTTPS_PROXY, NO_PROXY as Go reads it, and CONNECT."""

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.plugin.connect import Address, BadAddress
from gcp_sa_credential_provider.plugin.proxy import is_exempt, parse_proxy, secrets_of
from raw_server import RESET, answering
from scene import ACCOUNT, AUDIENCE, request, run_plugin

Environment = dict[str, str]


@pytest.mark.parametrize(
    ("text", "address", "authorization"),
    [
        ("http://proxy:3128", "proxy:3128", ""),
        ("HTTP://proxy/", "proxy:80", ""),
        ("proxy:3128", "proxy:3128", ""),
        ("http://[::1]:3128", "[::1]:3128", ""),
        ("http://u:p@proxy:3128", "proxy:3128", "Basic dTpw"),
        ("u:p@proxy:3128", "proxy:3128", "Basic dTpw"),
        ("http://u@proxy", "proxy:80", "Basic dTo="),
        ("http://u:p%40ss%3a@proxy", "proxy:80", "Basic dTpwQHNzOg=="),
        ("http://u:p@ss@proxy", "proxy:80", "Basic dTpwQHNz"),
    ],
)
def test_a_proxy_with_and_without_password(text: str, address: str, authorization: str) -> None:
    """Special characters may be escaped as %XX."""
    proxy = parse_proxy(text)
    assert (str(proxy.address), proxy.authorization) == (address, authorization)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("https://proxy", "it is an https proxy; only http:// proxies are supported"),
        ("socks5://proxy", "it is no http proxy; only http:// proxies are supported"),
        ("http://u:100%@proxy", "its user or password has a % that begins no escape"),
        ("http://u:%zz@proxy", "its user or password has a % that begins no escape"),
        ("http://proxy:0", "its port is not a number from 1 to 65535"),
        ("http:///x", "its host is not a host name"),
    ],
)
def test_a_proxy_that_cannot_be_used(text: str, reason: str) -> None:
    """In words that do not quote it."""
    with pytest.raises(BadAddress) as caught:
        parse_proxy(text)
    assert str(caught.value).startswith(reason)


def test_what_of_a_proxy_is_secret() -> None:
    """As written, decoded and encoded: any of them may come back in an answer."""
    assert secrets_of("http://u:p%40ss@proxy") == ["u:p%40ss", "p%40ss", "p@ss", "dTpwQHNz"]
    assert secrets_of("u:p@proxy") == ["u:p", "p", "p", "dTpw"]
    assert secrets_of("http://u:100%@proxy") == ["u:100%", "100%"]
    assert secrets_of("http://proxy:3128") == secrets_of("proxy") == secrets_of("") == []


@pytest.mark.parametrize(
    ("host", "no_proxy", "exempt"),
    [
        ("sts.googleapis.com", "", False),
        ("sts.googleapis.com", "*", True),
        ("sts.googleapis.com", "googleapis.com", True),
        ("sts.googleapis.com", ".googleapis.com", True),
        ("sts.googleapis.com", "*.googleapis.com", True),
        ("sts.googleapis.com", "STS.GoogleApis.com", True),
        ("sts.googleapis.com", "sts.googleapis.com:443", True),
        ("sts.googleapis.com", "sts.googleapis.com:8443", False),
        ("googleapis.com", ".googleapis.com", False),
        ("notgoogleapis.com", "googleapis.com", False),
        ("sts.googleapis.com", "10.0.0.0/8, a b,x/y,[::1", False),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.0.0.0/x", False),
        ("10.1.2.3", "10.0.0.0/\u00b2", False),
        ("10.1.2.3", "10.1.2.3/33", False),
        pytest.param(
            "10.1.2.3", "10.0.0.0/" + "9" * 5000, False, id="more digits than int() takes"
        ),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.3", "10.1.2.3:443", True),
        ("10.1.2.3", "10.1.2.4", False),
        ("10.1.2.3", "3", False),
        ("fd00::1", "fd00::/8", True),
        ("fd00::1", "10.0.0.0/8", False),
        ("fd00::1", "[fd00::1]:443", True),
        ("localhost", "", True),
        ("127.9.9.9", "", True),
        ("::1", "", True),
    ],
)
def test_no_proxy_is_read_as_go_reads_it(host: str, no_proxy: str, *, exempt: bool) -> None:
    """Every other program on a Kubernetes node does."""
    assert is_exempt(Address(host=host, port=443), no_proxy) is exempt


@pytest.fixture
def through_proxy(environment: Environment, google: Emulator) -> Environment:
    """Google's own names, reached through the emulator's proxy."""
    del environment["GCP_STS_ENDPOINT"], environment["GCP_IAM_CREDENTIALS_ENDPOINT"]
    environment["HTTPS_PROXY"] = google.endpoints["proxy"]
    return environment


def test_a_tunnel_to_google(through_proxy: Environment, google: Emulator, issuer: Issuer) -> None:
    """The certificate is checked against Google's name, not the proxy's."""
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr
    assert google.proxy.tunnels == ["sts.googleapis.com:443"]


def test_a_proxy_of_another_kind_stops_before_the_exchange(
    through_proxy: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Also where only the second service would go through it; its password is not told."""
    through_proxy |= {
        "GCP_STS_ENDPOINT": google.endpoints["sts"],
        "HTTPS_PROXY": "socks5://user:s3cret@proxy:1080",
    }
    asked = request(issuer.token(AUDIENCE))
    assert run_plugin(through_proxy, asked).code == 0
    google.log.clear()
    outcome = run_plugin({**through_proxy, "GCP_SERVICE_ACCOUNT": ACCOUNT}, asked)
    assert (outcome.code, outcome.error) == (2, "SETTINGS-PROXY")
    assert "s3cret" not in outcome.stderr
    assert google.log.entries() == []


def test_a_proxy_that_refuses(through_proxy: Environment, google: Emulator, issuer: Issuer) -> None:
    """Its status is quoted; not tried again."""
    google.proxy.refuse_with = 403
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert outcome.error == "PROXY-DENIED"
    assert "refused the tunnel to sts.googleapis.com:443: 403" in outcome.stderr


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "PROXY-AUTH"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "PROXY-UNAVAILABLE"),
        (b"SSH-2.0-x\r\n\r\n", "PROXY-ANSWER"),
        (b"220 smtp\r\n", "PROXY-ANSWER"),
        (b"HTTP/1.1 200", "PROXY-UNAVAILABLE"),
        (b"", "PROXY-UNAVAILABLE"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000, "PROXY-ANSWER"),
        (RESET, "PROXY-UNAVAILABLE"),
    ],
)
def test_answers_to_connect(
    through_proxy: Environment, issuer: Issuer, answer: bytes, code: str
) -> None:
    """With a password, which is sent and never told; only what may pass is tried again."""
    with answering(answer) as server:
        through_proxy["HTTPS_PROXY"] = f"http://user:s3cret%21@127.0.0.1:{server.port}"
        outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (1, code)
    assert b"Proxy-Authorization: Basic dXNlcjpzM2NyZXQh\r\n" in server.received[0]
    assert len(server.received) == (4 if code == "PROXY-UNAVAILABLE" else 1)
    for secret in ("s3cret", "dXNlcjpzM2NyZXQh"):
        assert secret not in outcome.stderr


def test_a_proxy_without_password_asked_for_one(through_proxy: Environment, issuer: Issuer) -> None:
    """The line says that none was sent."""
    with answering(b"HTTP/1.1 407 no\r\n\r\n") as server:
        through_proxy["HTTPS_PROXY"] = server.url
        outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert "wants a user and password (407; none was sent)" in outcome.stderr


def test_a_proxy_that_is_not_there(through_proxy: Environment, issuer: Issuer) -> None:
    """It is named as the proxy, not as Google."""
    through_proxy["HTTPS_PROXY"] = "http://127.0.0.1:1"
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert outcome.error == "PROXY-UNREACHABLE"
    assert "the proxy 127.0.0.1:1 cannot be reached: connection refused (4 tries)" in outcome.stderr


def test_a_proxy_with_no_such_name(through_proxy: Environment, issuer: Issuer) -> None:
    """The resolver's word is quoted."""
    through_proxy["HTTPS_PROXY"] = "http://proxy.invalid:1"
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert outcome.error == "PROXY-UNREACHABLE"

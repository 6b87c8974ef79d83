"""The CONNECT proxy: Google's names lead to the emulator, all else is refused."""

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emulator.world import AUDIENCE, request_of, world
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator


@pytest.fixture
def guarded(tmp_path: Path, issuer: Issuer) -> Iterator[Emulator]:
    """An emulator whose proxy wants a password, which the configuration sets."""
    settings = {"username": "node", "password": "pass:word"}
    with Emulator(tmp_path / "guarded", world(issuer.jwks, proxy=settings)) as emulator:
        yield emulator


def through(google: Emulator, auth: tuple[str, str] | None = None) -> httpx.Client:
    proxy = httpx.Proxy(google.endpoints["proxy"], auth=auth)
    context = ssl.create_default_context(cafile=str(google.ca_pem))
    return httpx.Client(verify=context, trust_env=False, proxy=proxy, timeout=10)


def connect(google: Emulator, request: bytes) -> bytes:
    """The first line that the proxy answers."""
    host, _, port = google.endpoints["proxy"].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as peer:
        peer.sendall(request)
        return peer.makefile("rb").readline()


def test_google_names_without_resolving(google: Emulator, issuer: Issuer) -> None:
    """The real names, with a certificate that is valid for them."""
    with through(google) as client:
        fields = request_of(issuer.token(AUDIENCE))
        assert client.post("https://sts.googleapis.com/v1/token", data=fields).status_code == 200
        assert client.get("https://us-docker.pkg.dev/v2/").status_code == 401
    assert google.proxy.tunnels == ["sts.googleapis.com:443", "us-docker.pkg.dev:443"]
    assert google.log.exchanges()[0]["host"] == "sts.googleapis.com"


def test_the_emulator_itself(google: Emulator) -> None:
    """Its own https port may be asked for by address."""
    with through(google) as client:
        assert client.get(f"{google.endpoints['registry']}/v2/").status_code == 401
    assert google.proxy.tunnels == [google.endpoints["registry"].removeprefix("https://")]


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"CONNECT example.com:443 HTTP/1.1", b"403"),
        (b"CONNECT sts.googleapis.com:80 HTTP/1.1", b"403"),
        (b"CONNECT evilgcr.io:443 HTTP/1.1", b"403"),
        (b"CONNECT 127.0.0.1:1 HTTP/1.1", b"403"),
        (b"GET http://example.com/ HTTP/1.1", b"400"),
        (b"CONNECT nothing HTTP/1.1", b"400"),
    ],
)
def test_nothing_else(google: Emulator, request_line: bytes, status: bytes) -> None:
    """No other host, no other port, no other method."""
    answer = connect(google, request_line + b"\r\nHost: x\r\n\r\n")
    assert answer.split()[1] == status
    assert google.proxy.tunnels == []


def test_not_http(google: Emulator) -> None:
    """A head without an end closes the connection."""
    assert connect(google, b"x" * 100_000) == b""


def test_a_password(guarded: Emulator) -> None:
    """407 with a challenge, then in."""
    host = guarded.endpoints["registry"].removeprefix("https://").encode()
    assert b"407" in connect(guarded, b"CONNECT " + host + b" HTTP/1.1\r\n\r\n")
    with (
        through(guarded, ("node", "wrong")) as client,
        pytest.raises(httpx.ProxyError, match="407"),
    ):
        client.get("https://gcr.io/v2/")
    with through(guarded, ("node", "pass:word")) as client:
        assert client.get("https://gcr.io/v2/").status_code == 401
    assert guarded.proxy.tunnels == ["gcr.io:443"]


def test_refusing(google: Emulator) -> None:
    """On demand, with any status."""
    google.proxy.refuse_with = 502
    with through(google) as client, pytest.raises(httpx.ProxyError, match="502"):
        client.get("https://gcr.io/v2/")

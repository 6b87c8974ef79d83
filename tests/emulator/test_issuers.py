"""Providers without uploaded keys: discovery and JWKS from a public issuer over https."""

import base64
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from emulator.world import AUDIENCE, exchange, oauth_refusal, world
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from loopback import served

HOST = "oidc.eks.eu-west-1.amazonaws.com"
ISSUER = f"https://{HOST}/id/ABCDEF"
TEXT = "Error connecting to the given credential's issuer."


class PublicIssuer:
    """An https server of JSON documents by path, and the requests that it saw."""

    def __init__(self, jwks: str) -> None:
        self.documents: dict[str, Any] = {
            "/id/ABCDEF/.well-known/openid-configuration": {
                "issuer": ISSUER,
                "jwks_uri": f"{ISSUER}/keys",
            },
            "/id/ABCDEF/keys": json.loads(jwks),
        }
        self.seen: list[tuple[str, str]] = []
        self.authority = trustme.CA()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.seen.append((self.headers["Host"], self.path))
                document = outer.documents.get(self.path)
                content = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(404 if document is None else 200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def public(issuer: Issuer) -> Iterator[PublicIssuer]:
    """The issuer, serving."""
    public = PublicIssuer(issuer.jwks)
    with served(public.server, public.authority.issue_cert(HOST)):
        yield public


@pytest.fixture
def fetching(google: Emulator, public: PublicIssuer, tmp_path: Path) -> Emulator:
    """The emulator with a provider of that issuer."""
    ca = tmp_path / "issuer-ca.pem"
    public.authority.cert_pem.write_to_path(str(ca))
    fetch = {"ca": str(ca), "hosts": {HOST: public.address}, "cacheSeconds": 60}
    provider = {"oidc": {"issuerUri": ISSUER}}
    google.load(world("", provider=provider, options={"issuerFetch": fetch}))
    return google


def reason(google: Emulator, client: httpx.Client, token: str) -> str:
    """The true reason of a refusal, which must have Google's one text."""
    assert oauth_refusal(exchange(client, google, token)) == (400, "invalid_grant", TEXT)
    return str(google.log.exchanges()[-1]["reason"])


@pytest.mark.rule("issuer-fetch")
def test_keys_are_fetched_and_cached(
    fetching: Emulator, client: httpx.Client, public: PublicIssuer, issuer: Issuer
) -> None:
    """By the issuer's own name; anew when old, or when a kid is not there."""
    fetching.clock.freeze()
    token = issuer.token(AUDIENCE, iss=ISSUER)
    for _ in range(2):
        assert exchange(client, fetching, token).status_code == 200
    assert public.seen == [(HOST, path) for path in public.documents]
    fetching.clock.shift(60)
    assert exchange(client, fetching, token).status_code == 200
    assert len(public.seen) == 4
    rotated = Issuer("EC")
    public.documents["/id/ABCDEF/keys"] = json.loads(rotated.jwks)
    assert exchange(client, fetching, rotated.token(AUDIENCE, iss=ISSUER)).status_code == 200
    assert "not among the keys" in reason(fetching, client, token)


@pytest.mark.rule("issuer-fetch")
def test_unusable_keys_do_not_spoil_the_set(
    fetching: Emulator, client: httpx.Client, public: PublicIssuer, issuer: Issuer
) -> None:
    """More than eight, other types, unknown members: only uploads are limited."""
    more = [Issuer("EC", crv="P-384").jwk, "x", {"kty": "OKP", "kid": "o"}]
    keys = [{**issuer.jwk, "x5c": ["…"]}, *more, *(Issuer("EC").jwk for _ in range(8))]
    public.documents["/id/ABCDEF/keys"] = {"keys": keys}
    assert exchange(client, fetching, issuer.token(AUDIENCE, iss=ISSUER)).status_code == 200


@pytest.mark.rule("issuer-fetch")
@pytest.mark.parametrize(
    ("path", "document", "expected"),
    [
        (".well-known/openid-configuration", None, "answered 404"),
        (".well-known/openid-configuration", b"<html>", "is not JSON"),
        (".well-known/openid-configuration", [], "is not a JSON object"),
        (".well-known/openid-configuration", {"issuer": "https://x"}, "discovery says issuer"),
        (
            ".well-known/openid-configuration",
            {"issuer": ISSUER, "jwks_uri": f"http://{HOST}/keys"},
            "is not an https URL",
        ),
        (
            ".well-known/openid-configuration",
            {"issuer": ISSUER, "jwks_uri": "https://[x/keys"},
            "Invalid IPv6 URL",
        ),
        (
            ".well-known/openid-configuration",
            {"issuer": ISSUER, "jwks_uri": "https://h:x/keys"},
            "Port could not be cast",
        ),
        (
            ".well-known/openid-configuration",
            {"issuer": ISSUER, "jwks_uri": "https://\u2488.example/keys"},
            "Invalid IDNA hostname",
        ),
        ("keys", b" " * ((1 << 20) + 1), "is larger than 1048576 bytes"),
        ("keys", {}, "is not among the keys []"),
    ],
)
def test_answers_that_are_wrong(
    fetching: Emulator,
    client: httpx.Client,
    public: PublicIssuer,
    issuer: Issuer,
    *,
    path: str,
    document: Any,
    expected: str,
) -> None:
    """One text for all of them; the log knows better."""
    public.documents[f"/id/ABCDEF/{path}"] = document
    assert expected in reason(fetching, client, issuer.token(AUDIENCE, iss=ISSUER))


@pytest.mark.rule("issuer-fetch")
@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"ca": ""}, "certificate verify failed"),
        ({"ca": "/nowhere"}, "cannot be used"),
        ({"hosts": {HOST: "127.0.0.1:1"}}, "connection attempts failed"),
    ],
)
def test_issuers_out_of_reach(
    fetching: Emulator,
    client: httpx.Client,
    issuer: Issuer,
    tmp_path: Path,
    public: PublicIssuer,
    *,
    change: dict[str, Any],
    expected: str,
) -> None:
    """A private CA, no CA file, nobody there."""
    fetch = {"ca": str(tmp_path / "issuer-ca.pem"), "hosts": {HOST: public.address}, **change}
    fetching.set_options(issuerFetch=fetch)
    assert expected in reason(fetching, client, issuer.token(AUDIENCE, iss=ISSUER))


@pytest.mark.rule("issuer-fetch")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("https://[bad", "Invalid IPv6 URL"),
        ("https://ä.invalid", "can't encode character"),
        ("https://127.0.0.1:99999", "Port out of range"),
        ("https://127.0.0.1:0", "has no port to connect to"),
    ],
)
def test_issuers_that_no_url_can_reach(
    google: Emulator, client: httpx.Client, issuer: Issuer, name: str, expected: str
) -> None:
    """Google's text for them, too."""
    google.load(world("", provider={"oidc": {"issuerUri": name}}, options={"issuerFetch": {}}))
    assert expected in reason(google, client, issuer.token(AUDIENCE, iss=name))


@pytest.mark.rule("issuer-fetch")
def test_nothing_is_fetched_unless_asked(
    fetching: Emulator, client: httpx.Client, public: PublicIssuer, issuer: Issuer
) -> None:
    """The default."""
    fetching.set_options()
    assert "options.issuerFetch" in reason(fetching, client, issuer.token(AUDIENCE, iss=ISSUER))
    assert public.seen == []


def test_a_kid_that_is_no_text(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Looked for among fetched keys as well."""
    provider = {"oidc": {"issuerUri": ISSUER}}
    google.load(
        world(
            issuer.jwks,
            provider=provider,
            options={"issuerFetch": {"hosts": {HOST: "127.0.0.1:1"}}},
        )
    )
    head = base64.urlsafe_b64encode(b'{"alg":"RS256","kid":["x"]}').decode().rstrip("=")
    token = ".".join([head, *issuer.token(AUDIENCE, iss=ISSUER).split(".")[1:]])
    assert oauth_refusal(exchange(client, google, token)) == (400, "invalid_grant", TEXT)

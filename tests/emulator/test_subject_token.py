"""Subject tokens: every way in which Google refuses one, brought about with real keys."""

import time
from typing import Any

import httpx
import pytest
from joserfc import jws
from joserfc.util import json_b64encode

from emulator.world import AUDIENCE, PROVIDER, exchange, oauth_refusal, world
from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

STALE = "ID Token issued at {} is stale to sign-in."
ISSUER_TEXT = "Error connecting to the given credential's issuer."
SIGNATURE_TEXT = "Unable to verify the ID Token signature."


@pytest.mark.rule("text-token-audience")
@pytest.mark.parametrize(
    ("given", "shown"),
    [("other", "[other]"), (["a", "b"], "[a, b]"), (None, "[]"), ([], "[]"), (7, "[7]")],
)
def test_a_wrong_token_audience(
    google: Emulator, client: httpx.Client, issuer: Issuer, given: Any, shown: str
) -> None:
    """The text shows what the token holds."""
    answer = exchange(client, google, issuer.token(given))
    assert oauth_refusal(answer) == (
        400,
        "invalid_grant",
        f"The audience in ID Token {shown} does not match the expected audience.",
    )


@pytest.mark.rule("default-audience")
@pytest.mark.parametrize("prefix", ["//", "https://"])
def test_the_default_audience(
    google: Emulator, client: httpx.Client, issuer: Issuer, prefix: str
) -> None:
    """Without a list, the provider's name is expected, with or without https:."""
    given = ["first", f"{prefix}iam.googleapis.com/{PROVIDER}"]
    assert exchange(client, google, issuer.token(given)).status_code == 200


@pytest.mark.rule("default-audience")
def test_an_explicit_audience_turns_the_default_off(
    google: Emulator, client: httpx.Client, issuer: Issuer
) -> None:
    """With a list, only the list counts."""
    oidc = {"issuerUri": ISSUER, "jwksJson": issuer.jwks, "allowedAudiences": ["mine"]}
    google.load(world(issuer.jwks, provider={"oidc": oidc}))
    assert exchange(client, google, issuer.token("mine")).status_code == 200
    assert exchange(client, google, issuer.token(AUDIENCE)).json()["error"] == "invalid_grant"


@pytest.mark.rule("text-issuer")
@pytest.mark.parametrize(
    ("given", "shown"), [(f"{ISSUER}/", f"{ISSUER}/"), (None, "null"), (3, "null")]
)
def test_a_wrong_issuer(
    google: Emulator, client: httpx.Client, issuer: Issuer, given: Any, shown: str
) -> None:
    """Byte for byte: a trailing slash is another issuer."""
    answer = exchange(client, google, issuer.token(AUDIENCE, iss=given))
    assert oauth_refusal(answer) == (
        400,
        "invalid_grant",
        f"The issuer in ID Token {shown} does not match the expected one in config",
    )


@pytest.mark.rule("skew", "no-maximum-age")
@pytest.mark.parametrize(
    ("claims", "accepted"),
    [
        ({"exp": -59}, True),
        ({"exp": -61}, False),
        ({"iat": 60}, True),
        ({"iat": 119}, False),
        ({"iat": -7200}, True),
        ({"exp": 11 * 365 * 86400}, True),
    ],
)
def test_times_with_a_minute_of_skew(
    google: Emulator,
    client: httpx.Client,
    issuer: Issuer,
    claims: dict[str, Any],
    *,
    accepted: bool,
) -> None:
    """60 s each way, and no maximum age."""
    google.clock.freeze(at=float(int(time.time())))
    now = int(google.clock.now())
    times = {name: now + offset for name, offset in {"iat": 0, "exp": 3600, **claims}.items()}
    answer = exchange(client, google, issuer.token(AUDIENCE, **times))
    if accepted:
        assert answer.status_code == 200
    else:
        assert oauth_refusal(answer) == (400, "invalid_grant", STALE.format(times["iat"]))


@pytest.mark.rule("text-stale")
@pytest.mark.parametrize(
    "iat", [None, "now", True, float("inf"), pytest.param(10**400, id="beyond-every-clock")]
)
def test_no_iat_and_no_exp(
    google: Emulator, client: httpx.Client, issuer: Issuer, iat: Any
) -> None:
    """A missing or unreadable time reads null; a missing exp shows the iat."""
    answer = exchange(client, google, issuer.token(AUDIENCE, iat=iat))
    assert oauth_refusal(answer) == (400, "invalid_grant", STALE.format("null"))
    answer = exchange(client, google, issuer.token(AUDIENCE, iat=5, exp=None))
    assert oauth_refusal(answer) == (400, "invalid_grant", STALE.format(5))


def test_times_far_apart(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Each is one that a clock can show; their difference is none."""
    google.set_options(subjectTokenMaxSeconds=86400)
    far = 17 * 10**307
    answer = exchange(client, google, issuer.token(AUDIENCE, iat=-far, exp=far))
    assert oauth_refusal(answer) == (400, "invalid_grant", STALE.format(-far))


@pytest.mark.parametrize(
    "claims", [{"sub": "\ud800"}, {"other": ["\ud800"]}, {"\ud800": 1}], ids=["sub", "value", "key"]
)
def test_half_a_letter(
    google: Emulator, client: httpx.Client, issuer: Issuer, claims: dict[str, Any]
) -> None:
    """JSON can write one, UTF-8 cannot: the token is none."""
    answer = exchange(client, google, issuer.token(AUDIENCE, **claims))
    assert oauth_refusal(answer) == (
        400,
        "invalid_grant",
        "The given credential is not a valid ID Token.",
    )


@pytest.mark.rule("text-connecting")
def test_a_key_that_is_not_uploaded(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """The misleading text: the issuer is never asked."""
    other = Issuer()
    answer = exchange(client, google, other.token(AUDIENCE))
    assert oauth_refusal(answer) == (400, "invalid_grant", ISSUER_TEXT)
    assert google.log.exchanges()[0]["reason"] == (
        f"kid {other.kid!r} is not among the keys ['{issuer.kid}']"
    )


@pytest.mark.rule("text-signature")
def test_the_same_kid_with_another_key(
    google: Emulator, client: httpx.Client, issuer: Issuer
) -> None:
    """A rebuilt cluster that reuses its kid."""
    answer = exchange(client, google, Issuer(kid=issuer.kid).token(AUDIENCE))
    assert oauth_refusal(answer) == (
        400,
        "invalid_grant",
        SIGNATURE_TEXT,
    )


def test_a_signature_that_is_no_signature(
    google: Emulator, client: httpx.Client, ec_issuer: Issuer
) -> None:
    """Cut short, and not base64 at all."""
    google.load(world(ec_issuer.jwks))
    head, _, signature = ec_issuer.token(AUDIENCE).rpartition(".")
    for broken in (signature[:8], "", "!!!"):
        answer = exchange(client, google, f"{head}.{broken}")
        assert oauth_refusal(answer)[2] == SIGNATURE_TEXT


@pytest.mark.rule("text-connecting")
def test_algorithm_and_key_type_must_fit(
    google: Emulator, client: httpx.Client, issuer: Issuer
) -> None:
    """An EC token under the kid of an RSA key, and algorithms that Google does not take."""
    answer = exchange(client, google, Issuer("EC", kid=issuer.kid).token(AUDIENCE))
    assert oauth_refusal(answer) == (400, "invalid_grant", ISSUER_TEXT)
    _, payload, signature = issuer.token(AUDIENCE).split(".")
    for header in ({"alg": "none", "kid": issuer.kid}, {"alg": "RS384"}, {"alg": ["RS256"]}):
        forged = f"{json_b64encode(header).decode()}.{payload}.{signature}"
        assert oauth_refusal(exchange(client, google, forged)) == (
            400,
            "invalid_grant",
            ISSUER_TEXT,
        )


@pytest.mark.parametrize("critical", [["odd"], [["odd"]], 5, None, {}])
def test_a_critical_header_that_nobody_knows(
    google: Emulator, client: httpx.Client, issuer: Issuer, critical: Any
) -> None:
    """RFC 7515, section 4.1.11: such a signature must not be accepted."""
    _, payload, signature = issuer.token(AUDIENCE).split(".")
    header = json_b64encode({"alg": "RS256", "kid": issuer.kid, "crit": critical, "odd": 1})
    answer = exchange(client, google, f"{header.decode()}.{payload}.{signature}")
    assert oauth_refusal(answer)[2] == SIGNATURE_TEXT


@pytest.mark.rule("text-connecting")
def test_no_kid(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """STS asks for a kid."""
    claims = {"iss": ISSUER, "sub": "a", "aud": AUDIENCE, "iat": 0, "exp": 2**40}
    answer = exchange(client, google, issuer.sign(claims, kid=None))
    assert oauth_refusal(answer) == (400, "invalid_grant", ISSUER_TEXT)


@pytest.mark.rule("text-connecting")
def test_a_provider_without_uploaded_keys(
    google: Emulator, client: httpx.Client, issuer: Issuer
) -> None:
    """Its issuer would have to be fetched, and is not reachable."""
    google.load(world("", provider={"oidc": {"issuerUri": ISSUER}}))
    answer = exchange(client, google, issuer.token(AUDIENCE))
    assert oauth_refusal(answer) == (400, "invalid_grant", ISSUER_TEXT)


@pytest.mark.rule("no-jwt")
@pytest.mark.parametrize("token", ["abc", "a.b", "a.b.c", "....", "ä.ö.ü", "e30.e30."])
def test_a_subject_token_that_is_no_jwt(google: Emulator, client: httpx.Client, token: str) -> None:
    """Refused in STS's own form whatever it is."""
    answer = exchange(client, google, token)
    assert oauth_refusal(answer) == (
        400,
        "invalid_grant",
        "The given credential is not a valid ID Token.",
    )


@pytest.mark.parametrize("payload", [[], "text", 3, None])
def test_a_payload_that_is_no_object(
    google: Emulator, client: httpx.Client, issuer: Issuer, payload: Any
) -> None:
    """JSON, but no claims."""
    answer = exchange(client, google, issuer.sign(payload))
    assert oauth_refusal(answer)[2] == "The given credential is not a valid ID Token."


def test_hostile_json(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Deep nesting in the token and in the request ends in a plain refusal."""
    deep = "[" * 30000
    token = jws.serialize_compact({"alg": "RS256", "kid": issuer.kid}, deep, issuer.key)
    assert oauth_refusal(exchange(client, google, token))[0] == 400
    url = f"{google.endpoints['sts']}/v1/token"
    headers = {"Content-Type": "application/json"}
    for body in (deep, "[]", "null", "{", '{"audience": 3}', '{"a_b": "1", "aB": "2"}', b"\xff"):
        answer = client.post(url, content=body, headers=headers)
        assert oauth_refusal(answer)[:2] == (400, "invalid_request")
    assert client.post(url, content=b"\xff=%").status_code == 400
    assert client.post(url, content=b"a" * (2 << 20)).status_code == 413

"""`/v1/introspect`, client authentication, options and the switches of STS."""

import base64
import json
from urllib.parse import quote

import httpx
import pytest

from emulator.world import (
    AUDIENCE,
    CLOUD_PLATFORM,
    POOL,
    PRINCIPAL,
    SUBJECT,
    exchange,
    generate,
    world,
)
from emulator.world import oauth_refusal as refusal
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator


def introspect(client: httpx.Client, google: Emulator, token: str, **extra: str) -> httpx.Response:
    url = f"{google.endpoints['sts']}/v1/introspect"
    return client.post(url, data={"token": token, **extra}, auth=("client.id", "not-so-secret"))


@pytest.mark.rule("introspect")
def test_a_live_token(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """All members, with times as text."""
    google.clock.freeze()
    now = int(google.clock.now())
    token = exchange(client, google, issuer.token(AUDIENCE)).json()["access_token"]
    body = introspect(client, google, token).json()
    assert 3590 < int(body.pop("exp")) - now <= 3600
    assert body == {
        "active": True,
        "client_id": "client.id",
        "iat": str(now),
        "iss": "https://sts.googleapis.com/",
        "scope": CLOUD_PLATFORM,
        "sub": SUBJECT,
        "username": PRINCIPAL,
    }


@pytest.mark.rule("introspect")
def test_a_token_that_is_none(google: Emulator, client: httpx.Client, token: str) -> None:
    """Unknown, expired, missing, of another kind."""
    assert introspect(client, google, "x").json() == {"active": False}
    google.clock.shift(3601)
    assert introspect(client, google, token).json() == {"active": False}
    assert refusal(introspect(client, google, ""))[1] == "invalid_request"
    answer = introspect(client, google, token, token_type_hint="refresh_token")
    assert refusal(answer)[1] == "invalid_request"


@pytest.mark.rule("client-authentication")
@pytest.mark.parametrize(
    ("authorization", "status"),
    [
        ("Basic " + base64.b64encode(b"id:secret").decode(), 200),
        ("Basic " + base64.b64encode(b"no-colon").decode(), 401),
        ("Basic !!!", 401),
        ("Digest x", 401),
        ("Bearer x", 200),
    ],
)
def test_client_authentication(
    google: Emulator, client: httpx.Client, issuer: Issuer, authorization: str, status: int
) -> None:
    """Gcloud sends Basic; whatever it says is taken if it can be read."""
    client.headers["Authorization"] = authorization
    answer = exchange(client, google, issuer.token(AUDIENCE))
    assert answer.status_code == status
    if status == 401:
        assert refusal(answer)[1] == "invalid_client"


@pytest.mark.rule("client-authentication")
def test_a_bearer_as_an_option(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Google warns of it; whether it fails was not measured."""
    google.set_options(bearerAtSts="refused")
    client.headers["Authorization"] = "Bearer x"
    assert refusal(exchange(client, google, issuer.token(AUDIENCE)))[:2] == (401, "invalid_client")


@pytest.mark.rule("sts-options")
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 200),
        ({"userProject": "my-project"}, 200),
        ({"accessBoundary": {"accessBoundaryRules": [{}] * 10}}, 200),
        ({"accessBoundary": {"accessBoundaryRules": [{}] * 11}}, 400),
        ({"accessBoundary": {"accessBoundaryRules": [{"x": "y" * 2048}]}}, 400),
        ({"audiences": ["a" * 262] * 5}, 200),
        ({"audiences": ["a" * 263]}, 400),
        ({"audiences": ["a"] * 6}, 400),
        ({"userProject": "p" * 33}, 400),
        ({"colour": 1}, 400),
        ([], 400),
    ],
)
def test_options(
    google: Emulator, client: httpx.Client, issuer: Issuer, options: object, status: int
) -> None:
    """A JSON object as text, plain or quoted once more; other text is none."""
    assert exchange(client, google, issuer.token(AUDIENCE), options="x").status_code == 400
    for text in (json.dumps(options), quote(json.dumps(options))):
        answer = exchange(client, google, issuer.token(AUDIENCE), options=text)
        assert answer.status_code == status


@pytest.mark.rule("user-project")
def test_a_user_project_as_an_option(
    google: Emulator, client: httpx.Client, issuer: Issuer
) -> None:
    """Meant for workforce pools; the text of a refusal is not known."""
    google.set_options(userProject="refused")
    options = json.dumps({"userProject": "my-project"})
    answer = exchange(client, google, issuer.token(AUDIENCE), options=options)
    assert refusal(answer) == (400, "invalid_request", 'Invalid value for "options".')


@pytest.mark.rule("no-maximum-age")
def test_a_maximum_age_as_an_option(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Google's pages say 24 and 48 hours, a measurement saw none."""
    now = int(google.clock.now())
    old = issuer.token(AUDIENCE, iat=now - 90000, exp=now + 3600)
    assert exchange(client, google, old).status_code == 200
    google.set_options(subjectTokenMaxSeconds=86400)
    expected = f"ID Token issued at {now - 90000} is stale to sign-in."
    assert refusal(exchange(client, google, old))[2] == expected


@pytest.mark.rule("session-duration")
@pytest.mark.parametrize(
    ("choice", "duration", "expected"),
    [("lifts", "7200s", 7200), ("caps", "7200s", 598), ("caps", "300s", 300)],
)
def test_session_duration(
    google: Emulator,
    client: httpx.Client,
    issuer: Issuer,
    *,
    choice: str,
    duration: str,
    expected: int,
) -> None:
    """Documented to override the remaining life; whether it can lengthen it was not measured."""
    pools = [{"name": POOL, "sessionDuration": duration}]
    google.load(
        world(issuer.jwks, workloadIdentityPools=pools, options={"sessionDuration": choice})
    )
    google.clock.freeze(int(google.clock.now()))
    token = issuer.token(AUDIENCE, exp=int(google.clock.now()) + 600)
    assert exchange(client, google, token).json()["expires_in"] == expected


@pytest.mark.rule("quota-sts")
def test_the_quota_of_sts(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """A bucket of a minute's worth, filled by the emulator's clock."""
    google.set_options(quotas={"sts": 3})
    google.clock.freeze()
    token = issuer.token(AUDIENCE)
    statuses = [exchange(client, google, token).status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    assert refusal(exchange(client, google, token)) == (
        429,
        "quota_exceeded",
        (
            "The request was throttled due to rate limit: sts.googleapis.com/requests. Please retry"
            " after a few seconds."
        ),
    )
    google.clock.shift(20)
    assert exchange(client, google, token).status_code == 200


@pytest.mark.rule("quota-generate")
def test_the_quota_of_impersonation(google: Emulator, client: httpx.Client, token: str) -> None:
    """In the form of an API."""
    google.set_options(quotas={"generateAccessToken": 1})
    google.clock.freeze()
    assert generate(client, google, token).status_code == 200
    answer = generate(client, google, token)
    assert answer.status_code == 429
    assert answer.json()["error"]["status"] == "RESOURCE_EXHAUSTED"


@pytest.mark.rule("propagation")
def test_new_keys_take_their_time_where_asked(
    google: Emulator, client: httpx.Client, issuer: Issuer
) -> None:
    """5 s, as measured; a disabled provider is noticed after 1 s."""
    google.set_options(propagation="measured")
    google.clock.freeze()
    google.clock.shift(100)
    name = AUDIENCE.removeprefix("//iam.googleapis.com/")
    url = f"{google.endpoints['iam']}/v1/{name}"
    new = Issuer()
    client.patch(url, params={"updateMask": "oidc.jwksJson"}, json={"oidc": {"jwksJson": new.jwks}})
    seen = []
    for seconds in (4, 1):
        google.clock.shift(seconds)
        seen.append(exchange(client, google, new.token(AUDIENCE)).status_code)
    client.patch(url, params={"updateMask": "disabled"}, json={"disabled": True})
    for seconds in (0, 1):
        google.clock.shift(seconds)
        seen.append(exchange(client, google, new.token(AUDIENCE)).status_code)
    assert seen == [400, 200, 200, 400]

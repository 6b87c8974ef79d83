"""STS: Google's answers and texts, each brought about for real."""

import json
import ssl
import time
from typing import Any

import httpx
import pytest

from emulator.world import (
    ACCESS_TOKEN_TYPE,
    AUDIENCE,
    NUMBER,
    POOL,
    PRINCIPAL,
    PROVIDER,
    SUBJECT,
    exchange,
    oauth_refusal,
    request_of,
    world,
)
from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

TARGET_TEXT = (
    'The target service indicated by the "audience" parameters is invalid. This might either be'
    " because the pool or provider is disabled or deleted or because it doesn't exist."
)
AUDIENCE_TEXT = (
    'Invalid value for "audience". This value should be the full resource name of the Identity'
    " Provider. See https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token for the"
    " list of possible formats."
)


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.title() for part in rest)


@pytest.mark.rule("answer")
def test_the_answer_of_a_success(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """All members of RFC 8693's answer, an opaque token, a Date."""
    google.clock.freeze()
    exp = int(google.clock.now()) + 3600
    answer = exchange(client, google, issuer.token(AUDIENCE, exp=exp))
    body = answer.json()
    assert body.pop("access_token").startswith("ya29.d.")
    assert body == {
        "issued_token_type": ACCESS_TOKEN_TYPE,
        "token_type": "Bearer",
        "expires_in": 3598,
    }
    assert "date" in answer.headers
    assert answer.headers["content-type"] == "application/json; charset=UTF-8"


@pytest.mark.rule("body-forms")
@pytest.mark.parametrize("form", ["form", "json-camel", "json-snake"])
def test_three_body_forms(
    google: Emulator, client: httpx.Client, issuer: Issuer, form: str
) -> None:
    """Clients in production send all three."""
    fields = request_of(issuer.token(AUDIENCE))
    url = f"{google.endpoints['sts']}/v1/token"
    if form == "form":
        answer = client.post(url, data=fields)
    else:
        rename = camel if form == "json-camel" else str
        answer = client.post(url, json={rename(name): value for name, value in fields.items()})
    assert answer.status_code == 200
    assert google.log.exchanges()[0]["form"] == form.partition("-")[0]


@pytest.mark.rule("algorithms")
@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_rs256_and_es256(google: Emulator, client: httpx.Client, kind: str) -> None:
    """Both algorithms that Google takes."""
    signer = Issuer(kind)
    google.load(world(signer.jwks))
    assert exchange(client, google, signer.token(AUDIENCE)).status_code == 200


def test_the_http_listener_and_http2_answer_too(google: Emulator, issuer: Issuer) -> None:
    """Plain http serves the same application; TLS offers HTTP/2."""
    fields = request_of(issuer.token(AUDIENCE))
    with httpx.Client(trust_env=False) as plain:
        url = f"{google.endpoints['http']['sts']}/v1/token"
        assert plain.post(url, data=fields).status_code == 200
    context = ssl.create_default_context(cafile=str(google.ca_pem))
    with httpx.Client(verify=context, http2=True, trust_env=False) as second:
        answer = second.post(f"{google.endpoints['sts']}/v1/token", data=fields)
    assert (answer.status_code, answer.http_version) == (200, "HTTP/2")


@pytest.mark.rule("text-audience")
@pytest.mark.parametrize(
    "audience",
    [
        f"https://iam.googleapis.com/{PROVIDER}",
        f"https:{AUDIENCE}",
        AUDIENCE.replace(NUMBER, "my-project"),
        f"//iam.googleapis.com/{POOL}",
        f"//iam.example.com/{PROVIDER}",
        f"{AUDIENCE}/",
        "k8s-one",
    ],
)
def test_a_malformed_audience(
    google: Emulator, client: httpx.Client, issuer: Issuer, audience: str
) -> None:
    """Project id for number, pool without provider, scheme in front."""
    answer = exchange(client, google, issuer.token(AUDIENCE), audience=audience)
    assert oauth_refusal(answer) == (400, "invalid_request", AUDIENCE_TEXT)


@pytest.mark.rule("text-target")
@pytest.mark.parametrize(
    "audience",
    [
        AUDIENCE.replace(NUMBER, "999999999999"),
        AUDIENCE.replace("k8s-pool", "other-pool"),
        AUDIENCE.replace("k8s-one", "k8s-two"),
        "//iam.googleapis.com/locations/global/workforcePools/people/providers/okta",
    ],
)
def test_an_unknown_target(
    google: Emulator, client: httpx.Client, issuer: Issuer, audience: str
) -> None:
    """A well-formed name of nothing."""
    answer = exchange(client, google, issuer.token(AUDIENCE), audience=audience)
    assert oauth_refusal(answer) == (400, "invalid_target", TARGET_TEXT)


@pytest.mark.rule("text-target")
@pytest.mark.parametrize(
    "change",
    [
        {"provider": {"disabled": True}},
        {"provider": {"state": "DELETED"}},
        {"workloadIdentityPools": [{"name": POOL, "disabled": True}]},
        {"workloadIdentityPools": [{"name": POOL, "state": "DELETED"}]},
    ],
)
def test_a_disabled_or_deleted_target(
    google: Emulator, client: httpx.Client, issuer: Issuer, change: dict[str, Any]
) -> None:
    """Provider and pool, disabled and deleted: one text for all."""
    google.load(world(issuer.jwks, **change))
    answer = exchange(client, google, issuer.token(AUDIENCE))
    assert oauth_refusal(answer) == (400, "invalid_target", TARGET_TEXT)


@pytest.mark.rule("parameters")
@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"audience": None}, "invalid_request"),
        ({"scope": None}, "invalid_request"),
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:saml2"}, "invalid_request"),
        ({"requested_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
    ],
)
def test_parameters(
    google: Emulator,
    client: httpx.Client,
    issuer: Issuer,
    change: dict[str, str | None],
    error: str,
) -> None:
    """What the discovery document requires is required."""
    answer = exchange(client, google, issuer.token(AUDIENCE), **change)
    assert oauth_refusal(answer)[:2] == (400, error)


def test_json_null_is_absence(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """As in protobuf's JSON mapping."""
    fields = {**request_of(issuer.token(AUDIENCE)), "options": None}
    answer = client.post(f"{google.endpoints['sts']}/v1/token", json=fields)
    assert answer.status_code == 200


@pytest.mark.rule("text-condition")
def test_the_condition_is_false(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Also when it cannot be evaluated on this token."""
    for condition in (
        "assertion['kubernetes.io']['namespace'] in ['backend', 'monitoring']",
        "attribute.namespace == 'backend'",
        "google.subject == 'somebody'",
        "assertion.absent == 'x'",
    ):
        google.load(world(issuer.jwks, provider={"attributeCondition": condition}))
        assert oauth_refusal(exchange(client, google, issuer.token(AUDIENCE))) == (
            400,
            "unauthorized_client",
            "The given credential is rejected by the attribute condition.",
        )


@pytest.mark.rule("cel")
def test_the_condition_is_true(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """All three variables are there."""
    condition = (
        "assertion['kubernetes.io']['namespace'] == 'demo' && attribute.namespace == 'demo'"
        f" && google.subject == '{SUBJECT}'"
    )
    google.load(world(issuer.jwks, provider={"attributeCondition": condition}))
    assert exchange(client, google, issuer.token(AUDIENCE)).status_code == 200


@pytest.mark.rule("text-subject")
@pytest.mark.parametrize(
    "mapping",
    [
        {"attribute.namespace": "'x'"},
        {"google.subject": "assertion.absent"},
        {"google.subject": "assertion.exp"},
        {"google.subject": "assertion.sub.extract('cluster:{name}')"},
    ],
)
def test_no_subject(
    google: Emulator, client: httpx.Client, issuer: Issuer, mapping: dict[str, str]
) -> None:
    """Unmapped, absent, not a string, or empty."""
    google.load(world(issuer.jwks, provider={"attributeMapping": mapping}))
    assert oauth_refusal(exchange(client, google, issuer.token(AUDIENCE))) == (
        400,
        "unauthorized_client",
        "Could not obtain a value for google.subject from the given credential.",
    )


@pytest.mark.rule("text-127")
def test_127_bytes_of_subject(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """127 bytes pass, 128 do not."""
    assert exchange(client, google, issuer.token(AUDIENCE, sub="s" * 127)).status_code == 200
    message = (
        "The size of mapped attribute google.subject exceeds the 127 bytes limit. Either modify"
        " your attribute mapping or the incoming assertion to produce a mapped attribute that is"
        " less than 127 bytes."
    )
    answer = exchange(client, google, issuer.token(AUDIENCE, sub="s" * 126 + "é"))
    assert oauth_refusal(answer) == (400, "invalid_request", message)


@pytest.mark.rule("expires-in")
@pytest.mark.parametrize(
    ("life", "expires_in"),
    [(30, 28), (600, 598), (3600, 3598), (7200, 3599), (3, 1), (2, None), (-59, 59)],
)
def test_expires_in(
    google: Emulator, client: httpx.Client, issuer: Issuer, life: int, expires_in: int | None
) -> None:
    """The measured values, the absence at 2 s among them."""
    now = int(time.time())
    google.clock.freeze(at=float(now))
    answer = exchange(client, google, issuer.token(AUDIENCE, iat=now - 60, exp=now + life))
    assert (answer.status_code, answer.json().get("expires_in")) == (200, expires_in)


@pytest.mark.rule("expires-in")
def test_500_just_before_expiry(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """With 1 s left Google fails, in its own error shape."""
    now = int(time.time())
    google.clock.freeze(at=float(now))
    answer = exchange(client, google, issuer.token(AUDIENCE, exp=now + 1))
    assert (answer.status_code, answer.json()["error"]["status"]) == (500, "INTERNAL")


@pytest.mark.rule("session-duration")
def test_session_duration_of_the_pool(
    google: Emulator, client: httpx.Client, issuer: Issuer
) -> None:
    """It takes the place of the token's remaining life."""
    pools = [{"name": POOL, "sessionDuration": "7200s"}]
    google.load(world(issuer.jwks, workloadIdentityPools=pools))
    assert exchange(client, google, issuer.token(AUDIENCE)).json()["expires_in"] == 7200


@pytest.mark.rule("service-disabled")
def test_a_disabled_api(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """403 in Google's error shape, not OAuth's."""
    project = {
        "projectId": "my-project",
        "projectNumber": int(NUMBER),
        "disabledServices": ["sts.googleapis.com"],
    }
    google.load(world(issuer.jwks, projects=[project]))
    answer = exchange(client, google, issuer.token(AUDIENCE))
    error = answer.json()["error"]
    assert (answer.status_code, error["status"]) == (403, "PERMISSION_DENIED")
    assert error["message"].startswith(
        f"Security Token Service API has not been used in project {NUMBER} before or it is disabled"
    )
    assert error["details"][0]["reason"] == "SERVICE_DISABLED"


@pytest.mark.rule("quota-sts")
def test_throttled(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """The quota fault speaks as STS does."""
    google.faults.set("quota", times=1)
    message = (
        "The request was throttled due to rate limit: sts.googleapis.com/requests. Please retry"
        " after a few seconds."
    )
    answer = exchange(client, google, issuer.token(AUDIENCE))
    assert oauth_refusal(answer) == (429, "quota_exceeded", message)
    assert exchange(client, google, issuer.token(AUDIENCE)).status_code == 200


@pytest.mark.rule("universe")
def test_another_universe(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Names of a sovereign cloud."""
    google.load(world(issuer.jwks, options={"universeDomain": "s3nsapis.fr"}))
    audience = f"//iam.s3nsapis.fr/{PROVIDER}"
    answer = exchange(client, google, issuer.token(audience), audience=audience)
    assert answer.status_code == 200


def test_the_log_holds_the_evidence_and_no_secret(
    google: Emulator, client: httpx.Client, issuer: Issuer
) -> None:
    """Who asked for what and what it became, but neither token."""
    subject_token = issuer.token(AUDIENCE)
    access_token = exchange(client, google, subject_token).json()["access_token"]
    [entry] = google.log.exchanges()
    for name in ("at", "user_agent", "host"):
        assert entry.pop(name)
    assert entry == {
        "service": "sts",
        "method": "POST",
        "path": "/v1/token",
        "scheme": "https",
        "status": 200,
        "form": "form",
        "audience": AUDIENCE,
        "kid": issuer.kid,
        "issuer": ISSUER,
        "subject": SUBJECT,
        "mapped_principal": PRINCIPAL,
    }
    text = json.dumps(google.log.entries())
    assert access_token not in text
    assert subject_token.rpartition(".")[2] not in text

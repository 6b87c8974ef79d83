"""exchange: every refusal of Google's STS, as it words them, becomes cause and fix."""

import time
from typing import Any

import pytest

from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.plugin.exchange import google_error, lifetime
from raw_server import answering, http
from scene import AUDIENCE, PROVIDER, SUBJECT, google_config, request, run_plugin

Environment = dict[str, str]

OTHER = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/none/providers/none"


def _config(issuer: Issuer, **provider: Any) -> dict[str, Any]:
    return google_config(issuer, **provider)


def test_an_expired_token(environment: Environment, issuer: Issuer) -> None:
    """Both clocks are shown: mostly one of them is wrong."""
    token = issuer.token(AUDIENCE, iat=1000, nbf=1000, exp=4600)
    outcome = run_plugin(environment, request(token))
    assert outcome.error == "STS-STALE"
    assert "issued 1970-01-01T00:16:40Z, expires 1970-01-01T01:16:40Z" in outcome.stderr
    assert "this node's in step with it" in outcome.stderr


def test_a_node_with_a_wrong_clock(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Google's clock decides, and the difference is named from its Date header."""
    google.clock.shift(7200)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "STS-STALE"
    assert any(f"this node's {s} s behind" in outcome.stderr for s in (7199, 7200, 7201))


def test_another_audience(environment: Environment, google: Emulator, issuer: Issuer) -> None:
    """The token's own is shown."""
    outcome = run_plugin(environment, request(issuer.token("https://kubernetes.default.svc")))
    assert outcome.error == "STS-AUDIENCE"
    assert "the token is for the audience https://kubernetes.default.svc" in outcome.stderr


def test_another_issuer(environment: Environment, issuer: Issuer) -> None:
    """A trailing slash is enough."""
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE, iss=ISSUER + "/")))
    assert outcome.error == "STS-ISSUER"
    assert f"the token's issuer is {ISSUER}/; the provider" in outcome.stderr


def test_an_unknown_key(environment: Environment, google: Emulator, issuer: Issuer) -> None:
    """Google's text blames the issuer's connection."""
    stranger = Issuer("EC")
    outcome = run_plugin(environment, request(stranger.token(AUDIENCE)))
    assert outcome.error == "STS-ISSUER-KEYS"
    assert f"kid {stranger.kid} (ES256), issuer {ISSUER}" in outcome.stderr


def test_the_same_kid_with_another_key(environment: Environment, issuer: Issuer) -> None:
    """A cluster that was rebuilt."""
    outcome = run_plugin(environment, request(Issuer(kid=issuer.kid).token(AUDIENCE)))
    assert outcome.error == "STS-SIGNATURE"
    assert f"kid {issuer.kid}, issuer {ISSUER}" in outcome.stderr


def test_a_condition_that_is_false(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """The ServiceAccount that it refuses is named."""
    google.load(_config(issuer, attributeCondition="assertion.sub == 'x'"))
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "STS-CONDITION"
    assert f"refuses {SUBJECT}" in outcome.stderr


def test_a_mapping_without_subject(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Its claim is not in the token."""
    google.load(_config(issuer, attributeMapping={"google.subject": "assertion.email"}))
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "STS-SUBJECT"


def test_a_subject_that_is_too_long(environment: Environment, issuer: Issuer) -> None:
    """127 bytes."""
    subject = "system:serviceaccount:" + "n" * 63 + ":" + "s" * 63
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE, sub=subject)))
    assert outcome.error == "STS-SUBJECT-SIZE"


@pytest.mark.parametrize("provider", [OTHER, AUDIENCE.replace("123456789012", "99")])
def test_a_provider_that_google_does_not_know(
    environment: Environment, issuer: Issuer, provider: str
) -> None:
    """A wrong number looks like a wrong name."""
    environment["GCP_AUDIENCE"] = provider
    outcome = run_plugin(environment, request(issuer.token(provider)))
    assert outcome.error == "STS-TARGET"
    assert f"no active provider {provider}" in outcome.stderr


def test_a_disabled_provider(environment: Environment, google: Emulator, issuer: Issuer) -> None:
    """The same words."""
    google.load(_config(issuer, disabled=True))
    assert run_plugin(environment, request(issuer.token(AUDIENCE))).error == "STS-TARGET"


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (
            400,
            {"error": "invalid_request", "error_description": 'Invalid value for "audience". …'},
            "STS-AUDIENCE-FORMAT",
        ),
        (403, {"error": {"status": "PERMISSION_DENIED", "message": "x"}}, "STS-REFUSED"),
        (
            403,
            {
                "error": {
                    "code": 403,
                    "status": "PERMISSION_DENIED",
                    "message": "Security Token Service API has not been used in project 1 before",
                }
            },
            "STS-DISABLED",
        ),
        (
            403,
            {"error": {"status": "X", "message": "", "details": [{"reason": "SERVICE_DISABLED"}]}},
            "STS-DISABLED",
        ),
        (400, {"error": "quota_exceeded"}, "STS-QUOTA"),
        (400, {}, "STS-REFUSED"),
        (400, {"error": 7, "error_description": []}, "STS-REFUSED"),
        (400, {"error": {"details": [7, {"reason": 1}], "message": 3}}, "STS-REFUSED"),
        (201, {"access_token": "x"}, "STS-REFUSED"),
        (500, {"error": {"status": "INTERNAL"}}, "STS-UNAVAILABLE"),
    ],
)
def test_other_answers(
    environment: Environment,
    google: Emulator,
    issuer: Issuer,
    status: int,
    body: dict[str, Any],
    code: str,
) -> None:
    """Google's error objects, OAuth's, and neither."""
    google.faults.set("status", status=status, body=body, path="/v1/token")
    assert run_plugin(environment, request(issuer.token(AUDIENCE))).error == code


@pytest.mark.parametrize(
    "token",
    [None, "", 7, "a b", "a\r\nX: y", "a\u00e9", "a\x00", "a\ud800", "x" * 12289],
)
def test_a_token_that_cannot_be_one(
    environment: Environment, google: Emulator, issuer: Issuer, token: object
) -> None:
    """It would go into a header of the container runtime."""
    body = {"access_token": token, "expires_in": 3600}
    google.faults.set("status", status=200, body=body, path="/v1/token")
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (1, "ANSWER-FIELD")


@pytest.mark.parametrize(
    ("expires_in", "least", "most"),
    [
        ("3600", 2999, 3000),
        ('"3600"', 2999, 3000),
        ("1e999", 0, 0),
        ("null", 0, 0),
        ("true", 0, 0),
        ("-1", 0, 0),
        ('"soon"', 0, 0),
        ("99999999999", 42599, 42600),
        ("1" * 400, 42599, 42600),
    ],
)
def test_lifetimes(
    environment: Environment, issuer: Issuer, expires_in: str, least: int, most: int
) -> None:
    """Unknown is never cached; nothing of Google's lives longer than twelve hours."""
    body = b'{"access_token":"t","expires_in":%s}' % expires_in.encode()
    with answering(http("200 OK", body)) as server:
        environment["GCP_STS_ENDPOINT"] = server.url
        outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert least <= int(outcome.response["cacheDuration"].removesuffix("s")) <= most


def test_a_lifetime_counts_from_before_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the answer's way took is taken off, rounded up."""
    monkeypatch.setattr(time, "monotonic", lambda: 100.0)
    assert lifetime(3600, 98.5) == 3598


def test_the_token_of_a_dying_token_is_not_cached(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """A ServiceAccount token with a minute left gives one that is as short."""
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE, exp=int(time.time()) + 50)))
    assert outcome.response["cacheDuration"] == "0s"


def test_an_error_without_shape() -> None:
    """Nothing is relied on."""
    assert google_error({}) == ("no error code", "")
    assert google_error({"error": {"status": None}}) == ("no error code", "")


def test_the_provider_is_named_as_google_knows_it(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """A leading https: is not sent."""
    environment["GCP_AUDIENCE"] = "https:" + AUDIENCE
    assert run_plugin(environment, request(issuer.token("https:" + AUDIENCE))).code == 0
    assert google.log.exchanges()[0]["audience"] == f"//iam.googleapis.com/{PROVIDER}"

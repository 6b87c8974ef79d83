"""impersonate: a federated token becomes an account's, or a reason why not."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from raw_server import RawServer, answering, http
from scene import ACCOUNT, AUDIENCE, SUBJECT, request, run_plugin

Environment = dict[str, str]

_DENIED = (
    "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
)
_PERIMETER = (
    "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: Xy-7"
)
_UNUSED = (
    "IAM Service Account Credentials API has not been used in project 7 before or it is disabled."
)


@pytest.fixture
def impersonating(environment: Environment) -> Environment:
    """With an account that the ServiceAccount may use."""
    environment["GCP_SERVICE_ACCOUNT"] = ACCOUNT
    return environment


def test_an_account_without_grant(impersonating: Environment, issuer: Issuer) -> None:
    """Who, whom, and what to grant."""
    token = issuer.token(AUDIENCE, sub="system:serviceaccount:demo:other")
    outcome = run_plugin(impersonating, request(token))
    assert (outcome.code, outcome.error) == (1, "IAM-DENIED")
    assert f"system:serviceaccount:demo:other may not impersonate {ACCOUNT}" in outcome.stderr
    assert "roles/iam.workloadIdentityUser" in outcome.stderr


def test_a_lifetime_that_the_policy_forbids(impersonating: Environment, issuer: Issuer) -> None:
    """More than an hour needs an organisation policy."""
    impersonating["GCP_SERVICE_ACCOUNT_LIFETIME"] = "7200"
    outcome = run_plugin(impersonating, request(issuer.token(AUDIENCE)))
    assert outcome.error == "IAM-LIFETIME"
    assert "for 7200 seconds" in outcome.stderr


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, {"error": {"status": "UNAUTHENTICATED", "message": "Request had …"}}, "IAM-TOKEN"),
        (403, {"error": {"status": "PERMISSION_DENIED", "message": _DENIED}}, "IAM-DENIED"),
        (403, {"error": {"status": "PERMISSION_DENIED", "message": _PERIMETER}}, "IAM-REFUSED"),
        (
            403,
            {"error": {"message": "x", "details": [{"reason": "BILLING_DISABLED"}]}},
            "IAM-REFUSED",
        ),
        (403, {"error": {"message": _UNUSED}}, "IAM-DISABLED"),
        (403, {"error": {"details": [{"reason": "SERVICE_DISABLED"}]}}, "IAM-DISABLED"),
        (404, {"error": {"status": "NOT_FOUND", "message": "Unknown"}}, "IAM-ACCOUNT"),
        (403, {"error": {"message": "the lifetime of this token is over"}}, "IAM-REFUSED"),
        (400, {"error": {"status": "INVALID_ARGUMENT", "message": "scope"}}, "IAM-REFUSED"),
        (418, {}, "IAM-REFUSED"),
        (429, {}, "IAM-QUOTA"),
        (408, {}, "IAM-UNAVAILABLE"),
        (503, {}, "IAM-UNAVAILABLE"),
    ],
)
def test_other_refusals(
    impersonating: Environment,
    google: Emulator,
    issuer: Issuer,
    status: int,
    body: dict[str, Any],
    code: str,
) -> None:
    """By status and Google's error object."""
    google.faults.set("status", status=status, body=body, service="iam_credentials")
    outcome = run_plugin(impersonating, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error, outcome.stdout) == (1, code, b"")


def test_a_perimeter_is_not_taken_for_a_missing_grant(
    impersonating: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Google's words with the number to look up, and no advice to grant what is granted."""
    body = {"error": {"status": "PERMISSION_DENIED", "message": _PERIMETER}}
    google.faults.set("status", status=403, body=body, service="iam_credentials")
    outcome = run_plugin(impersonating, request(issuer.token(AUDIENCE)))
    assert f"refused {ACCOUNT} (403 PERMISSION_DENIED): {_PERIMETER}" in outcome.stderr
    assert "workloadIdentityUser" not in outcome.stderr


@contextlib.contextmanager
def _account_token(environment: Environment, body: bytes, *headers: str) -> Iterator[RawServer]:
    with answering(http("200 OK", body, *headers)) as server:
        environment["GCP_IAM_CREDENTIALS_ENDPOINT"] = server.url
        yield server


DATE = "Date: Tue, 24 Nov 2026 16:00:00 GMT"


@pytest.mark.parametrize(
    ("expire_time", "headers", "least", "most"),
    [
        ('"2026-11-24T17:00:00Z"', (DATE,), 2999, 3000),
        ('"2026-11-24T16:10:00.5Z"', (DATE,), 449, 450),
        ('"2026-11-24T20:00:00Z"', (DATE,), 2999, 3000),
        ('"2026-11-24T15:00:00Z"', (DATE,), 0, 0),
        ('"2026-11-24T17:00:00Z"', (), 0, 0),
        ('"soon"', (DATE,), 0, 0),
        ("7", (DATE,), 0, 0),
    ],
)
def test_the_lifetime_is_measured_by_googles_own_clock(
    impersonating: Environment,
    issuer: Issuer,
    expire_time: str,
    headers: tuple[str, ...],
    least: int,
    most: int,
) -> None:
    """ExpireTime less the answer's Date, at most what was asked for; unknown without either."""
    body = b'{"accessToken":"t","expireTime":%s}' % expire_time.encode()
    with _account_token(impersonating, body, *headers):
        outcome = run_plugin(impersonating, request(issuer.token(AUDIENCE)))
    assert least <= int(outcome.response["cacheDuration"].removesuffix("s")) <= most


def test_the_request(impersonating: Environment, issuer: Issuer) -> None:
    """Path, scope and lifetime; the federated token as bearer."""
    impersonating["GCP_SCOPE"] = "https://a https://b"
    body = b'{"accessToken":"t","expireTime":"x"}'
    with _account_token(impersonating, body) as server:
        assert run_plugin(impersonating, request(issuer.token(AUDIENCE))).code == 0
    [sent] = server.received
    path = f"POST /v1/projects/-/serviceAccounts/{ACCOUNT}:generateAccessToken HTTP/1.1\r\n"
    assert sent.startswith(path.encode())
    assert b"\r\nAuthorization: Bearer ya29." in sent
    assert sent.endswith(b'{"scope":["https://a","https://b"],"lifetime":"3600s"}')


def test_an_answer_without_token(impersonating: Environment, issuer: Issuer) -> None:
    """It names the field."""
    with _account_token(impersonating, b"{}"):
        outcome = run_plugin(impersonating, request(issuer.token(AUDIENCE)))
    assert outcome.error == "ANSWER-FIELD"
    assert "has no usable accessToken" in outcome.stderr


def test_the_subject_in_a_refusal_is_the_tokens(
    impersonating: Environment, google: Emulator
) -> None:
    """Named as the grant must name it."""
    google.faults.set("status", status=403, body={}, service="iam_credentials")
    stranger = Issuer()
    google.load({})
    outcome = run_plugin(impersonating, request(stranger.token(AUDIENCE)))
    assert outcome.error == "STS-TARGET"
    assert SUBJECT not in outcome.stderr

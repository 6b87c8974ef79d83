"""generateAccessToken: limits and texts as measured, and IAM deciding for real."""

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from emulator.world import (
    ACCOUNT,
    AUDIENCE,
    CLOUD_PLATFORM,
    EMAIL,
    NUMBER,
    POOL,
    PRINCIPAL,
    bindings,
    exchange,
    generate,
    world,
)
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

DENIED = "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not exist)."
TOO_LONG = (
    "can not have lifetimes of more than 1 hour. Use the Org Policy Constraint"
    " constraints/iam.allowServiceAccountCredentialLifetimeExtension to allow up to 12 hours."
)
EXPECTED = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. See"
    " https://developers.google.com/identity/sign-in/web/devconsole-project."
)


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Code, status and message of Google's error object."""
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    return error["code"], error["status"], error["message"]


@pytest.mark.rule("generate")
def test_an_access_token_of_the_account(google: Emulator, client: httpx.Client, token: str) -> None:
    """Token and expiry, an hour by default, seconds in UTC."""
    google.clock.freeze()
    now = int(google.clock.now())
    body = generate(client, google, token).json()
    assert sorted(body) == ["accessToken", "expireTime"]
    assert datetime.fromisoformat(body["expireTime"]) == datetime.fromtimestamp(now + 3600, UTC)


@pytest.mark.rule("generate")
@pytest.mark.parametrize("name", [EMAIL, "112233445566778899001"])
def test_by_email_and_by_unique_id(
    google: Emulator, client: httpx.Client, token: str, name: str
) -> None:
    """Both name the account, and the token is the account's."""
    account_token = generate(client, google, token, name).json()["accessToken"]
    google.grant(ACCOUNT, "roles/iam.serviceAccountTokenCreator", f"serviceAccount:{EMAIL}")
    assert generate(client, google, account_token).status_code == 200
    assert google.log.entries("iam_credentials")[1]["principal"] == f"serviceAccount:{EMAIL}"


@pytest.mark.rule("generate-project")
@pytest.mark.parametrize("project", ["my-project", NUMBER, "nonsense"])
def test_no_project_in_the_name(
    google: Emulator, client: httpx.Client, token: str, project: str
) -> None:
    """The account's own is refused as well."""
    url = f"{google.endpoints['iam_credentials']}/v1/projects/{project}/serviceAccounts/{EMAIL}"
    answer = client.post(
        f"{url}:generateAccessToken",
        headers={"Authorization": f"Bearer {token}"},
        json={"scope": [CLOUD_PLATFORM]},
    )
    assert refusal(answer)[:2] == (400, "INVALID_ARGUMENT")


@pytest.mark.rule("generate-lifetime")
@pytest.mark.parametrize("lifetime", ["1s", "59s", "600s", "3600s", "3600.9s"])
def test_lifetimes_that_pass(
    google: Emulator, client: httpx.Client, token: str, lifetime: str
) -> None:
    """From a second to an hour."""
    assert generate(client, google, token, lifetime=lifetime).status_code == 200


@pytest.mark.rule("generate-lifetime")
@pytest.mark.parametrize(
    ("lifetime", "message"),
    [
        ("0s", "Lifetime of access token must be larger then zero."),
        ("-1s", "Lifetime of access token must be larger then zero."),
        ("3601s", TOO_LONG),
        ("43200s", TOO_LONG),
    ],
)
def test_lifetimes_that_do_not(
    google: Emulator, client: httpx.Client, token: str, lifetime: str, message: str
) -> None:
    """Zero, and more than an hour."""
    answer = generate(client, google, token, lifetime=lifetime)
    assert refusal(answer) == (400, "INVALID_ARGUMENT", message)


@pytest.mark.parametrize("lifetime", ["600", 600, "soon", "1h"])
def test_a_lifetime_that_is_no_duration(
    google: Emulator, client: httpx.Client, token: str, lifetime: Any
) -> None:
    """Protobuf's Duration in JSON is a text that ends in s."""
    answer = generate(client, google, token, lifetime=lifetime)
    assert refusal(answer)[:2] == (400, "INVALID_ARGUMENT")


@pytest.mark.rule("generate-lifetime")
def test_twelve_hours_by_organization_policy(
    google: Emulator, client: httpx.Client, issuer: Issuer, token: str
) -> None:
    """With the constraint, up to 43200 s."""
    google.load(world(issuer.jwks, options={"lifetimeExtension": [EMAIL]}))
    assert generate(client, google, token, lifetime="43200s").status_code == 200
    assert refusal(generate(client, google, token, lifetime="43201s"))[2] == TOO_LONG


@pytest.mark.rule("generate-grant")
def test_no_grant_and_no_such_account(google: Emulator, client: httpx.Client, token: str) -> None:
    """One text for both."""
    expected = (403, "PERMISSION_DENIED", DENIED)
    google.revoke(ACCOUNT, "roles/iam.workloadIdentityUser", PRINCIPAL)
    assert refusal(generate(client, google, token)) == expected
    assert refusal(generate(client, google, token, "nobody@x.example")) == expected
    google.grant(ACCOUNT, "roles/artifactregistry.reader", PRINCIPAL)
    assert refusal(generate(client, google, token)) == expected


@pytest.mark.rule("members")
@pytest.mark.parametrize(
    "member",
    [
        f"principalSet://iam.googleapis.com/{POOL}/attribute.namespace/demo",
        f"principalSet://iam.googleapis.com/{POOL}/*",
    ],
)
def test_grants_to_sets(google: Emulator, client: httpx.Client, token: str, member: str) -> None:
    """By attribute and for the whole pool; on the project too."""
    google.revoke(ACCOUNT, "roles/iam.workloadIdentityUser", PRINCIPAL)
    google.grant("projects/my-project", "roles/iam.workloadIdentityUser", member)
    assert generate(client, google, token).status_code == 200


@pytest.mark.rule("delegates")
def test_delegates(google: Emulator, client: httpx.Client, issuer: Issuer, token: str) -> None:
    """Each of the chain must be allowed to become the next."""
    middle = "middle@my-project.iam.gserviceaccount.com"
    creator = "roles/iam.serviceAccountTokenCreator"
    accounts = [
        {
            "name": f"projects/my-project/serviceAccounts/{middle}",
            "iamPolicy": bindings(creator, PRINCIPAL),
        },
        {"name": ACCOUNT, "iamPolicy": bindings(creator, f"serviceAccount:{middle}")},
    ]
    google.load(world(issuer.jwks, serviceAccounts=accounts))
    delegates = [f"projects/-/serviceAccounts/{middle}"]
    assert generate(client, google, token, delegates=delegates).status_code == 200
    assert refusal(generate(client, google, token))[2] == DENIED
    for bad in (["middle"], "middle", [3]):
        assert refusal(generate(client, google, token, delegates=bad))[0] == 400


@pytest.mark.rule("generate-caller")
@pytest.mark.parametrize("authorization", [None, "", "Bearer", "Basic abc", "Bearer wrong"])
def test_the_callers_credential(
    google: Emulator, client: httpx.Client, authorization: str | None
) -> None:
    """Missing and invalid are told apart."""
    headers = {} if authorization is None else {"Authorization": authorization}
    url = f"{google.endpoints['iam_credentials']}/v1/projects/-/serviceAccounts/{EMAIL}"
    answer = client.post(f"{url}:generateAccessToken", headers=headers, json={"scope": [""]})
    start = "Request had invalid authentication credentials."
    if authorization in (None, "", "Bearer"):
        start = "Request is missing required authentication credential."
    assert refusal(answer) == (401, "UNAUTHENTICATED", f"{start} {EXPECTED}")


@pytest.mark.rule("provider-disabled", "pool-disabled")
def test_the_callers_token_expires_and_dies_with_its_pool(
    google: Emulator, client: httpx.Client, issuer: Issuer, token: str
) -> None:
    """A disabled provider leaves live tokens alone, a disabled pool does not."""
    google.load(world(issuer.jwks, provider={"disabled": True}))
    assert generate(client, google, token).status_code == 200
    pool = [{"name": POOL, "disabled": True}]
    google.load(world(issuer.jwks, workloadIdentityPools=pool))
    assert refusal(generate(client, google, token))[0] == 401
    google.load(world(issuer.jwks))
    assert generate(client, google, token).status_code == 200
    google.clock.shift(3600)
    assert refusal(generate(client, google, token))[0] == 401


@pytest.mark.rule("generate-scopes")
def test_scopes(google: Emulator, client: httpx.Client, token: str) -> None:
    """`[""]` means cloud-platform; none, or one that does not exist, is refused."""
    assert generate(client, google, token, scope=[""]).status_code == 200
    for scope in ([], None, "text", ["bogus"], [3]):
        assert refusal(generate(client, google, token, scope=scope))[:2] == (
            400,
            "INVALID_ARGUMENT",
        )


@pytest.mark.rule("generate-caller")
def test_the_callers_scope(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """A federated token of a storage scope cannot impersonate."""
    scope = "https://www.googleapis.com/auth/devstorage.read_only"
    narrow = exchange(client, google, issuer.token(AUDIENCE), scope=scope).json()["access_token"]
    answer = generate(client, google, narrow)
    assert refusal(answer) == (
        403,
        "PERMISSION_DENIED",
        "Request had insufficient authentication scopes.",
    )
    assert answer.json()["error"]["details"][0]["reason"] == "ACCESS_TOKEN_SCOPE_INSUFFICIENT"


@pytest.mark.parametrize("body", ["", "[]", "{", "[" * 30000, '{"scopes": [""]}'])
def test_bodies(google: Emulator, client: httpx.Client, token: str, body: str) -> None:
    """What is no such request is refused in Google's shape."""
    url = f"{google.endpoints['iam_credentials']}/v1/projects/-/serviceAccounts/{EMAIL}"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = client.post(f"{url}:generateAccessToken", headers=headers, content=body)
    assert refusal(answer)[:2] == (400, "INVALID_ARGUMENT")


@pytest.mark.rule("service-disabled")
def test_a_disabled_api(google: Emulator, client: httpx.Client, issuer: Issuer, token: str) -> None:
    """The other API that must be switched on."""
    project = {
        "projectId": "my-project",
        "projectNumber": NUMBER,
        "disabledServices": ["iamcredentials.googleapis.com"],
    }
    google.load(world(issuer.jwks, projects=[project]))
    code, status, message = refusal(generate(client, google, token))
    assert (code, status) == (403, "PERMISSION_DENIED")
    assert message.startswith("IAM Service Account Credentials API has not been used in project")


@pytest.mark.rule("quota-generate")
def test_throttled(google: Emulator, client: httpx.Client, token: str) -> None:
    """The quota fault speaks as an API does."""
    google.faults.set("quota", service="iam_credentials")
    assert refusal(generate(client, google, token))[:2] == (429, "RESOURCE_EXHAUSTED")


def test_no_token_in_the_log(google: Emulator, client: httpx.Client, token: str) -> None:
    """Neither the caller's nor the account's."""
    account_token = generate(client, google, token, scope=[CLOUD_PLATFORM]).json()["accessToken"]
    text = json.dumps(google.log.entries())
    assert token not in text
    assert account_token not in text


def test_an_unknown_method(google: Emulator, client: httpx.Client) -> None:
    """404 in Google's shape."""
    answer = client.get(f"{google.endpoints['iam']}/v1/nothing")
    assert refusal(answer)[:2] == (404, "NOT_FOUND")

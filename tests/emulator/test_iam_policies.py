"""Policies of projects, accounts and repositories over REST, and service accounts."""

from typing import Any

import httpx
import pytest

from emulator.test_iam_pools import refusal
from emulator.world import ACCOUNT, EMAIL, NUMBER, POOL, REPOSITORY, bindings, generate
from gcp_sa_credential_provider.emulator.inprocess import Emulator

READER = "roles/artifactregistry.reader"
MANIFEST = "/v2/my-project/images/hello/manifests/latest"
RESOURCES = [
    ("GET", f"v1/{REPOSITORY}"),
    ("GET", f"v1/{REPOSITORY.replace('my-project', NUMBER)}"),
    ("POST", "v1/projects/my-project"),
    ("POST", f"v3/projects/{NUMBER}"),
    ("POST", f"v1/{ACCOUNT}"),
    ("POST", f"v1/projects/-/serviceAccounts/{EMAIL}"),
]


@pytest.fixture
def apis(google: Emulator, client: httpx.Client) -> httpx.Client:
    """A client of all JSON APIs."""
    client.base_url = httpx.URL(google.endpoints["iam"])
    return client


def get_policy(apis: httpx.Client, verb: str, resource: str) -> dict[str, Any]:
    answer = apis.request(verb, f"{resource}:getIamPolicy")
    assert answer.status_code == 200
    return dict(answer.json())


@pytest.mark.rule("policies")
@pytest.mark.parametrize(("verb", "resource"), RESOURCES)
def test_read_modify_write(apis: httpx.Client, verb: str, resource: str) -> None:
    """A fresh etag is taken, a stale one is a conflict that changes nothing."""
    before = get_policy(apis, verb, resource)
    member = f"principalSet://iam.googleapis.com/{POOL}/*"
    new = {"etag": before["etag"], **bindings(READER, member)}
    answer = apis.post(f"{resource}:setIamPolicy", json={"policy": new})
    assert answer.json() == get_policy(apis, verb, resource)
    assert answer.json()["bindings"] == new["bindings"]
    assert answer.json()["etag"] != before["etag"]
    conflict = apis.post(f"{resource}:setIamPolicy", json={"policy": before})
    assert refusal(conflict)[:2] == (409, "ABORTED")
    assert get_policy(apis, verb, resource) == answer.json()
    emptied = apis.post(f"{resource}:setIamPolicy", json={"policy": {}})
    assert emptied.json() == {"etag": "ACAB"}


@pytest.mark.rule("members")
@pytest.mark.parametrize(
    ("suffix", "status"),
    [
        ("/*", 200),
        ("/attribute.namespace/demo", 200),
        ("/attribute.namespace/other", 403),
        ("/group/demo", 403),
    ],
)
def test_a_grant_decides_a_pull(
    google: Emulator, apis: httpx.Client, token: str, suffix: str, status: int
) -> None:
    """What setIamPolicy says is what the registry does."""
    policy = bindings(READER, f"principalSet://iam.googleapis.com/{POOL}{suffix}")
    apis.post(f"v1/{REPOSITORY}:setIamPolicy", json={"policy": policy})
    assert apis.get(MANIFEST, headers={"Authorization": f"Bearer {token}"}).status_code == status


@pytest.mark.rule("propagation")
def test_grants_take_their_time_where_asked(
    google: Emulator, apis: httpx.Client, token: str
) -> None:
    """70 s to come, 90 s to go, as measured; off by default."""
    google.clock.freeze()
    google.set_options(propagation="measured")
    headers = {"Authorization": f"Bearer {token}"}
    apis.post(f"v1/{REPOSITORY}:setIamPolicy", json={"policy": {}})
    member = f"principalSet://iam.googleapis.com/{POOL}/*"
    seen = []
    for seconds in (89, 1, 0):
        google.clock.shift(seconds)
        seen.append(apis.get(MANIFEST, headers=headers).status_code)
    apis.post(f"v1/{REPOSITORY}:setIamPolicy", json={"policy": bindings(READER, member)})
    for seconds in (69, 1):
        google.clock.shift(seconds)
        seen.append(apis.get(MANIFEST, headers=headers).status_code)
    assert seen == [200, 403, 403, 403, 200]


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        (bindings(READER, "me"), "Invalid argument: 'me' is not an IAM member."),
        (bindings("reader", "allUsers"), "Invalid argument: 'reader' is not a role name."),
        (
            {"bindings": [{"role": READER, "members": [], "condition": {"expression": "true"}}]},
            "The emulator does not evaluate conditions of IAM bindings.",
        ),
    ],
)
def test_policies_that_are_wrong(apis: httpx.Client, policy: dict[str, Any], message: str) -> None:
    """Each says what."""
    answer = apis.post(f"v1/{REPOSITORY}:setIamPolicy", json={"policy": policy})
    assert refusal(answer) == (400, "INVALID_ARGUMENT", message)


@pytest.mark.parametrize(
    ("resource", "expected"),
    [
        ("v1/projects/none", (403, "PERMISSION_DENIED")),
        (f"v1/{REPOSITORY}x", (403, "PERMISSION_DENIED")),
        ("v1/projects/my-project/serviceAccounts/none", (404, "NOT_FOUND")),
        ("v1/projects/-/serviceAccounts/none", (403, "PERMISSION_DENIED")),
    ],
)
def test_what_has_no_policy(apis: httpx.Client, resource: str, expected: tuple[int, str]) -> None:
    """403 where Google does not say whether it exists."""
    answer = apis.post(f"{resource}:setIamPolicy", json={"policy": {}})
    assert refusal(answer)[:2] == expected


@pytest.mark.rule("service-accounts")
def test_a_new_account_is_impersonated(google: Emulator, apis: httpx.Client, token: str) -> None:
    """Created, shown, granted, used."""
    path = "v1/projects/my-project/serviceAccounts"
    made = apis.post(
        path, json={"accountId": "fresh-one", "serviceAccount": {"displayName": "Fresh"}}
    ).json()
    email = "fresh-one@my-project.iam.gserviceaccount.com"
    assert (made["email"], made["displayName"]) == (email, "Fresh")
    assert len(made["uniqueId"]) == 21
    assert apis.get(f"v1/{made['name']}").json() == made
    assert apis.get(f"v1/projects/-/serviceAccounts/{made['uniqueId']}").json() == made
    assert made in apis.get(path).json()["accounts"]
    assert refusal(apis.post(path, json={"accountId": "fresh-one"}))[:2] == (409, "ALREADY_EXISTS")
    assert generate(apis, google, token, email).status_code == 403
    member = f"principalSet://iam.googleapis.com/{POOL}/*"
    policy = bindings("roles/iam.workloadIdentityUser", member)
    apis.post(f"v1/{made['name']}:setIamPolicy", json={"policy": policy})
    assert generate(apis, google, token, email).status_code == 200


@pytest.mark.parametrize("wrong", ["", "short", "Upper-case", "1starts-with-digit", "a" * 31])
def test_account_ids(apis: httpx.Client, wrong: str) -> None:
    """6 to 30, beginning with a letter."""
    answer = apis.post("v1/projects/my-project/serviceAccounts", json={"accountId": wrong})
    assert refusal(answer)[:2] == (400, "INVALID_ARGUMENT")


def test_projects_and_repositories(apis: httpx.Client) -> None:
    """As Resource Manager and Artifact Registry show them."""
    v1 = apis.get("v1/projects/my-project").json()
    assert (v1["projectNumber"], v1["lifecycleState"]) == (NUMBER, "ACTIVE")
    assert apis.get(f"v3/projects/{NUMBER}").json()["name"] == f"projects/{NUMBER}"
    assert apis.get(f"v1/{REPOSITORY}").json()["format"] == "DOCKER"
    listed = apis.get("v1/projects/my-project/locations/us/repositories").json()
    assert [repository["name"] for repository in listed["repositories"]] == [REPOSITORY]

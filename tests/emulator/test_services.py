"""Service Usage: which APIs are enabled, and what a disabled one refuses."""

import httpx
import pytest

from emulator.test_iam_pools import refusal
from emulator.world import NUMBER, REPOSITORY, world
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

SERVICES = "v1/projects/my-project/services"
REGISTRY = "artifactregistry.googleapis.com"
MANAGER = "cloudresourcemanager.googleapis.com"
IAM = "iam.googleapis.com"


@pytest.fixture
def apis(google: Emulator, client: httpx.Client, issuer: Issuer) -> httpx.Client:
    """A client of a project with two APIs off."""
    project = {"projectId": "my-project", "projectNumber": NUMBER}
    google.load(world(issuer.jwks, projects=[{**project, "disabledServices": [REGISTRY, MANAGER]}]))
    client.base_url = httpx.URL(google.endpoints["iam"])
    return client


def enabled(apis: httpx.Client) -> list[str]:
    listed = apis.get(SERVICES, params={"filter": "state:ENABLED"}).json()["services"]
    return [service["config"]["name"] for service in listed]


@pytest.mark.rule("services")
@pytest.mark.parametrize(
    ("service", "path"),
    [
        (REGISTRY, f"v1/{REPOSITORY}"),
        (REGISTRY, f"v1/{REPOSITORY}:getIamPolicy"),
        (MANAGER, "v1/projects/my-project"),
        (MANAGER, f"v3/projects/{NUMBER}"),
    ],
)
def test_an_api_is_enabled(apis: httpx.Client, service: str, path: str) -> None:
    """Before, its calls say so; after, they are answered."""
    assert service not in enabled(apis)
    before = apis.get(path)
    assert refusal(before)[:2] == (403, "PERMISSION_DENIED")
    assert before.json()["error"]["details"][0]["reason"] == "SERVICE_DISABLED"
    operation = apis.post(f"{SERVICES}/{service}:enable", json={}).json()
    assert operation["done"]
    shown = {
        "name": f"projects/{NUMBER}/services/{service}",
        "parent": f"projects/{NUMBER}",
        "config": {"name": service},
        "state": "ENABLED",
    }
    assert operation["response"]["service"] == shown
    assert apis.get(f"{SERVICES}/{service}").json() == shown
    assert service in enabled(apis)
    assert apis.get(path).status_code == 200


@pytest.mark.rule("services")
def test_several_at_once(google: Emulator, apis: httpx.Client) -> None:
    """Under the project's number too; the operation is asked for until it is done."""
    google.set_options(operationSeconds=5)
    google.clock.freeze()
    names = {"serviceIds": [REGISTRY, IAM, MANAGER]}
    started = apis.post(f"v1/projects/{NUMBER}/services:batchEnable", json=names).json()
    assert "done" not in started
    assert apis.get(f"v1/{started['name']}").json() == started
    google.clock.shift(5)
    done = apis.get(f"v1/{started['name']}").json()
    assert [service["state"] for service in done["response"]["services"]] == ["ENABLED"] * 3
    off = apis.get(SERVICES, params={"filter": "state:DISABLED"})
    assert off.json() == {}


@pytest.mark.parametrize(
    ("verb", "path", "body", "status", "text"),
    [
        ("GET", f"{SERVICES}/nosuch.example", None, 403, "Not found or permission denied"),
        ("POST", f"{SERVICES}:batchEnable", {"serviceIds": []}, 400, "Between 1 and 20"),
        ("POST", f"{SERVICES}:batchEnable", {"serviceIds": [IAM] * 21}, 400, "Between 1 and 20"),
        ("POST", f"{SERVICES}:batchEnable", {"serviceIds": ["x"]}, 403, "service(s): x."),
        ("GET", f"{SERVICES}?filter=name:x", None, 400, "Invalid filter"),
        ("GET", "v1/projects/nosuch/services", None, 403, "Permission denied on resource"),
        ("GET", "v1/operations/nosuch", None, 404, "not found"),
    ],
)
def test_refusals(
    apis: httpx.Client, verb: str, path: str, body: object, status: int, text: str
) -> None:
    """Nothing is changed."""
    before = enabled(apis)
    answer = apis.request(verb, path, json=body)
    assert answer.status_code == status
    assert text in answer.json()["error"]["message"]
    assert enabled(apis) == before

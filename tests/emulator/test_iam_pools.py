"""IAM v1: pools and providers over REST, with operations, masks, soft delete, pages and limits."""

from typing import Any

import httpx
import pytest

from emulator.world import AUDIENCE, NUMBER, POOL, PROVIDER, exchange, oauth_refusal, world
from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.emulator.operations import Operations
from gcp_sa_credential_provider.emulator.rejection import ApiError

PARENT = "projects/my-project/locations/global"
MAPPING = {"google.subject": "assertion.sub"}
TARGET_TEXT = (
    'The target service indicated by the "audience" parameters is invalid. This might either be'
    " because the pool or provider is disabled or deleted or because it doesn't exist."
)


@pytest.fixture
def iam(google: Emulator, client: httpx.Client) -> httpx.Client:
    """A client of the IAM API."""
    client.base_url = httpx.URL(f"{google.endpoints['iam']}/v1/")
    return client


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Code, status and message of a Google error."""
    error = answer.json()["error"]
    assert error["code"] == answer.status_code
    return error["code"], error["status"], error["message"]


def create_provider(iam: httpx.Client, provider_id: str = "fresh", **changes: Any) -> Any:
    resource = {"oidc": {"issuerUri": ISSUER}, "attributeMapping": MAPPING, **changes}
    return iam.post(
        f"{POOL}/providers", params={"workloadIdentityPoolProviderId": provider_id}, json=resource
    )


@pytest.mark.rule("iam-create", "iam-operations")
def test_a_pool_from_creation_to_undeletion(iam: httpx.Client) -> None:
    """Each change is an operation that carries the resource."""
    params = {"workloadIdentityPoolId": "second"}
    created = iam.post(
        f"{PARENT}/workloadIdentityPools", params=params, json={"displayName": "Second"}
    ).json()
    name = f"projects/{NUMBER}/locations/global/workloadIdentityPools/second"
    expected = {"name": name, "state": "ACTIVE", "displayName": "Second"}
    assert created["done"] is True
    assert created["name"].startswith(f"{name}/operations/")
    assert created["response"] == {
        "@type": "type.googleapis.com/google.iam.v1.WorkloadIdentityPool",
        **expected,
    }
    assert iam.get(created["name"]).json() == created
    assert iam.get(f"{PARENT}/workloadIdentityPools/second").json() == expected
    patched = iam.patch(name, params={"updateMask": "disabled"}, json={"disabled": True}).json()
    assert patched["response"]["disabled"] is True
    assert iam.delete(name).json()["metadata"]["verb"] == "delete"
    assert iam.get(name).json()["state"] == "DELETED"
    restored = iam.post(f"{name}:undelete", json={}).json()["response"]
    assert (restored["state"], "expireTime" in restored) == ("ACTIVE", False)


@pytest.mark.rule("iam-operations")
def test_an_operation_that_takes_time(google: Emulator, iam: httpx.Client, issuer: Issuer) -> None:
    """Not done, then done."""
    google.load(world(issuer.jwks, options={"operationSeconds": 5}))
    google.clock.freeze()
    operation = iam.delete(PROVIDER).json()
    assert sorted(operation) == ["metadata", "name"]
    google.clock.shift(5)
    assert iam.get(operation["name"]).json()["done"] is True
    assert refusal(iam.get(f"{PROVIDER}/operations/none"))[:2] == (404, "NOT_FOUND")


@pytest.mark.rule("iam-update-mask")
def test_only_masked_fields_change(
    google: Emulator, client: httpx.Client, iam: httpx.Client
) -> None:
    """A nested field, a cleared one; keys are replaced as a whole and act at once."""
    new = Issuer()
    body = {"oidc": {"jwksJson": new.jwks, "issuerUri": "https://ignored.example"}}
    answer = iam.patch(PROVIDER, params={"updateMask": "oidc.jwks_json,description"}, json=body)
    assert answer.json()["response"]["oidc"] == {"issuerUri": ISSUER, "jwksJson": new.jwks}
    assert exchange(client, google, new.token(AUDIENCE)).status_code == 200
    cleared = iam.patch(PROVIDER, params={"updateMask": "oidc.jwksJson"}, json={}).json()
    assert cleared["response"]["oidc"] == {"issuerUri": ISSUER}
    assert oauth_refusal(exchange(client, google, new.token(AUDIENCE)))[2] == (
        "Error connecting to the given credential's issuer."
    )


@pytest.mark.rule("iam-update-mask")
@pytest.mark.parametrize("mask", ["", "nothing", "oidc.nothing", "state", "disabled.x"])
def test_masks_that_are_wrong(iam: httpx.Client, mask: str) -> None:
    """An empty one, fields that are not there or not to be set."""
    answer = iam.patch(PROVIDER, params={"updateMask": mask}, json={"disabled": True})
    assert refusal(answer)[:2] == (400, "INVALID_ARGUMENT")
    assert "disabled" not in iam.get(PROVIDER).json()


@pytest.mark.rule("iam-soft-delete")
def test_soft_delete_holds_the_id_for_thirty_days(
    google: Emulator, client: httpx.Client, iam: httpx.Client, issuer: Issuer
) -> None:
    """Deleted is no target, cannot be changed, can be listed and restored; then it is gone."""
    google.clock.freeze()
    iam.delete(PROVIDER)
    answer = exchange(client, google, issuer.token(AUDIENCE))
    assert oauth_refusal(answer) == (400, "invalid_target", TARGET_TEXT)
    assert refusal(create_provider(iam, "k8s-one"))[:2] == (409, "ALREADY_EXISTS")
    patch = iam.patch(PROVIDER, params={"updateMask": "disabled"}, json={})
    assert refusal(patch)[:2] == (400, "FAILED_PRECONDITION")
    assert refusal(iam.delete(PROVIDER))[:2] == (400, "FAILED_PRECONDITION")
    assert iam.get(f"{POOL}/providers").json() == {}
    listed = iam.get(f"{POOL}/providers", params={"showDeleted": "true"}).json()
    assert [p["state"] for p in listed["workloadIdentityPoolProviders"]] == ["DELETED"]
    google.clock.shift(30 * 86400 - 2)
    assert iam.post(f"{PROVIDER}:undelete").status_code == 200
    assert refusal(iam.post(f"{PROVIDER}:undelete"))[1] == "FAILED_PRECONDITION"
    iam.delete(PROVIDER)
    google.clock.shift(30 * 86400 + 1)
    assert refusal(iam.get(PROVIDER))[:2] == (404, "NOT_FOUND")
    assert create_provider(iam, "k8s-one").status_code == 200


@pytest.mark.rule("provider-disabled", "pool-disabled")
@pytest.mark.parametrize(("name", "status"), [(PROVIDER, 200), (POOL, 401)])
def test_disabling_and_existing_tokens(
    google: Emulator,
    client: httpx.Client,
    iam: httpx.Client,
    issuer: Issuer,
    token: str,
    *,
    name: str,
    status: int,
) -> None:
    """Both end new exchanges; only the pool's ends tokens, until it is enabled again."""
    url = f"{google.endpoints['registry']}/v2/my-project/images/hello/manifests/latest"
    headers = {"Authorization": f"Bearer {token}"}
    iam.patch(name, params={"updateMask": "disabled"}, json={"disabled": True})
    answer = exchange(client, google, issuer.token(AUDIENCE))
    assert oauth_refusal(answer) == (400, "invalid_target", TARGET_TEXT)
    assert client.get(url, headers=headers).status_code == status
    iam.patch(name, params={"updateMask": "disabled"}, json={"disabled": False})
    assert client.get(url, headers=headers).status_code == 200


@pytest.mark.rule("iam-lists")
def test_pages(google: Emulator, iam: httpx.Client) -> None:
    """Fifty by default, a hundred at most, in order, without gaps."""
    google.set_options(quotas={"iamWrites": 0})
    made = [f"page-{number:03}" for number in range(101)]
    for provider_id in made:
        create_provider(iam, provider_id)
    assert _all_ids(iam, pageSize="7") == ["k8s-one", *made]
    for size, expected in ((None, 50), ("1000", 100)):
        body = iam.get(f"{POOL}/providers", params={"pageSize": size} if size else {}).json()
        assert len(body["workloadIdentityPoolProviders"]) == expected
    assert refusal(iam.get(f"{POOL}/providers", params={"pageSize": "-1"}))[0] == 400
    assert refusal(iam.get(f"{POOL}/providers", params={"pageToken": "?"}))[0] == 400
    assert refusal(iam.get(f"{POOL}x/providers"))[0] == 404


@pytest.mark.rule("quota-iam")
def test_sixty_writes_a_minute(google: Emulator, iam: httpx.Client) -> None:
    """The bucket runs out, and fills again by the emulator's clock."""
    google.clock.freeze()
    statuses = [create_provider(iam, f"n-{number:03}").status_code for number in range(61)]
    assert statuses == [200] * 60 + [429]
    google.clock.shift(1)
    assert create_provider(iam, "again").status_code == 200
    assert refusal(create_provider(iam, "too-soon")) == (
        429,
        "RESOURCE_EXHAUSTED",
        (
            "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute'"
            f" of service 'iam.googleapis.com' for consumer 'project_number:{NUMBER}'."
        ),
    )


def _all_ids(iam: httpx.Client, **params: str) -> list[str]:
    ids: list[str] = []
    while True:
        body = iam.get(f"{POOL}/providers", params=params).json()
        ids += [p["name"].rpartition("/")[2] for p in body["workloadIdentityPoolProviders"]]
        if "nextPageToken" not in body:
            return ids
        params["pageToken"] = body["nextPageToken"]


@pytest.mark.rule("ids")
@pytest.mark.parametrize(
    "wrong", ["abc", "gcp-mine", "UPPER", "a" * 33, "under_score", "", "pool/inner"]
)
def test_ids(iam: httpx.Client, wrong: str) -> None:
    """4 to 32 of a-z, 0-9 and -, not beginning with gcp-; for both kinds."""
    params = {"workloadIdentityPoolId": wrong}
    pool = iam.post(f"{PARENT}/workloadIdentityPools", params=params, json={})
    assert refusal(pool)[:2] == (400, "INVALID_ARGUMENT")
    assert refusal(create_provider(iam, wrong))[:2] == (400, "INVALID_ARGUMENT")


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"oidc": {"issuerUri": "http://a.example"}},
        "Invalid OIDC issuer URI. The scheme must be https.",
    ),
    ({"oidc": {}}, "Invalid OIDC issuer URI."),
    ({"oidc": {"issuerUri": ISSUER, "jwksJson": "{"}}, "Input JWK is not in a valid json format"),
    ({"attributeMapping": {}}, "The attribute mapping must include google.subject."),
    ({"aws": {"accountId": "1"}}, "The emulator knows OIDC providers only."),
    ({"displayName": "x" * 33}, "The value exceeds 32 characters."),
    ({"colour": 1}, 'Invalid JSON payload received. Unknown name "colour": Cannot find field.'),
    ({"disabled": "yes"}, "Invalid value at 'disabled'"),
    (
        {"oidc": {"issuerUri": ISSUER, "x": 1}},
        "Invalid JSON payload received. Unknown name \"x\" at 'oidc': Cannot find field.",
    ),
]


@pytest.mark.rule("config-texts")
@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_providers_that_google_refuses(
    iam: httpx.Client, changes: dict[str, Any], message: str
) -> None:
    """With Google's text, and nothing made."""
    assert refusal(create_provider(iam, **changes)) == (400, "INVALID_ARGUMENT", message)
    assert iam.get(f"{POOL}/providers/fresh").status_code == 404


@pytest.mark.rule("config-texts")
def test_a_violation_names_its_field(iam: httpx.Client) -> None:
    """google.rpc.BadRequest."""
    answer = create_provider(iam, oidc={"issuerUri": "http://a.example"})
    [detail] = answer.json()["error"]["details"]
    assert detail["fieldViolations"][0]["field"] == "oidc.issuerUri"


@pytest.mark.rule("counts")
def test_counts_as_options(google: Emulator, iam: httpx.Client, issuer: Issuer) -> None:
    """Off by default; a limit refuses one more."""
    google.load(world(issuer.jwks, options={"poolsPerProject": 1, "providersPerPool": 1}))
    params = {"workloadIdentityPoolId": "second"}
    pool = iam.post(f"{PARENT}/workloadIdentityPools", params=params, json={})
    assert pool.status_code == create_provider(iam).status_code == 429


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (f"{POOL}/providers?showDeleted=perhaps", (400, "INVALID_ARGUMENT")),
        (f"{POOL}/providers?pageSize=many", (400, "INVALID_ARGUMENT")),
        ("projects/none/locations/global/workloadIdentityPools", (403, "PERMISSION_DENIED")),
        ("projects/my-project/locations/mars/workloadIdentityPools", (400, "INVALID_ARGUMENT")),
        (f"{POOL}x", (404, "NOT_FOUND")),
        (f"{POOL}?colour=1", (400, "INVALID_ARGUMENT")),
        ("nothing", (404, "NOT_FOUND")),
    ],
)
def test_what_is_not_there(iam: httpx.Client, path: str, expected: tuple[int, str]) -> None:
    """Project, location, pool, parameter, method."""
    assert refusal(iam.get(path))[:2] == expected


@pytest.mark.rule("service-disabled")
def test_a_disabled_api(google: Emulator, iam: httpx.Client, issuer: Issuer) -> None:
    """SERVICE_DISABLED of IAM itself."""
    project = {"projectId": "my-project", "projectNumber": NUMBER}
    google.load(
        world(issuer.jwks, projects=[{**project, "disabledServices": ["iam.googleapis.com"]}])
    )
    [detail] = iam.get(POOL).json()["error"]["details"]
    assert detail["reason"] == "SERVICE_DISABLED"


def test_creations_that_cannot_be(iam: httpx.Client) -> None:
    """A pool of another mode, a provider of no pool and of a deleted one, bodies that are none."""
    where = f"{PARENT}/workloadIdentityPools"
    params = {"workloadIdentityPoolId": "second"}
    mode = iam.post(where, params=params, json={"mode": "TRUST_DOMAIN"})
    assert refusal(mode)[2] == "The emulator knows FEDERATION_ONLY pools only."
    for body in ("{", "[]"):
        assert refusal(iam.post(where, params=params, content=body))[:2] == (
            400,
            "INVALID_ARGUMENT",
        )
    resource = {"oidc": {"issuerUri": ISSUER}, "attributeMapping": MAPPING}
    params = {"workloadIdentityPoolProviderId": "fresh"}
    orphan = iam.post(f"{POOL}x/providers", params=params, json=resource)
    assert refusal(orphan)[:2] == (404, "NOT_FOUND")
    iam.delete(POOL)
    assert refusal(create_provider(iam))[:2] == (400, "FAILED_PRECONDITION")


def test_old_operations_are_forgotten() -> None:
    """Memory does not grow with operations."""
    operations = Operations()
    first, *_ = (operations.start("p", "x", ("T", {}), 0, 0)["name"] for _ in range(1001))
    with pytest.raises(ApiError):
        operations.get(first, 0)


def test_durations_and_texts_of_strangers(iam: httpx.Client) -> None:
    """Refusals, however long or broken."""
    pools = f"{PARENT}/workloadIdentityPools"
    params = {"workloadIdentityPoolId": "stranger"}
    for content in ('{"sessionDuration": "%ss"}' % ("9" * 5000), '{"displayName": "\\ud800"}'):
        answer = iam.post(pools, params=params, content=content)
        assert refusal(answer)[:2] == (400, "INVALID_ARGUMENT")
    content = '{"accountId": "stranger", "serviceAccount": {"displayName": "\\ud800"}}'
    answer = iam.post("projects/my-project/serviceAccounts", content=content)
    assert refusal(answer)[:2] == (400, "INVALID_ARGUMENT")

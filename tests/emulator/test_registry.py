"""The Artifact Registry front: the three answers that tell a fault, tokens, and a whole pull."""

import base64
import hashlib
import json
from typing import Any

import httpx
import pytest

from emulator.world import (
    AUDIENCE,
    NUMBER,
    POOL,
    PRINCIPAL,
    REPOSITORY,
    bindings,
    exchange,
    world,
)
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.image import built_in
from gcp_sa_credential_provider.emulator.inprocess import Emulator

PERMISSION = "artifactregistry.repositories.downloadArtifacts"
MANIFEST = "/v2/my-project/images/hello/manifests/latest"


def denial(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, code and message of a registry error."""
    [error] = answer.json()["errors"]
    return answer.status_code, error["code"], error["message"]


def get(client: httpx.Client, google: Emulator, path: str, **options: Any) -> httpx.Response:
    return client.get(f"{google.endpoints['registry']}{path}", **options)


def registry_token(client: httpx.Client, google: Emulator, access_token: str | None) -> str:
    """By GET, as docker does: with Basic, or with nothing."""
    auth = ("oauth2accesstoken", access_token) if access_token else None
    scope = "repository:my-project/images/hello:pull"
    answer = get(client, google, "/v2/token", params={"scope": scope}, auth=auth)
    assert answer.json()["token"] == answer.json()["access_token"]
    return str(answer.json()["token"])


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


@pytest.mark.rule("registry-challenge")
@pytest.mark.parametrize("path", ["/v2/", "/v2"])
def test_no_credential(google: Emulator, client: httpx.Client, path: str) -> None:
    """The challenge that begins every pull."""
    answer = get(client, google, path)
    host = google.endpoints["registry"].removeprefix("https://")
    assert denial(answer) == (
        401,
        "UNAUTHORIZED",
        "not authenticated: No credential was supplied.",
    )
    assert answer.headers["www-authenticate"] == f'Bearer realm="https://{host}/v2/token"'


@pytest.mark.rule("registry-challenge")
def test_no_credential_at_a_repository(google: Emulator, client: httpx.Client) -> None:
    """Its challenge names the scope; over plain http the realm is http too."""
    answer = get(client, google, MANIFEST)
    assert answer.headers["www-authenticate"].endswith(
        ',scope="repository:my-project/images/hello:pull"'
    )
    plain = google.endpoints["http"]["registry"]
    challenge = client.get(f"{plain}/v2/").headers["www-authenticate"]
    assert challenge.startswith(f'Bearer realm="{plain}/v2/token"')


@pytest.mark.rule("registry-anonymous")
def test_an_anonymous_token(google: Emulator, client: httpx.Client) -> None:
    """Anybody gets a token; it pulls nothing, and the text says that no credential came."""
    anonymous = registry_token(client, google, None)
    answer = get(client, google, MANIFEST, headers=bearer(anonymous))
    message = (
        f'Unauthenticated request. Unauthenticated requests do not have permission "{PERMISSION}"'
        f' on resource "{REPOSITORY}" (or it may not exist)'
    )
    assert denial(answer) == (403, "DENIED", message)


@pytest.mark.rule("registry-no-grant")
@pytest.mark.parametrize("missing", ["grant", "repository"])
def test_no_grant(google: Emulator, client: httpx.Client, token: str, missing: str) -> None:
    """The exchange worked; no grant cannot be told from no repository."""
    path, resource = MANIFEST, REPOSITORY
    if missing == "grant":
        google.revoke(REPOSITORY, "roles/artifactregistry.reader", PRINCIPAL)
    else:
        path, resource = MANIFEST.replace("images", "none"), REPOSITORY.replace("images", "none")
    value = registry_token(client, google, token)
    answer = get(client, google, path, headers=bearer(value))
    assert denial(answer) == (
        403,
        "DENIED",
        f'Permission "{PERMISSION}" denied on resource "{resource}" (or it may not exist)',
    )


def test_a_public_repository(google: Emulator, client: httpx.Client) -> None:
    """The member allUsers lets an anonymous token in; federated or not."""
    google.grant(REPOSITORY, "roles/artifactregistry.reader", "allUsers")
    anonymous = registry_token(client, google, None)
    assert get(client, google, MANIFEST, headers=bearer(anonymous)).status_code == 200


@pytest.mark.rule("everybody")
def test_all_authenticated_users_are_not_federated(
    google: Emulator, client: httpx.Client, token: str
) -> None:
    """Google's page excludes identities of external providers."""
    google.revoke(REPOSITORY, "roles/artifactregistry.reader", PRINCIPAL)
    google.grant(REPOSITORY, "roles/artifactregistry.reader", "allAuthenticatedUsers")
    assert get(client, google, MANIFEST, headers=bearer(token)).status_code == 403


@pytest.mark.rule("registry-image", "registry-users")
@pytest.mark.parametrize("way", ["registry token", "bearer", "basic", "basic _token"])
def test_a_whole_pull(google: Emulator, client: httpx.Client, token: str, way: str) -> None:
    """Manifest by tag and digest, HEAD, config and layers; every digest is right."""
    user = {"basic": "oauth2accesstoken", "basic _token": "_token"}.get(way)
    if user:
        pair = base64.b64encode(f"{user}:{token}".encode()).decode()
        headers = {"Authorization": f"Basic {pair}"}
    elif way == "bearer":
        headers = bearer(token)
    else:
        headers = bearer(registry_token(client, google, token))
    by_tag = get(client, google, MANIFEST, headers=headers)
    digest = by_tag.headers["docker-content-digest"]
    by_digest = get(client, google, MANIFEST.replace("latest", digest), headers=headers)
    assert by_tag.content == by_digest.content
    assert digest == f"sha256:{hashlib.sha256(by_tag.content).hexdigest()}"
    manifest = by_tag.json()
    assert manifest["mediaType"] == by_tag.headers["content-type"]
    assert len(manifest["layers"]) == 2
    for descriptor in (manifest["config"], *manifest["layers"]):
        path = f"/v2/my-project/images/hello/blobs/{descriptor['digest']}"
        blob = get(client, google, path, headers=headers).content
        assert descriptor["size"] == len(blob)
        assert descriptor["digest"] == f"sha256:{hashlib.sha256(blob).hexdigest()}"
        head = client.head(f"{google.endpoints['registry']}{path}", headers=headers)
        assert head.headers["content-length"] == str(len(blob))
        assert head.content == b""


@pytest.mark.rule("registry-users")
@pytest.mark.parametrize("grant", ["password", "refresh_token"])
def test_a_token_by_post(google: Emulator, client: httpx.Client, token: str, grant: str) -> None:
    """As containerd asks (Docker's OAuth2 token endpoint)."""
    fields = {"grant_type": grant, "service": "x", "client_id": "containerd-client", "scope": "s"}
    if grant == "password":
        fields |= {"username": "oauth2accesstoken", "password": token}
    else:
        fields |= {"refresh_token": token}
    body = client.post(f"{google.endpoints['registry']}/v2/token", data=fields).json()
    assert body["scope"] == "s"
    assert 3500 < body["expires_in"] <= 3600
    answer = get(client, google, "/v2/", headers=bearer(body["access_token"]))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"grant_type": "password", "username": "somebody", "password": "x"},
        {"grant_type": "password", "username": "oauth2accesstoken", "password": "wrong"},
        {"grant_type": "refresh_token"},
    ],
)
def test_a_bad_credential_by_post(
    google: Emulator, client: httpx.Client, fields: dict[str, str]
) -> None:
    """401, without a word of what was wrong with the secret."""
    answer = client.post(f"{google.endpoints['registry']}/v2/token", data=fields)
    assert denial(answer)[:2] == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "authorization",
    ["Basic !!!", "Basic " + base64.b64encode(b"root:x").decode(), "Bearer wrong", "Digest x=y"],
)
def test_a_bad_credential(google: Emulator, client: httpx.Client, authorization: str) -> None:
    """401 at /v2/ and, but for the anonymous token, at /v2/token."""
    for path in ("/v2/", "/v2/token"):
        answer = get(client, google, path, headers={"Authorization": authorization})
        assert denial(answer)[:2] == (401, "UNAUTHORIZED")


def test_a_registry_token_ends_with_its_access_token(
    google: Emulator, client: httpx.Client, issuer: Issuer
) -> None:
    """A token that was made of ten minutes lives ten minutes."""
    google.clock.freeze()
    exp = int(google.clock.now()) + 600
    short = exchange(client, google, issuer.token(AUDIENCE, exp=exp)).json()["access_token"]
    value = registry_token(client, google, short)
    google.clock.shift(590)
    assert get(client, google, "/v2/", headers=bearer(value)).status_code == 200
    google.clock.shift(10)
    assert get(client, google, "/v2/", headers=bearer(value)).status_code == 401


@pytest.mark.rule("registry-absent")
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/v2/my-project/images/hello/manifests/v9", "MANIFEST_UNKNOWN"),
        ("/v2/my-project/images/other/manifests/latest", "MANIFEST_UNKNOWN"),
        (f"/v2/my-project/images/other/manifests/{built_in().digest}", "MANIFEST_UNKNOWN"),
        (f"/v2/my-project/images/hello/blobs/sha256:{'0' * 64}", "BLOB_UNKNOWN"),
        ("/v2/my-project/images/other/tags/list", "NAME_UNKNOWN"),
        ("/v2/my-project/images/hello/referrers/x", "UNSUPPORTED"),
    ],
)
def test_what_is_not_there(
    google: Emulator, client: httpx.Client, token: str, path: str, code: str
) -> None:
    """404, for one who may read."""
    assert denial(get(client, google, path, headers=bearer(token)))[:2] == (404, code)


@pytest.mark.parametrize("path", ["/v2/x", "/v2//manifests/latest", "/v2/my-project/"])
def test_odd_names(google: Emulator, client: httpx.Client, token: str, path: str) -> None:
    """Denied like any repository that is not there."""
    assert denial(get(client, google, path, headers=bearer(token)))[:2] == (403, "DENIED")


@pytest.mark.rule("registry-hosts")
@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("us-docker.pkg.dev", "my-project/images/team/app", 200),
        ("europe-docker.pkg.dev", "my-project/images/team/app", 403),
        ("eu.gcr.io", "my-project/app", 200),
        ("gcr.io", "my-project/app", 403),
    ],
)
def test_hosts_name_locations(
    google: Emulator,
    client: httpx.Client,
    issuer: Issuer,
    token: str,
    *,
    host: str,
    path: str,
    status: int,
) -> None:
    """pkg.dev hosts carry the location, gcr.io hosts are repositories."""
    policy = bindings(
        "roles/artifactregistry.reader", f"principalSet://iam.googleapis.com/{POOL}/*"
    )
    repositories = [
        {"name": REPOSITORY, "images": ["team/app:v1"], "iamPolicy": policy},
        {
            "name": "projects/my-project/locations/europe/repositories/eu.gcr.io",
            "images": ["app:v1"],
            "iamPolicy": policy,
        },
    ]
    google.load(world(issuer.jwks, repositories=repositories))
    headers = {**bearer(token), "Host": host}
    answer = get(client, google, f"/v2/{path}/manifests/v1", headers=headers)
    assert answer.status_code == status


@pytest.mark.rule("registry-domain")
@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("us-docker.pkg.dev", "example.com/my-project/images/team/app", 200),
        ("localhost", "example.com/my-project/images/team/app", 200),
        ("gcr.io", "example.com/my-project/app", 200),
        ("us-docker.pkg.dev", "example.com:my-project/images/team/app", 403),
        ("localhost", "example.com:my-project/images/team/app", 403),
        ("us-docker.pkg.dev", "my-project/images/team/app", 403),
    ],
)
def test_a_project_of_a_domain(
    google: Emulator,
    client: httpx.Client,
    issuer: Issuer,
    token: str,
    *,
    host: str,
    path: str,
    status: int,
) -> None:
    """Its id has a colon, which no image's name can have: there it is a slash."""
    policy = bindings(
        "roles/artifactregistry.reader", f"principalSet://iam.googleapis.com/{POOL}/*"
    )
    projects = [
        {"projectId": "my-project", "projectNumber": NUMBER},
        {"projectId": "example.com:my-project", "projectNumber": "210987654321"},
    ]
    parent = "projects/example.com:my-project/locations/us/repositories"
    repositories = [
        {"name": f"{parent}/images", "images": ["team/app:v1"], "iamPolicy": policy},
        {"name": f"{parent}/gcr.io", "images": ["app:v1"], "iamPolicy": policy},
    ]
    google.load(world(issuer.jwks, projects=projects, repositories=repositories))
    headers = {**bearer(token), "Host": host}
    answer = get(client, google, f"/v2/{path}/manifests/v1", headers=headers)
    assert answer.status_code == status


def test_the_image_is_always_the_same() -> None:
    """Two builds give the same bytes, so that digests can be written down."""
    first = built_in()
    built_in.cache_clear()
    assert built_in() == first
    config = json.loads(first.blobs[json.loads(first.manifest)["config"]["digest"]])
    assert config["rootfs"]["type"] == "layers"


def test_names_that_no_header_can_hold(google: Emulator, client: httpx.Client) -> None:
    """A challenge without a scope."""
    answer = get(client, google, "/v2/%E2%82%AC/x/y/manifests/latest")
    assert denial(answer)[0] == 401
    assert "scope" not in answer.headers["www-authenticate"]


def test_a_page_of_very_many_tags(google: Emulator, client: httpx.Client, token: str) -> None:
    """As many as there are."""
    path = f"/v2/my-project/images/hello/tags/list?n={'9' * 5000}"
    assert get(client, google, path, headers=bearer(token)).json()["tags"] == ["latest"]

"""gcloud manages pools and providers, logs in with a credential file and prints a token."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from clients.gcloud import INSTALL, Gcloud
from clients.place import EMAIL, NUMBER, PRINCIPAL, PROJECT, REPOSITORY, credential_file
from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

POOL = ("--workload-identity-pool=fresh-pool", "--location=global")


@pytest.fixture
def credentials(tmp_path: Path, token_file: Path, google: Emulator) -> Path:
    """What `create-cred-config` would have written."""
    return credential_file(tmp_path / "credentials.json", token_file, google.endpoints)


@pytest.fixture
def gcloud(
    client: Callable[[str, str], str],
    google: Emulator,
    environment: dict[str, str],
    credentials: Path,
) -> Gcloud:
    """Logged in: `auth login` exchanges the token and introspects the result."""
    gcloud = Gcloud(client("gcloud", INSTALL), google, environment)
    gcloud.text("auth", "login", f"--cred-file={credentials}")
    return gcloud


def test_login_and_access_token(google: Emulator, gcloud: Gcloud) -> None:
    """The account's name is the principal; the token opens the registry."""
    assert gcloud.text("config", "get-value", "account") == PRINCIPAL
    token = gcloud.text("auth", "print-access-token")
    url = f"{google.endpoints['http']['registry']}/v2/my-project/images/hello/manifests/latest"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert answer.status_code == 200
    introspection = [e for e in google.log.exchanges() if e["path"] == "/v1/introspect"]
    assert [entry["status"] for entry in introspection] == [200] * len(introspection)
    assert introspection


def test_an_impersonated_login(
    google: Emulator, gcloud: Gcloud, tmp_path: Path, token_file: Path
) -> None:
    """The account is the service account."""
    path = credential_file(
        tmp_path / "impersonating.json", token_file, google.endpoints, impersonate=True
    )
    gcloud.text("auth", "login", f"--cred-file={path}")
    assert gcloud.text("config", "get-value", "account") == EMAIL
    assert gcloud.text("auth", "print-access-token").startswith("ya29.")


def test_pools_and_providers(
    google: Emulator, gcloud: Gcloud, tmp_path: Path, issuer: Issuer
) -> None:
    """Create, describe, update, list, delete, undelete; operations are waited for."""
    google.set_options(operationSeconds=1)
    jwks = tmp_path / "jwks.json"
    jwks.write_text(issuer.jwks)
    name = f"projects/{NUMBER}/locations/global/workloadIdentityPools/fresh-pool"
    gcloud.pools("create", "fresh-pool", "--location=global", "--display-name=Fresh")
    described = gcloud.pools("describe", "fresh-pool", "--location=global")
    assert described == {"name": name, "state": "ACTIVE", "displayName": "Fresh"}
    gcloud.pools(
        "providers",
        "create-oidc",
        "k8s-two",
        *POOL,
        f"--issuer-uri={ISSUER}",
        f"--jwk-json-path={jwks}",
        "--attribute-mapping=google.subject=assertion.sub",
    )
    gcloud.pools(
        "providers",
        "update-oidc",
        "k8s-two",
        *POOL,
        "--allowed-audiences=mine",
        "--attribute-condition=assertion.sub != ''",
    )
    provider = gcloud.pools("providers", "describe", "k8s-two", *POOL)
    assert provider["oidc"]["allowedAudiences"] == ["mine"]
    assert json.loads(provider["oidc"]["jwksJson"]) == json.loads(issuer.jwks)
    assert provider["attributeCondition"] == "assertion.sub != ''"
    listed = gcloud.pools("list", "--location=global")
    assert [pool["name"].rpartition("/")[2] for pool in listed] == ["fresh-pool", "k8s-pool"]
    gcloud.pools("providers", "delete", "k8s-two", *POOL)
    assert gcloud.pools("providers", "list", *POOL) == []
    [deleted] = gcloud.pools("providers", "list", *POOL, "--show-deleted")
    assert deleted["state"] == "DELETED"
    gcloud.pools("providers", "undelete", "k8s-two", *POOL)
    gcloud.pools("delete", "fresh-pool", "--location=global")
    assert gcloud.pools("describe", "fresh-pool", "--location=global")["state"] == "DELETED"
    gcloud.pools("undelete", "fresh-pool", "--location=global")
    assert gcloud.pools("describe", "fresh-pool", "--location=global")["state"] == "ACTIVE"


def test_refusals_are_shown(gcloud: Gcloud, tmp_path: Path) -> None:
    """Gcloud understands the error bodies."""
    done = gcloud.run(
        "iam",
        "workload-identity-pools",
        "providers",
        "create-oidc",
        "k8s-three",
        "--workload-identity-pool=k8s-pool",
        "--location=global",
        "--issuer-uri=http://insecure.example",
        "--attribute-mapping=google.subject=assertion.sub",
    )
    assert done.returncode != 0
    assert "Invalid OIDC issuer URI. The scheme must be https." in done.stderr
    done = gcloud.run(
        "iam", "workload-identity-pools", "describe", "no-such-pool", "--location=global"
    )
    assert "NOT_FOUND" in done.stderr


def test_grants(google: Emulator, gcloud: Gcloud) -> None:
    """Read, modify, write with the etag: repositories, projects, service accounts."""
    member = "principalSet://iam.googleapis.com/" + f"projects/{NUMBER}/locations/global/"
    member += "workloadIdentityPools/k8s-pool/attribute.namespace/demo"
    reader = f"--role={'roles/artifactregistry.reader'}"
    policy = gcloud.json(
        *("artifacts", "repositories", "add-iam-policy-binding", REPOSITORY.rpartition("/")[2]),
        *("--location=us", f"--member={member}", reader),
    )
    assert {"role": "roles/artifactregistry.reader", "members": [member]} in policy["bindings"]
    policy = gcloud.json(
        "projects", "add-iam-policy-binding", PROJECT, f"--member={member}", reader
    )
    assert policy["bindings"] == [{"role": "roles/artifactregistry.reader", "members": [member]}]
    created = gcloud.json("iam", "service-accounts", "create", "fresh-one")
    policy = gcloud.json(
        *("iam", "service-accounts", "add-iam-policy-binding", created["email"]),
        *(f"--member={member}", "--role=roles/iam.workloadIdentityUser"),
    )
    assert policy["bindings"][0]["members"] == [member]

"""The small world of the emulator's tests: a project, pool, provider, account and repository."""

import copy
from typing import Any

import httpx

from gcp_sa_credential_provider.demo.issuer import ISSUER
from gcp_sa_credential_provider.emulator.inprocess import Emulator

NUMBER = "123456789012"
POOL = f"projects/{NUMBER}/locations/global/workloadIdentityPools/k8s-pool"
PROVIDER = f"{POOL}/providers/k8s-one"
AUDIENCE = f"//iam.googleapis.com/{PROVIDER}"
SUBJECT = "system:serviceaccount:demo:puller"
PRINCIPAL = f"principal://iam.googleapis.com/{POOL}/subject/{SUBJECT}"
EMAIL = "puller@my-project.iam.gserviceaccount.com"
ACCOUNT = f"projects/my-project/serviceAccounts/{EMAIL}"
REPOSITORY = "projects/my-project/locations/us/repositories/images"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"


def bindings(role: str, *members: str) -> dict[str, Any]:
    """An IAM policy of one binding."""
    return {"bindings": [{"role": role, "members": list(members)}]}


def world(jwks: str, *, provider: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """A configuration; `provider` changes the provider's members, the rest the document's."""
    document = {
        "projects": [{"projectId": "my-project", "projectNumber": NUMBER}],
        "workloadIdentityPools": [{"name": POOL}],
        "workloadIdentityPoolProviders": [
            {
                "name": PROVIDER,
                "oidc": {"issuerUri": ISSUER, "jwksJson": jwks},
                "attributeMapping": {
                    "google.subject": "assertion.sub",
                    "attribute.namespace": "assertion['kubernetes.io']['namespace']",
                },
                **(provider or {}),
            }
        ],
        "serviceAccounts": [
            {
                "name": ACCOUNT,
                "uniqueId": "112233445566778899001",
                "iamPolicy": bindings("roles/iam.workloadIdentityUser", PRINCIPAL),
            }
        ],
        "repositories": [
            {
                "name": REPOSITORY,
                "iamPolicy": bindings("roles/artifactregistry.reader", PRINCIPAL),
            }
        ],
        **changes,
    }
    return copy.deepcopy(document)


def request_of(subject_token: str, /, **changes: str | None) -> dict[str, str]:
    """The fields of an exchange, in snake case; a change to None leaves the field out."""
    fields: dict[str, str | None] = {
        "grant_type": "urn:ietf:params:oauth:grant-type:token-exchange",
        "audience": AUDIENCE,
        "scope": CLOUD_PLATFORM,
        "requested_token_type": ACCESS_TOKEN_TYPE,
        "subject_token": subject_token,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


def exchange(
    client: httpx.Client, google: Emulator, subject_token: str, /, **changes: str | None
) -> httpx.Response:
    """One exchange, as a form."""
    url = f"{google.endpoints['sts']}/v1/token"
    return client.post(url, data=request_of(subject_token, **changes))


def generate(
    client: httpx.Client, google: Emulator, token: str, account: str = EMAIL, **changes: Any
) -> httpx.Response:
    """One generateAccessToken."""
    return client.post(
        f"{google.endpoints['iam_credentials']}/v1/projects/-/serviceAccounts/{account}"
        ":generateAccessToken",
        headers={"Authorization": f"Bearer {token}"},
        json={"scope": [CLOUD_PLATFORM], **changes},
    )


def oauth_refusal(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, error and description of an OAuth error."""
    body = answer.json()
    assert sorted(body) == ["error", "error_description"]
    return answer.status_code, body["error"], body["error_description"]

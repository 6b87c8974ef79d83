"""Who and what appears in the demo: names, and Google's side of the set-up as configuration.

Imports nothing of ours. The resources are Google's REST resources, as the emulator takes them.
"""

from typing import Any

PROJECT = "demo-project"
_NUMBER = "123456789012"
POOL = f"projects/{_NUMBER}/locations/global/workloadIdentityPools/demo-cluster"
PROVIDER = f"{POOL}/providers/kubernetes"
AUDIENCE = f"//iam.googleapis.com/{PROVIDER}"
MAPPING = {"google.subject": "assertion.sub"}
CONDITION = "assertion['kubernetes.io']['namespace'] in ['demo']"

LOCATION, REPOSITORY_ID = "us", "demo-repo"
REPOSITORY = f"projects/{PROJECT}/locations/{LOCATION}/repositories/{REPOSITORY_ID}"
REGISTRY = f"{LOCATION}-docker.pkg.dev"
IMAGE = f"{REGISTRY}/{PROJECT}/{REPOSITORY_ID}/hello"
TAG = "latest"
ELSEWHERE = "registry.example.com/team/hello"

NAMESPACE, SERVICE_ACCOUNT = "demo", "puller"
READER = "roles/artifactregistry.reader"


def principal(subject: str) -> str:
    """The IAM member of one ServiceAccount, by the token's `sub`."""
    return f"principal://iam.googleapis.com/{POOL}/subject/{subject}"


MEMBER = principal(f"system:serviceaccount:{NAMESPACE}:{SERVICE_ACCOUNT}")


def grant_command(member: str) -> str:
    """What an operator would type to let `member` read the demo's repository."""
    return (
        f"gcloud artifacts repositories add-iam-policy-binding {REPOSITORY_ID}"
        f" --project={PROJECT} --location={LOCATION} --role={READER} --member={member}"
    )


def google(issuer_uri: str, jwks: str) -> dict[str, Any]:
    """Pool, provider and grant: one ServiceAccount of one cluster may read one repository."""
    return {
        "projects": [{"projectId": PROJECT, "projectNumber": _NUMBER}],
        "workloadIdentityPools": [{"name": POOL}],
        "workloadIdentityPoolProviders": [
            {
                "name": PROVIDER,
                "oidc": {"issuerUri": issuer_uri, "jwksJson": jwks},
                "attributeMapping": MAPPING,
                "attributeCondition": CONDITION,
            }
        ],
        "repositories": [
            {
                "name": REPOSITORY,
                "images": [f"{IMAGE.rpartition('/')[2]}:{TAG}"],
                "iamPolicy": {"bindings": [{"role": READER, "members": [MEMBER]}]},
            }
        ],
    }

"""Names and configuration of the judges' small Google."""

import json
import os
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

NUMBER = "123456789012"
PROJECT = "my-project"
POOL = f"projects/{NUMBER}/locations/global/workloadIdentityPools/k8s-pool"
PROVIDER = f"{POOL}/providers/k8s-one"
AUDIENCE = f"//iam.googleapis.com/{PROVIDER}"
SUBJECT = "system:serviceaccount:demo:puller"
PRINCIPAL = f"principal://iam.googleapis.com/{POOL}/subject/{SUBJECT}"
EMAIL = "puller@my-project.iam.gserviceaccount.com"
REPOSITORY = f"projects/{PROJECT}/locations/us/repositories/images"
REGISTRY = "us-docker.pkg.dev"
IMAGE = f"{PROJECT}/images/hello"
CLOUD_PLATFORM = "https://www.googleapis.com/auth/cloud-platform"


def config(jwks: str, **changes: Any) -> dict[str, Any]:
    """The emulator's configuration; the subject may pull, push and impersonate."""
    writer = {"role": "roles/artifactregistry.writer", "members": [PRINCIPAL]}
    user = {"role": "roles/iam.workloadIdentityUser", "members": [PRINCIPAL]}
    return {
        "projects": [{"projectId": PROJECT, "projectNumber": NUMBER}],
        "workloadIdentityPools": [{"name": POOL}],
        "workloadIdentityPoolProviders": [
            {
                "name": PROVIDER,
                "oidc": {"issuerUri": ISSUER, "jwksJson": jwks},
                "attributeMapping": {"google.subject": "assertion.sub"},
            }
        ],
        "serviceAccounts": [
            {
                "name": f"projects/{PROJECT}/serviceAccounts/{EMAIL}",
                "iamPolicy": {"bindings": [user]},
            }
        ],
        "repositories": [{"name": REPOSITORY, "iamPolicy": {"bindings": [writer]}}],
        **changes,
    }


def credential_file(path: Path, token_file: Path, base: Any, *, impersonate: bool = False) -> Path:
    """A credential configuration, as `create-cred-config` writes it, with these base URLs."""
    document = {
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{base['sts']}/v1/token",
        "token_info_url": f"{base['sts']}/v1/introspect",
        "credential_source": {"file": str(token_file)},
    }
    if impersonate:
        document["service_account_impersonation_url"] = (
            f"{base['iam_credentials']}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken"
        )
    path.write_text(json.dumps(document))
    return path


def subject_token_file(folder: Path, issuer: Issuer) -> Path:
    """A projected ServiceAccount token, in a file."""
    path = folder / "token"
    path.write_text(issuer.token(AUDIENCE))
    return path


def child_environment(folder: Path, google: Emulator) -> dict[str, str]:
    """Nothing of the caller's but PATH; a home of its own, Google's names led to the emulator."""
    home = folder / "home"
    home.mkdir()
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "TMPDIR": str(folder),
        "HTTPS_PROXY": str(google.endpoints["proxy"]),
        "SSL_CERT_FILE": str(google.ca_pem),
    }

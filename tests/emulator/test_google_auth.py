"""Google's own client library gets its tokens from the emulator: a judge that nobody here wrote."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth import exceptions, identity_pool
from google.auth.transport.requests import AuthorizedSession, Request

from emulator.world import AUDIENCE, CLOUD_PLATFORM, EMAIL, PRINCIPAL
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator


@pytest.fixture
def transport(google: Emulator) -> Iterator[Request]:
    """google-auth's own transport over a session that trusts the emulator's CA."""
    with requests.Session() as session:
        session.trust_env = False  # proxies, and REQUESTS_CA_BUNDLE, which would win over verify
        session.verify = str(google.ca_pem)
        yield Request(session)


def credentials(google: Emulator, token_file: Path, **changes: Any) -> identity_pool.Credentials:
    """File-sourced, as `gcloud iam workload-identity-pools create-cred-config` sets them up."""
    info = {
        "type": "external_account",
        "audience": AUDIENCE,
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": f"{google.endpoints['sts']}/v1/token",
        "credential_source": {"file": str(token_file)},
        **changes,
    }
    made: identity_pool.Credentials = identity_pool.Credentials.from_info(info)
    scoped: identity_pool.Credentials = made.with_scopes([CLOUD_PLATFORM])
    return scoped


@pytest.fixture
def token_file(tmp_path: Path, issuer: Issuer) -> Path:
    """The projected ServiceAccount token."""
    path = tmp_path / "token"
    path.write_text(issuer.token(AUDIENCE))
    return path


def impersonation(google: Emulator) -> str:
    return (
        f"{google.endpoints['iam_credentials']}/v1/projects/-/serviceAccounts/{EMAIL}"
        ":generateAccessToken"
    )


def test_direct_access(google: Emulator, transport: Request, token_file: Path) -> None:
    """A federated token, and the registry takes it."""
    made = credentials(google, token_file)
    made.refresh(transport)
    assert made.valid
    with AuthorizedSession(made, auth_request=transport) as session:
        session.trust_env = False
        session.verify = str(google.ca_pem)
        url = f"{google.endpoints['registry']}/v2/my-project/images/hello/manifests/latest"
        answer = session.get(url)
    assert answer.status_code == 200
    assert google.log.exchanges()[0]["mapped_principal"] == PRINCIPAL


def test_impersonation(google: Emulator, transport: Request, token_file: Path) -> None:
    """Through generateAccessToken, with a lifetime."""
    made = credentials(
        google,
        token_file,
        service_account_impersonation_url=impersonation(google),
        service_account_impersonation={"token_lifetime_seconds": 1200},
    )
    made.refresh(transport)
    assert made.valid
    assert made.service_account_email == EMAIL
    [entry] = google.log.entries("iam_credentials")
    assert (entry["status"], entry["principal"], entry["account"]) == (200, PRINCIPAL, EMAIL)


def test_a_refusal_of_sts(google: Emulator, transport: Request, token_file: Path) -> None:
    """google-auth reads the OAuth error."""
    token_file.write_text(Issuer().token(AUDIENCE))
    expected = "Error code invalid_grant: Error connecting to the given credential's issuer."
    with pytest.raises(exceptions.OAuthError) as caught:
        credentials(google, token_file).refresh(transport)
    assert caught.value.args[0] == expected


def test_a_refusal_of_iam(google: Emulator, transport: Request, token_file: Path) -> None:
    """google-auth reads the API error."""
    account = f"projects/my-project/serviceAccounts/{EMAIL}"
    google.revoke(account, "roles/iam.workloadIdentityUser", PRINCIPAL)
    made = credentials(google, token_file, service_account_impersonation_url=impersonation(google))
    with pytest.raises(exceptions.RefreshError, match=r"iam\.serviceAccounts\.getAccessToken"):
        made.refresh(transport)

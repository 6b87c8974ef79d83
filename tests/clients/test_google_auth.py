"""google-auth: what its own tests expect of STS, and REST by its AuthorizedSession.

The behaviours are those of tests/oauth2/test_sts.py and tests/test_identity_pool.py of
googleapis/google-auth-library-python.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from google.auth import exceptions, identity_pool
from google.auth.transport.requests import AuthorizedSession, Request
from google.oauth2 import sts, utils

from clients.place import AUDIENCE, CLOUD_PLATFORM, EMAIL, POOL, PRINCIPAL, PROVIDER, REPOSITORY
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@pytest.fixture
def transport(google: Emulator) -> Iterator[Request]:
    """google-auth's transport over a session that trusts the emulator's CA and no environment."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(google.ca_pem)
        yield Request(session)


@pytest.fixture
def session(google: Emulator, transport: Request, token_file: Path) -> Iterator[AuthorizedSession]:
    """REST as the federated principal."""
    credentials = identity_pool.Credentials.from_info(
        {
            "type": "external_account",
            "audience": AUDIENCE,
            "subject_token_type": JWT,
            "token_url": f"{google.endpoints['sts']}/v1/token",
            "credential_source": {"file": str(token_file)},
        }
    ).with_scopes([CLOUD_PLATFORM])
    with AuthorizedSession(credentials, auth_request=transport) as session:
        session.trust_env = False
        session.verify = str(google.ca_pem)
        yield session


def exchange(google: Emulator, transport: Request, token: str, **changes: Any) -> Any:
    arguments = {
        "grant_type": GRANT,
        "subject_token": token,
        "subject_token_type": JWT,
        "audience": AUDIENCE,
        "scopes": [CLOUD_PLATFORM],
        "requested_token_type": ACCESS_TOKEN,
        **changes,
    }
    authentication = arguments.pop("client_authentication", None)
    client = sts.Client(f"{google.endpoints['sts']}/v1/token", authentication)
    return client.exchange_token(transport, **arguments)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"additional_options": {"userProject": "my-project"}},
        {"additional_headers": {"x-goog-user-project": "my-project"}},
        {"subject_token_type": "urn:ietf:params:oauth:token-type:id_token"},
        {
            "client_authentication": utils.ClientAuthentication(
                utils.ClientAuthType.basic, "id", "secret"
            )
        },
        {
            "client_authentication": utils.ClientAuthentication(
                utils.ClientAuthType.request_body, "id", "secret"
            )
        },
    ],
    ids=["plain", "options", "headers", "id-token", "basic", "client-in-body"],
)
def test_an_exchange(
    google: Emulator, transport: Request, issuer: Issuer, changes: dict[str, Any]
) -> None:
    """Optional fields and client authentication in both places; all members of the answer."""
    answer = exchange(google, transport, issuer.token(AUDIENCE), **changes)
    assert sorted(answer) == ["access_token", "expires_in", "issued_token_type", "token_type"]
    assert answer["issued_token_type"] == ACCESS_TOKEN
    assert isinstance(answer["expires_in"], int)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grant_type": "x"}, "unsupported_grant_type"),
        ({"audience": None}, "invalid_request"),
        ({"scopes": None}, "invalid_request"),
        ({"requested_token_type": None}, "invalid_request"),
        ({"subject_token_type": "x"}, "invalid_request"),
        ({"audience": f"{AUDIENCE}x"}, "invalid_target"),
    ],
)
def test_an_error(
    google: Emulator,
    transport: Request,
    issuer: Issuer,
    changes: dict[str, Any],
    error: str,
) -> None:
    """The library reads code and description."""
    with pytest.raises(exceptions.OAuthError, match=f"Error code {error}: "):
        exchange(google, transport, issuer.token(AUDIENCE), **changes)


def test_a_token_without_a_lifetime(
    google: Emulator, transport: Request, token_file: Path, issuer: Issuer
) -> None:
    """`expires_in` is absent with two seconds left; the library's credentials want it."""
    google.clock.freeze(int(google.clock.now()))
    token = issuer.token(AUDIENCE, exp=int(google.clock.now()) + 2)
    assert "expires_in" not in exchange(google, transport, token)


def test_rest_by_an_authorized_session(
    google: Emulator, session: AuthorizedSession, transport: Request
) -> None:
    """Pools, providers, policies and impersonation, as a tool of the field would."""
    iam = f"{google.endpoints['iam']}/v1"
    patched = session.patch(
        f"{iam}/{PROVIDER}?updateMask=displayName", json={"displayName": "By REST"}
    ).json()
    assert session.get(f"{iam}/{patched['name']}").json()["done"] is True
    listed = session.get(f"{iam}/{POOL}/providers").json()["workloadIdentityPoolProviders"]
    assert [provider["displayName"] for provider in listed] == ["By REST"]
    policy = session.get(f"{iam}/{REPOSITORY}:getIamPolicy").json()
    policy["bindings"].append({"role": "roles/artifactregistry.reader", "members": ["allUsers"]})
    changed = session.post(f"{iam}/{REPOSITORY}:setIamPolicy", json={"policy": policy}).json()
    assert changed["etag"] != policy["etag"]
    assert len(changed["bindings"]) == 2
    url = f"{google.endpoints['iam_credentials']}/v1/projects/-/serviceAccounts/{EMAIL}"
    answer = session.post(f"{url}:generateAccessToken", json={"scope": [CLOUD_PLATFORM]})
    assert answer.status_code == 200
    assert google.log.entries("iam_credentials")[0]["principal"] == PRINCIPAL

"""A federated access token of the judges' subject."""

import httpx

from clients.place import AUDIENCE, CLOUD_PLATFORM
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator


def access_token(google: Emulator, issuer: Issuer) -> str:
    """By one exchange over plain http."""
    kinds = "urn:ietf:params:oauth:token-type"
    answer = httpx.post(
        f"{google.endpoints['http']['sts']}/v1/token",
        json={
            "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": AUDIENCE,
            "scope": CLOUD_PLATFORM,
            "requestedTokenType": f"{kinds}:access_token",
            "subjectToken": issuer.token(AUDIENCE),
            "subjectTokenType": f"{kinds}:jwt",
        },
        trust_env=False,
    )
    return str(answer.raise_for_status().json()["access_token"])

"""The emulator of Google, set up for one cluster, as this tier's tests see it."""

import base64
import json
import ssl
import time
import urllib.request
from typing import Any

from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

NUMBER = "123456789012"
POOL = f"projects/{NUMBER}/locations/global/workloadIdentityPools/k8s-pool"


def audience(provider: str) -> str:
    """The full resource name of a provider of the pool."""
    return f"//iam.googleapis.com/{POOL}/providers/{provider}"


def configuration(jwks: str, *providers: str) -> dict[str, Any]:
    """The emulator's configuration: a pool whose providers all trust one cluster's keys.

    Mapping: Google, "Configure Workload Identity Federation with Kubernetes".
    """
    account = "puller@project.iam.gserviceaccount.com"
    return {
        "projects": [{"projectId": "project", "projectNumber": NUMBER}],
        "workloadIdentityPools": [{"name": POOL}],
        "workloadIdentityPoolProviders": [
            {
                "name": f"{POOL}/providers/{name}",
                "oidc": {
                    "issuerUri": ISSUER,
                    "jwksJson": jwks,
                    "allowedAudiences": [audience(name)],
                },
                "attributeMapping": {
                    "google.subject": "assertion.sub",
                    "attribute.namespace": "assertion['kubernetes.io']['namespace']",
                    "attribute.service_account_name": (
                        "assertion['kubernetes.io']['serviceaccount']['name']"
                    ),
                    "attribute.pod": "assertion['kubernetes.io']['pod']['name']",
                },
            }
            for name in providers
        ],
        "serviceAccounts": [
            {
                "name": f"projects/project/serviceAccounts/{account}",
                "email": account,
                "iamPolicy": {
                    "bindings": [
                        {
                            "role": "roles/iam.workloadIdentityUser",
                            "members": [f"principalSet://iam.googleapis.com/{POOL}/*"],
                        }
                    ]
                },
            }
        ],
    }


class Google:
    """A running emulator, and the cluster that it trusts."""

    account = "puller@project.iam.gserviceaccount.com"
    """A Google service account that every ServiceAccount of the cluster may become."""
    second_provider = "k8s-second"

    def __init__(self, emulator: Emulator, issuer: Issuer | None, provider: str) -> None:
        self._emulator = emulator
        self._issuer = issuer
        self.audience = audience(provider)
        self.second_audience = audience(self.second_provider)

    def env(self) -> dict[str, str]:
        """The plugin's variables: GCP_AUDIENCE, and where this Google is."""
        return {"GCP_AUDIENCE": self.audience, "GCP_LOG": "off"} | self.whereabouts()

    def whereabouts(self) -> dict[str, str]:
        """The variables that lead the plugin to this Google."""
        return {
            "GCP_STS_ENDPOINT": self._emulator.endpoints["sts"],
            "GCP_IAM_CREDENTIALS_ENDPOINT": self._emulator.endpoints["iam_credentials"],
            "SSL_CERT_FILE": str(self._emulator.ca_pem),
        }

    def token(
        self,
        *,
        audiences: list[str] | None = None,
        service_account: str = "puller",
        seconds: int = 3600,
    ) -> str:
        """A ServiceAccount token of the cluster, another one at each call, for `seconds`."""
        assert self._issuer
        return self._issuer.token(
            audiences or [self.audience],
            namespace="team-a",
            service_account=service_account,
            exp=int(time.time()) + seconds,
        )

    def exchanges(self) -> int:
        """How many exchanges STS was asked for in this test."""
        return len(self._emulator.log.exchanges())

    def impersonations(self) -> int:
        """How many tokens of service accounts IAM was asked for in this test."""
        return len(self._emulator.log.entries("iam_credentials"))

    def refuse(self) -> str:
        """From now on STS refuses every token; returns the name of the rule."""
        return self._emulator.faults.set(
            "status",
            service="sts",
            status=400,
            body={
                "error": "unauthorized_client",
                "error_description": "The given credential is rejected by the attribute condition.",
            },
        )

    def accept_again(self, rule: str) -> None:
        """Take the rule away."""
        assert self._emulator.faults.remove(rule)

    def stall(self) -> None:
        """From now on STS takes requests and does not answer."""
        self._emulator.faults.set("stall", service="sts")

    def principal(self, access_token: str) -> str:
        """The IAM member that the registry takes the bearer of the token for."""
        self._registry_token(access_token)
        principal: str = self._emulator.log.entries("registry")[-1]["principal"]
        return principal

    def lifetime(self, access_token: str) -> int:
        """Seconds that the registry would still take the token for."""
        seconds: int = self._registry_token(access_token)["expires_in"]
        return seconds

    def _registry_token(self, access_token: str) -> dict[str, Any]:
        """What a container runtime does first with the kubelet's credential."""
        basic = base64.b64encode(f"oauth2accesstoken:{access_token}".encode()).decode()
        asked = urllib.request.Request(
            self._emulator.endpoints["registry"] + "/v2/token",
            headers={"Authorization": f"Basic {basic}"},
        )
        trusted = ssl.create_default_context(cafile=self._emulator.ca_pem)
        with urllib.request.urlopen(asked, context=trusted, timeout=10) as answer:
            document: dict[str, Any] = json.load(answer)
        return document

"""What the scenes share: the emulated Google, the cluster's issuer, a kubelet, a registry client.

Imports the emulator, httpx and the demo's own parts.
"""

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gcp_sa_credential_provider.demo import scene
from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.demo.kubelet import NO_RESPONSE, Kubelet, Response
from gcp_sa_credential_provider.demo.pull import Pulled, pull
from gcp_sa_credential_provider.demo.step import Outcome, UnexpectedError
from gcp_sa_credential_provider.emulator.inprocess import Emulator

_REGISTRY_SECONDS = 10


@dataclass
class Stage:
    """Everything that a scene may use."""

    google: Emulator
    issuer: Issuer
    kubelet: Kubelet
    registry: httpx.Client
    response: Response = NO_RESPONSE
    """What the plugin answered for the demo's image, once it did."""

    def obtain(self, image: str, token: str) -> tuple[Response, int]:
        """Run the plugin where it must succeed: its response, and the milliseconds it took.

        Raises UnexpectedError with the plugin's own line where it fails.
        """
        run = self.kubelet.ask(image, token)
        if run.response is None:
            raise UnexpectedError(f"plugin: exit code {run.exit_code}: {run.line}")
        return run.response, run.milliseconds

    def pull(self, response: Response) -> Pulled:
        """Pull the demo's image with what a response holds for it."""
        credential = response.credential_for(scene.IMAGE)
        return pull(self.registry, scene.IMAGE, scene.TAG, credential.username, credential.password)

    def mapped_principal(self) -> str:
        """Whom the last exchange was for, by the emulator's own log."""
        return str(self.google.log.exchanges()[-1].get("mapped_principal", "nobody"))


@dataclass(frozen=True)
class Scene:
    """A step before it is played; fields as in `Step`."""

    name: str
    title: str
    what: str
    play: Callable[[Stage], Outcome]
    """Raises UnexpectedError."""


@contextmanager
def opened(directory: Path) -> Iterator[Stage]:
    """Start the emulator with the demo's set-up, serve while the block runs. Raises OSError."""
    issuer = Issuer()
    with Emulator(directory, scene.google(ISSUER, issuer.jwks), proxy={}) as google:
        kubelet = Kubelet(
            directory / "bin",
            {
                "GCP_AUDIENCE": scene.AUDIENCE,
                "GCP_STS_ENDPOINT": google.endpoints["sts"],
                "SSL_CERT_FILE": str(google.ca_pem),
                "GCP_LOG": "off",
            },
        )
        with httpx.Client(
            # It leads Google's names, and no others, to the emulator; TLS checks the real name.
            proxy=google.endpoints["proxy"],
            verify=ssl.create_default_context(cafile=google.ca_pem),
            timeout=_REGISTRY_SECONDS,
            trust_env=False,
        ) as registry:
            yield Stage(google, issuer, kubelet, registry)

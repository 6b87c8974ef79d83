"""Fixtures of the emulator's tests: keys made once, an emulator and a client for each test."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from emulator.world import AUDIENCE, exchange, world
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator


def pytest_configure(config: pytest.Config) -> None:
    """The marker from which docs/emulator.md is made."""
    config.addinivalue_line("markers", "rule(*ids): pins these rules of emulator/rules.py")


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """The cluster's RSA signer."""
    return Issuer()


@pytest.fixture(scope="session")
def ec_issuer() -> Issuer:
    """A P-256 signer."""
    return Issuer("EC")


@pytest.fixture
def google(tmp_path: Path, issuer: Issuer) -> Iterator[Emulator]:
    """A running emulator of the small world, with a proxy."""
    with Emulator(tmp_path / "google", world(issuer.jwks), proxy={}) as emulator:
        yield emulator


@pytest.fixture
def client(google: Emulator) -> Iterator[httpx.Client]:
    """An HTTP client that trusts the emulator's CA and nothing of its environment."""
    context = ssl.create_default_context(cafile=str(google.ca_pem))
    with httpx.Client(verify=context, trust_env=False, timeout=10) as client:
        yield client


@pytest.fixture
def token(issuer: Issuer, google: Emulator, client: httpx.Client) -> str:
    """A federated access token of demo/puller."""
    return str(exchange(client, google, issuer.token(AUDIENCE)).json()["access_token"])

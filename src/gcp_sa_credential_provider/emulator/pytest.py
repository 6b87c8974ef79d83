"""A pytest plugin: Google in a box as fixtures, for the tests of other projects.

Imports pytest, and the emulator only when a fixture is asked for. docs/emulator.md shows its use.
Override `google_emulator_config` to choose the resources.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gcp_sa_credential_provider.emulator.inprocess import Emulator


@pytest.fixture
def google_emulator_config() -> str | Path | Mapping[str, Any] | None:
    """The emulator's configuration: a path, a document, or None for an empty Google."""
    return None


@pytest.fixture
def google_emulator(
    tmp_path_factory: pytest.TempPathFactory,
    google_emulator_config: str | Path | Mapping[str, Any] | None,
) -> "Iterator[Emulator]":
    """A running emulator with a CONNECT proxy, new for each test."""
    from gcp_sa_credential_provider.emulator.inprocess import Emulator

    config = google_emulator_config
    if isinstance(config, str):
        config = Path(config)
    directory = tmp_path_factory.mktemp("google-emulator")
    with Emulator(directory, config, proxy={}) as google:
        yield google


@pytest.fixture
def google_emulator_environment(
    google_emulator: "Emulator", monkeypatch: pytest.MonkeyPatch
) -> Mapping[str, str]:
    """Environment variables that lead clients to the emulator, also set for this process.

    `HTTPS_PROXY` leads Google's own names there, `SSL_CERT_FILE` and `REQUESTS_CA_BUNDLE` make
    its certificates trusted.
    """
    ca = str(google_emulator.ca_pem)
    environment = {
        "HTTPS_PROXY": str(google_emulator.endpoints["proxy"]),
        "NO_PROXY": "",
        "SSL_CERT_FILE": ca,
        "REQUESTS_CA_BUNDLE": ca,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(name.lower(), raising=False)
    return environment

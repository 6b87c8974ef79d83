"""Fixtures of the static tier: the built files, and what they are asked."""

import platform
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from process.launch import Launcher
from scene import AUDIENCE, request
from static.files import built

ARCHES = {"x86_64": "amd64", "aarch64": "arm64"}


@pytest.fixture(scope="session")
def static_file() -> Path:
    """The file for this machine. It is what this tier judges: without it, there is no result."""
    path = built(ARCHES[platform.machine()])
    if not path.exists():
        pytest.fail(f"{path} is not there; make static builds it")
    return path


@pytest.fixture(scope="session")
def static_plugin(static_file: Path) -> Launcher:
    """It as a program."""
    return Launcher("static", (str(static_file),))


@pytest.fixture
def asked(issuer: Issuer) -> bytes:
    """A good request."""
    return request(issuer.token(AUDIENCE))

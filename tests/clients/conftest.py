"""Clients that nobody here wrote judge the emulator: gcloud, Go, containerd, skopeo, distribution.

A client that is not installed is a skip with its reason; where `CI` is set it is a failure.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.place import child_environment, config, subject_token_file
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator


@pytest.fixture(scope="session")
def client() -> Callable[[str, str], str]:
    """Path of a program; `package` says where it comes from."""

    def find(program: str, package: str) -> str:
        path = shutil.which(program)
        if path is None:
            message = f"{program} is not installed. Fix: {package}"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        return path

    return find


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """The cluster's signer."""
    return Issuer()


@pytest.fixture
def google(tmp_path: Path, issuer: Issuer) -> Iterator[Emulator]:
    """A running emulator of one cluster, one repository and one account, with a proxy."""
    with Emulator(tmp_path / "google", config(issuer.jwks), proxy={}) as emulator:
        yield emulator


@pytest.fixture
def token_file(tmp_path: Path, issuer: Issuer) -> Path:
    """The projected ServiceAccount token."""
    return subject_token_file(tmp_path, issuer)


@pytest.fixture
def environment(tmp_path: Path, google: Emulator) -> dict[str, str]:
    """For a child process: nothing of the caller's but PATH, Google's names led to the emulator."""
    return child_environment(tmp_path, google)

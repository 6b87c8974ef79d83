"""skopeo pulls, pushes and lists tags, by Google's own host name through the proxy."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from clients.login import access_token
from clients.place import IMAGE, PRINCIPAL, REGISTRY, REPOSITORY
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.image import built_in
from gcp_sa_credential_provider.emulator.inprocess import Emulator

REFERENCE = f"docker://{REGISTRY}/{IMAGE}"


class Skopeo:
    """skopeo, logged in by a password on stdin."""

    def __init__(self, program: str, environment: dict[str, str], token: str) -> None:
        self._program = program
        self._environment = {
            **environment,
            "REGISTRY_AUTH_FILE": f"{environment['HOME']}/auth.json",
        }
        login = self.run(
            "login", "--username=oauth2accesstoken", "--password-stdin", REGISTRY, given=token
        )
        assert login.returncode == 0, login.stderr

    def run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        """The finished process."""
        return subprocess.run(
            [self._program, "--insecure-policy", *arguments],
            env=self._environment,
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        """The output of a command that must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture
def skopeo(
    client: Callable[[str, str], str],
    google: Emulator,
    environment: dict[str, str],
    issuer: Issuer,
) -> Skopeo:
    """Logged in as the subject."""
    program = client("skopeo", "apt-get install skopeo")
    return Skopeo(program, environment, access_token(google, issuer))


def test_pull_push_and_tags(google: Emulator, skopeo: Skopeo, tmp_path: Path) -> None:
    """Down to a directory, up under another tag, both tags there."""
    directory = f"dir:{tmp_path / 'image'}"
    done = skopeo.run("copy", f"{REFERENCE}:latest", directory)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "image" / "manifest.json").read_bytes() == built_in().manifest
    done = skopeo.run("copy", directory, f"docker://{REGISTRY}/my-project/images/team/copy:v1")
    assert done.returncode == 0, done.stderr
    again = skopeo.json("inspect", f"docker://{REGISTRY}/my-project/images/team/copy:v1")
    assert again["Digest"] == built_in().digest
    assert again["RepoTags"] == ["v1"]
    assert skopeo.json("list-tags", REFERENCE)["Tags"] == ["latest"]
    assert {e["host"] for e in google.log.entries("registry")} == {REGISTRY}


def test_a_missing_grant(google: Emulator, skopeo: Skopeo) -> None:
    """Shown as the registry says it."""
    google.revoke(REPOSITORY, "roles/artifactregistry.writer", PRINCIPAL)
    done = skopeo.run("inspect", f"{REFERENCE}:latest")
    assert done.returncode != 0
    assert "denied" in done.stderr

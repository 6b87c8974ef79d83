"""A real docker-registry takes the emulator as its token server; skopeo pushes and pulls there."""

import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.login import access_token
from clients.place import IMAGE, PRINCIPAL, REGISTRY, REPOSITORY, config
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.image import built_in
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from loopback import free_port

SERVICE = "registry.example.com"


@pytest.fixture
def google(tmp_path: Path, issuer: Issuer) -> Iterator[Emulator]:
    """The emulator with a token realm."""
    options = {"tokenRealm": {"service": SERVICE, "issuer": "google-in-a-box"}}
    configuration = config(issuer.jwks, options=options)
    with Emulator(tmp_path / "google", configuration, proxy={}) as emulator:
        yield emulator


@pytest.fixture
def registry(client: Callable[[str, str], str], google: Emulator, tmp_path: Path) -> Iterator[str]:
    """HOST:PORT of docker-registry, whose only trust is the emulator's CA."""
    address = f"127.0.0.1:{free_port()}"
    document = {
        "version": 0.1,
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": address},
        "auth": {
            "token": {
                "realm": f"{google.endpoints['registry']}/v2/token",
                "service": SERVICE,
                "issuer": "google-in-a-box",
                "rootcertbundle": str(google.ca_pem),
            }
        },
    }
    path = tmp_path / "registry.yml"
    path.write_text(json.dumps(document))
    program = client("docker-registry", "apt-get install docker-registry")
    with subprocess.Popen(
        [program, "serve", path], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        drain = threading.Thread(target=process.stderr.read)
        try:
            assert any("listening on" in line for line in process.stderr)
            drain.start()
            yield address
        finally:
            process.terminate()
            if drain.ident is not None:
                drain.join()


def skopeo(
    program: str, environment: dict[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [program, "--insecure-policy", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_iam_decides_at_another_registry(
    client: Callable[[str, str], str],
    google: Emulator,
    registry: str,
    environment: dict[str, str],
    issuer: Issuer,
    tmp_path: Path,
) -> None:
    """With a grant an image goes up and comes down; without one it is denied."""
    program = client("skopeo", "apt-get install skopeo")
    auth_file = tmp_path / "auth.json"
    environment = {**environment, "REGISTRY_AUTH_FILE": str(auth_file), "NO_PROXY": "127.0.0.1"}
    for host in (REGISTRY, registry):
        login = subprocess.run(
            [
                *(program, "login", "--tls-verify=false", "--username=oauth2accesstoken"),
                *("--password-stdin", host),
            ],
            env=environment,
            input=access_token(google, issuer),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert login.returncode == 0, login.stderr
    there = f"docker://{registry}/{IMAGE}:copy"
    source = f"docker://{REGISTRY}/{IMAGE}:latest"
    up = skopeo(program, environment, "copy", "--dest-tls-verify=false", source, there)
    assert up.returncode == 0, up.stderr
    down = skopeo(program, environment, "inspect", "--tls-verify=false", there)
    assert json.loads(down.stdout)["Digest"] == built_in().digest
    google.revoke(REPOSITORY, "roles/artifactregistry.writer", PRINCIPAL)
    denied = skopeo(program, environment, "inspect", "--tls-verify=false", there)
    assert denied.returncode != 0
    assert "denied" in denied.stderr
    assert os.stat(auth_file).st_mode & 0o077 == 0

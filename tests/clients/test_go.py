"""golang.org/x/oauth2/google/externalaccount gets its tokens from the emulator."""

import subprocess
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from clients.place import AUDIENCE, EMAIL, IMAGE, PRINCIPAL, credential_file
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

pytestmark = pytest.mark.xdist_group("go")
SOURCES = Path(__file__).parent / "go"


@pytest.fixture(scope="session")
def judge(client: Callable[[str, str], str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built from sources whose checksums are in go.sum."""
    program = tmp_path_factory.mktemp("go") / "judge"
    go = client("go", "install Go 1.26 or newer")
    done = subprocess.run(
        [go, "build", "-mod=readonly", "-o", program, "."],
        cwd=SOURCES,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return program


def run(judge: Path, file: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [judge, file], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.parametrize("impersonate", [False, True])
@pytest.mark.parametrize("names", ["googles-own", "of-the-emulator"])
def test_a_token(
    google: Emulator,
    judge: Path,
    tmp_path: Path,
    token_file: Path,
    environment: dict[str, str],
    *,
    impersonate: bool,
    names: str,
) -> None:
    """Direct and impersonated; by the emulator's addresses, and by Google's through the proxy."""
    own = {
        "sts": "https://sts.googleapis.com",
        "iam_credentials": "https://iamcredentials.googleapis.com",
    }
    base = own if names == "googles-own" else google.endpoints
    file = credential_file(tmp_path / "c.json", token_file, base, impersonate=impersonate)
    done = run(judge, file, environment)
    assert done.returncode == 0, done.stderr
    token, expiry = done.stdout.split()
    left = datetime.fromisoformat(expiry).timestamp() - google.clock.now()
    assert 3500 < left <= 3600
    url = f"{google.endpoints['http']['registry']}/v2/{IMAGE}/manifests/latest"
    answer = httpx.get(url, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert answer.status_code == (403 if impersonate else 200)
    [entry] = google.log.entries("registry")
    assert entry["principal"] == (f"serviceAccount:{EMAIL}" if impersonate else PRINCIPAL)


def test_a_refusal(
    google: Emulator, judge: Path, tmp_path: Path, token_file: Path, environment: dict[str, str]
) -> None:
    """The client shows Google's text."""
    token_file.write_text(Issuer().token(AUDIENCE))
    file = credential_file(tmp_path / "c.json", token_file, google.endpoints)
    done = run(judge, file, environment)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Error connecting to the given credential's issuer." in done.stderr

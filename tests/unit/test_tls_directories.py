"""tls: directories of certificates, hashed and plain, and the bundle beside one."""

import json
import subprocess
from pathlib import Path

import pytest
import trustme

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.plugin import tls
from gcp_sa_credential_provider.plugin.tls import TrustStore
from scene import ACCOUNT, AUDIENCE, request, run_plugin

Environment = dict[str, str]


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A system whose known places are in `tmp_path`, and empty."""
    monkeypatch.setattr(tls, "BUNDLES", (f"{tmp_path}/bundle.crt",))
    monkeypatch.setattr(tls, "DIRECTORIES", (f"{tmp_path}/certs",))
    return tmp_path


@pytest.fixture
def through_proxy(environment: Environment, google: Emulator) -> Environment:
    """Google's own name, reached through the emulator's proxy."""
    del environment["GCP_STS_ENDPOINT"]
    environment["HTTPS_PROXY"] = google.endpoints["proxy"]
    return environment


def test_a_directory_that_holds_nothing(
    environment: Environment, tmp_path: Path, issuer: Issuer
) -> None:
    """As where a mount is missing: no authority is to blame."""
    del environment["SSL_CERT_FILE"]
    environment["SSL_CERT_DIR"] = str(tmp_path)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (2, "TLS-STORE")
    assert f"loaded from {tmp_path}: no certificate is in it" in outcome.stderr


def test_a_directory_of_plain_files(
    environment: Environment, google: Emulator, tmp_path: Path, issuer: Issuer
) -> None:
    """SSL_CERT_DIR without hashed names: every .pem and .crt in it counts."""
    (tmp_path / "google.pem").write_bytes(google.ca_pem.read_bytes())
    (tmp_path / "README").write_text("no certificate")
    del environment["SSL_CERT_FILE"]
    environment["SSL_CERT_DIR"] = f":{tmp_path}"
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr


def _stray(folder: Path) -> None:
    """Files of all kinds that a directory of certificates may hold besides."""
    (folder / "another.crt").write_text("in another form")
    (folder / "gone.pem").symlink_to("/no/such/file")
    (folder / "mycert01.2024").touch()
    (folder / "deadbeef.old").touch()
    (folder / "tls-key.pem").write_bytes(trustme.CA().private_key_pem.bytes())


def test_files_of_a_directory_that_are_none(
    environment: Environment, google: Emulator, tmp_path: Path, issuer: Issuer
) -> None:
    """Passed over, as in OpenSSL and Go; the first and the last of the directory are such."""
    _stray(tmp_path)
    (tmp_path / "google.pem").write_bytes(google.ca_pem.read_bytes())
    del environment["SSL_CERT_FILE"]
    environment["SSL_CERT_DIR"] = f"{google.ca_pem}:{tmp_path}"
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr


def test_a_directory_of_nothing_but_such_files(
    environment: Environment, tmp_path: Path, issuer: Issuer
) -> None:
    """The last of them is named, with what is wrong."""
    _stray(tmp_path)
    del environment["SSL_CERT_FILE"]
    environment["SSL_CERT_DIR"] = str(tmp_path)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (2, "TLS-STORE")
    assert f"loaded from {tmp_path}/tls-key.pem: " in outcome.stderr


def test_a_directory_that_is_a_file(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Named, since nothing else is."""
    del environment["SSL_CERT_FILE"]
    environment["SSL_CERT_DIR"] = str(google.ca_pem)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "TLS-STORE"
    assert f"loaded from {google.ca_pem}: Not a directory" in outcome.stderr


def test_a_hashed_directory(
    environment: Environment, google: Emulator, tmp_path: Path, issuer: Issuer
) -> None:
    """As `openssl rehash` makes it."""
    (tmp_path / "google.pem").write_bytes(google.ca_pem.read_bytes())
    subprocess.run(["openssl", "rehash", str(tmp_path)], check=True)
    del environment["SSL_CERT_FILE"]
    environment["SSL_CERT_DIR"] = str(tmp_path)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr


def test_a_directory_that_does_not_exist(environment: Environment, issuer: Issuer) -> None:
    """Named with what the operating system says."""
    del environment["SSL_CERT_FILE"]
    environment["SSL_CERT_DIR"] = "/no/such/directory"
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "TLS-STORE"
    assert "loaded from /no/such/directory: nothing is there" in outcome.stderr


def test_the_systems_hashed_directory_comes_first(nowhere: Path, google: Emulator) -> None:
    """OpenSSL then reads only the one authority that it needs."""
    certs = nowhere / "certs"
    certs.mkdir()
    (certs / "google.pem").write_bytes(google.ca_pem.read_bytes())
    subprocess.run(["openssl", "rehash", str(certs)], check=True)
    (nowhere / "bundle.crt").write_bytes(google.ca_pem.read_bytes())
    store = TrustStore("", "")
    assert store.context("127.0.0.1", whole=False).cert_store_stats()["x509"] == 0
    assert store.source == str(certs)


@pytest.fixture
def hashed(nowhere: Path) -> Path:
    """A system with a hashed directory of one authority that signed nothing here."""
    certs = nowhere / "certs"
    certs.mkdir()
    (certs / "other.pem").write_bytes(trustme.CA().cert_pem.bytes())
    subprocess.run(["openssl", "rehash", str(certs)], check=True)
    return nowhere


def test_a_hashed_directory_does_not_shut_out_the_bundle_beside_it(
    hashed: Path, through_proxy: Environment, google: Emulator, home: Path, issuer: Issuer
) -> None:
    """A company's authority is in the bundle alone: two connections for the first service."""
    bundle = hashed / "bundle.crt"
    bundle.write_bytes(google.ca_pem.read_bytes())
    log = home / "provider.log"
    del through_proxy["SSL_CERT_FILE"], through_proxy["GCP_IAM_CREDENTIALS_ENDPOINT"]
    through_proxy |= {"GCP_SERVICE_ACCOUNT": ACCOUNT, "GCP_LOG": str(log)}
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr
    hosts = ["sts.googleapis.com:443"] * 2 + ["iamcredentials.googleapis.com:443"]
    assert google.proxy.tunnels == hosts
    assert json.loads(log.read_text())["trust"] == f"{hashed}/certs, {bundle}"


def test_hash_links_that_lead_nowhere(
    hashed: Path, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """The links are there, their files are not."""
    (hashed / "certs" / "other.pem").unlink()
    (hashed / "bundle.crt").write_bytes(google.ca_pem.read_bytes())
    del environment["SSL_CERT_FILE"]
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr


@pytest.mark.parametrize("bundle", [None, "", "another"])
def test_what_neither_trusts_stays_untrusted(
    hashed: Path, through_proxy: Environment, google: Emulator, issuer: Issuer, bundle: str | None
) -> None:
    """Asked again only where there is a bundle, and one that holds something."""
    if bundle is not None:
        pem = trustme.CA().cert_pem.bytes() if bundle else b""
        (hashed / "bundle.crt").write_bytes(pem)
    del through_proxy["SSL_CERT_FILE"]
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (1, "TLS-UNTRUSTED")
    assert f"(trust store: {hashed}/certs{f', {hashed}/bundle.crt' if bundle else ''})" in (
        outcome.stderr
    )
    assert len(google.proxy.tunnels) == (2 if bundle else 1)


def test_a_named_directory_is_never_widened(
    hashed: Path, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Whoever names a place means it."""
    (hashed / "bundle.crt").write_bytes(google.ca_pem.read_bytes())
    del environment["SSL_CERT_FILE"]
    environment["SSL_CERT_DIR"] = f"{hashed}/certs"
    assert run_plugin(environment, request(issuer.token(AUDIENCE))).error == "TLS-UNTRUSTED"

"""Names: a resolver that is silent, that fails, that gives several addresses."""

import os
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Launcher, credentials, refusal
from process.resolver import NXDOMAIN, SERVFAIL, SILENT, NameServer
from scene import AUDIENCE, request

Environment = dict[str, str]

STS = "sts.googleapis.com"

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: port 53 and a mount namespace"
)


@pytest.fixture
def environment(google: Emulator) -> Environment:
    """Google's own name, on the emulator's port."""
    port = google.endpoints["sts"].rpartition(":")[2]
    return {
        "PATH": os.defpath,
        "GCP_AUDIENCE": AUDIENCE,
        "GCP_STS_ENDPOINT": f"https://{STS}:{port}",
        "SSL_CERT_FILE": str(google.ca_pem),
        "GCP_LOG": "off",
    }


@pytest.fixture
def asked(issuer: Issuer) -> bytes:
    """A good request."""
    return request(issuer.token(AUDIENCE))


def test_a_resolver_that_never_answers(
    plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """A look-up cannot be interrupted; the watchdog ends the process around it."""
    environment["GCP_TIMEOUT"] = "1"
    with NameServer({STS: SILENT}, tmp_path) as names:
        ended = plugin.run(environment, asked, wrapper=names.wrapper)
        assert STS in names.asked
    assert refusal(ended) == (1, "DNS-TIMEOUT")
    assert STS.encode() in ended.stderr


def test_a_name_that_does_not_exist_is_final(
    plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """One look-up: A and AAAA."""
    with NameServer({STS: NXDOMAIN}, tmp_path) as names:
        ended = plugin.run(environment, asked, wrapper=names.wrapper)
        assert len(names.asked) == 2
    assert refusal(ended) == (1, "DNS-FAILED")


def test_a_resolver_that_fails_is_asked_again(
    plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """Four look-ups, then a line that says so (musl's resolver waits a second in each)."""
    with NameServer({STS: SERVFAIL}, tmp_path, seconds=1) as names:
        ended = plugin.run(environment, asked, wrapper=names.wrapper)
    assert refusal(ended) == (1, "DNS-AGAIN")
    assert b"(4 tries)" in ended.stderr


def test_every_address_of_a_name_is_tried(
    plugin: Launcher, environment: Environment, google: Emulator, asked: bytes, tmp_path: Path
) -> None:
    """Two that refuse, in whatever order the resolver puts them, and the one that serves."""
    addresses = ["127.77.0.1", "127.77.0.2", "127.0.0.1"]
    with NameServer({STS: addresses}, tmp_path) as names:
        credentials(plugin.run(environment, asked, wrapper=names.wrapper))
    [exchange] = google.log.exchanges()
    assert exchange["host"].startswith(STS)


def test_all_addresses_refuse(
    plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """The same line as for one."""
    with NameServer({STS: ["127.77.0.1", "127.77.0.2"]}, tmp_path) as names:
        ended = plugin.run(environment, asked, wrapper=names.wrapper)
    assert refusal(ended) == (1, "CONNECT-REFUSED")


def test_a_proxy_without_an_address(
    plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """The proxy is named, not Google."""
    environment["HTTPS_PROXY"] = "http://user:s3cret-pw@proxy.invalid:3128"
    with NameServer({}, tmp_path) as names:
        ended = plugin.run(environment, asked, wrapper=names.wrapper)
        assert STS not in names.asked
    assert refusal(ended) == (1, "PROXY-UNREACHABLE")
    assert b"proxy.invalid:3128" in ended.stderr
    assert b"s3cret" not in ended.stderr


@pytest.mark.parametrize(
    "no_proxy",
    ["*", STS, "googleapis.com", ".googleapis.com", "*.googleapis.com", "a, GoogleAPIs.com ,b"],
)
def test_no_proxy_leads_past_the_proxy(
    plugin: Launcher,
    environment: Environment,
    google: Emulator,
    asked: bytes,
    tmp_path: Path,
    no_proxy: str,
) -> None:
    """Names match themselves and what is below them."""
    environment |= {"HTTPS_PROXY": "http://127.0.0.1:1", "NO_PROXY": no_proxy}
    with NameServer({STS: ["127.0.0.1"]}, tmp_path) as names:
        credentials(plugin.run(environment, asked, wrapper=names.wrapper))
    assert google.proxy.tunnels == []


@pytest.mark.parametrize("no_proxy", ["", "pis.com", "sts.googleapis.co", "127.0.0.1", f"{STS}:1"])
def test_no_proxy_of_others_changes_nothing(
    plugin: Launcher, environment: Environment, google: Emulator, asked: bytes, no_proxy: str
) -> None:
    """No name is looked up: the proxy does that, or says no."""
    google.proxy.refuse_with = 403
    environment |= {"HTTPS_PROXY": google.endpoints["proxy"], "NO_PROXY": no_proxy}
    assert refusal(plugin.run(environment, asked)) == (1, "PROXY-DENIED")

"""tls: the trust store and the handshake, against real certificates."""

import binascii
import json
import ssl
import sys
from pathlib import Path
from types import ModuleType

import pytest
import trustme

from gcp_sa_credential_provider import plugin
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.plugin import tls
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.tls import TrustStore
from scene import AUDIENCE, request, run_plugin

Environment = dict[str, str]


@pytest.mark.parametrize(
    ("which", "code"),
    [
        ("untrusted", "TLS-UNTRUSTED"),
        ("expired", "TLS-EXPIRED"),
        ("wrong_host", "TLS-HOSTNAME"),
    ],
)
def test_wrong_certificates(
    environment: Environment, google: Emulator, issuer: Issuer, which: str, code: str
) -> None:
    """Each by its own name, and final: not tried again."""
    environment["GCP_STS_ENDPOINT"] = google.endpoints["wrong_certificate"][which]
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (1, code)
    assert "tries" not in outcome.stderr


def test_no_tls_on_that_port(environment: Environment, google: Emulator, issuer: Issuer) -> None:
    """Something else answers the hello."""
    google.faults.set("connect_garbage")
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "TLS-FAILED"


def test_a_handshake_that_never_ends(environment: Environment, google: Emulator) -> None:
    """The connection is taken and nothing comes."""
    google.faults.set("connect_stall")
    environment["GCP_TIMEOUT"] = "1"
    outcome = run_plugin(environment, request(Issuer().token(AUDIENCE)))
    assert outcome.error == "TLS-TIMEOUT"


def test_a_handshake_that_breaks(environment: Environment, google: Emulator) -> None:
    """Closed in order instead of an answer to the hello: tried again."""
    google.faults.set("connect_close")
    outcome = run_plugin(environment, request(Issuer().token(AUDIENCE)))
    assert outcome.error == "TLS-FAILED"
    assert "(4 tries)" in outcome.stderr


@pytest.mark.parametrize("content", [None, "", "not a certificate\n", "directory"])
def test_a_store_that_is_none(
    environment: Environment, tmp_path: Path, issuer: Issuer, content: str | None
) -> None:
    """SSL_CERT_FILE points to nothing, or to nothing of use: exit 2, no connection."""
    path = tmp_path / "bundle.pem"
    if content == "directory":
        path.mkdir()
    elif content is not None:
        path.write_text(content)
    environment["SSL_CERT_FILE"] = str(path)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (2, "TLS-STORE")
    assert str(path) in outcome.stderr


def test_a_directory_for_googles_own_host(
    through_proxy: Environment, tmp_path: Path, issuer: Issuer
) -> None:
    """A bundle is read to be narrowed there; a directory can be opened, and not read."""
    through_proxy["SSL_CERT_FILE"] = str(tmp_path)
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (2, "TLS-STORE")
    assert str(tmp_path) in outcome.stderr


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A system whose known places are in `tmp_path`, and empty."""
    monkeypatch.setattr(tls, "BUNDLES", (f"{tmp_path}/bundle.crt",))
    monkeypatch.setattr(tls, "DIRECTORIES", (f"{tmp_path}/certs",))
    return tmp_path


def test_the_systems_bundle(nowhere: Path, google: Emulator) -> None:
    """Found where a distribution puts it."""
    (nowhere / "bundle.crt").write_bytes(google.ca_pem.read_bytes())
    store = TrustStore("", "")
    assert store.context("127.0.0.1", whole=False).cert_store_stats()["x509_ca"] == 1
    assert store.source == f"{nowhere}/bundle.crt"


def test_a_system_without_certificates(nowhere: Path) -> None:
    """All the places that were looked at are named."""
    with pytest.raises(Failure) as caught:
        TrustStore("", "").context("sts.googleapis.com", whole=False)
    assert caught.value.code == "TLS-STORE"
    assert caught.value.evidence["store"] == f"{nowhere}/bundle.crt"


def _bundle(google: Emulator, name: str) -> str:
    """A bundle of ten authorities, one of them with a name of Google's; the emulator's is last."""
    pems = [trustme.CA(organization_name=f"Authority {i}").cert_pem.bytes() for i in range(8)]
    pems.append(trustme.CA(organization_name=name).cert_pem.bytes())
    return b"# comment\n".join([*pems, google.ca_pem.read_bytes()]).decode()


def test_what_every_context_demands(nowhere: Path, google: Emulator) -> None:
    """Narrowed or whole: whom, how old a protocol, and which certificate is trust enough."""
    (nowhere / "bundle.crt").write_text(_bundle(google, "Google Trust Services LLC"))
    store = TrustStore("", "")
    contexts = [store.context("sts.googleapis.com", whole=whole) for whole in (False, True)]
    assert [context.cert_store_stats()["x509"] for context in contexts] == [1, 10]
    for context in contexts:
        assert (context.check_hostname, context.verify_mode) == (True, ssl.CERT_REQUIRED)
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.verify_flags & ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN


@pytest.fixture
def through_proxy(environment: Environment, google: Emulator) -> Environment:
    """Google's own name, reached through the emulator's proxy."""
    del environment["GCP_STS_ENDPOINT"]
    environment["HTTPS_PROXY"] = google.endpoints["proxy"]
    return environment


def test_a_bundle_is_narrowed_for_google_and_widened_where_that_was_wrong(
    through_proxy: Environment, google: Emulator, tmp_path: Path, issuer: Issuer
) -> None:
    """A decoy carries the expected name; the true authority is another: two connections."""
    path = tmp_path / "bundle.pem"
    path.write_text(_bundle(google, "Google Trust Services LLC"))
    through_proxy["SSL_CERT_FILE"] = str(path)
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr
    assert google.proxy.tunnels == ["sts.googleapis.com:443"] * 2


def test_a_bundle_with_none_of_googles_is_taken_whole(
    through_proxy: Environment, google: Emulator, tmp_path: Path, issuer: Issuer
) -> None:
    """One connection."""
    path = tmp_path / "bundle.pem"
    path.write_text(_bundle(google, "Some Company"))
    through_proxy["SSL_CERT_FILE"] = str(path)
    assert run_plugin(through_proxy, request(issuer.token(AUDIENCE))).code == 0
    assert google.proxy.tunnels == ["sts.googleapis.com:443"]


def test_an_untrusted_google_stays_untrusted_with_the_whole_bundle(
    through_proxy: Environment, google: Emulator, tmp_path: Path, issuer: Issuer
) -> None:
    """Narrowing never widens what the node trusts."""
    path = tmp_path / "bundle.pem"
    bundle = _bundle(google, "Google Trust Services").replace(google.ca_pem.read_text(), "")
    path.write_text(bundle)
    through_proxy["SSL_CERT_FILE"] = str(path)
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert outcome.error == "TLS-UNTRUSTED"
    assert len(google.proxy.tunnels) == 2


def test_a_narrowed_store_holds_only_what_google_uses(google: Emulator, tmp_path: Path) -> None:
    """And is read once."""
    path = tmp_path / "bundle.pem"
    path.write_text(_bundle(google, "Google Trust Services LLC"))
    store = TrustStore(str(path), "")
    narrow = store.context("sts.googleapis.com", whole=False)
    assert narrow.cert_store_stats()["x509"] == 1
    assert store.context("iamcredentials.googleapis.com", whole=False) is narrow
    whole = store.context("sts.googleapis.com", whole=True)
    assert whole.cert_store_stats()["x509"] == 10
    assert store.widen(narrow)
    assert not store.widen(whole)
    assert not store.widen(None)


def _laid_out(bundle: str, width: int, end_of_line: str) -> bytes:
    """The same certificates in lines of another length and end, without comments."""
    begin, end = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"
    lines = []
    for block in bundle.split(begin)[1:]:
        text = block.partition(end)[0].replace("\n", "")
        lines += [begin, *(text[at : at + width] for at in range(0, len(text), width)), end]
    return end_of_line.join([*lines, ""]).encode()


@pytest.mark.parametrize("width", [*range(60, 80), 4096])
@pytest.mark.parametrize("end_of_line", ["\n", "\r\n"])
def test_any_layout_is_narrowed(
    google: Emulator, tmp_path: Path, width: int, end_of_line: str
) -> None:
    """Wherever a line ends within the name."""
    path = tmp_path / "bundle.pem"
    path.write_bytes(_laid_out(_bundle(google, "Google Trust Services LLC"), width, end_of_line))
    store = TrustStore(str(path), "")
    assert store.context("sts.googleapis.com", whole=False).cert_store_stats()["x509"] == 1
    assert store.context("sts.googleapis.com", whole=True).cert_store_stats()["x509"] == 10


@pytest.mark.parametrize("length", range(3))
def test_a_name_is_found_wherever_it_stands(length: int) -> None:
    """Base64 takes three bytes at a time; a name may begin at any of them."""
    text = binascii.b2a_base64(b"x" * length + b"Google Trust Services" + b"yyy", newline=False)
    assert sum(form in text for form in tls._forms(b"Google Trust Services")) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("-----BEGIN CERTIFICATE-----", "-----BEGIN TRUSTED CERTIFICATE-----"),
        ("-----END CERTIFICATE-----", "-----END TRUSTED CERTIFICATE-----"),
    ],
)
def test_what_is_no_plain_certificate_is_left_to_openssl(
    google: Emulator, tmp_path: Path, old: str, new: str
) -> None:
    """The certificate with the name is of another kind: the whole bundle is taken."""
    bundle = _bundle(google, "Google Trust Services LLC")
    head, mark, named = bundle.rpartition("# comment\n" + bundle.split("# comment\n")[8])
    path = tmp_path / "bundle.pem"
    path.write_text(head + mark.replace(old, new) + named)
    assert tls._named(path.read_bytes()) == b""


def test_a_broken_certificate_is_left_to_openssl(google: Emulator) -> None:
    """Base64 that ends with one character of a group of four, which can be no byte."""
    bundle = _bundle(google, "Google Trust Services LLC")
    named = bundle.split("# comment\n")[8]
    text = named.partition("CERTIFICATE-----\n")[2].partition("-----END")[0]
    characters = text.replace("\n", "").rstrip("=")
    broken = characters[: len(characters) // 4 * 4] + "A\n"
    assert tls._named(bundle.replace(text, broken).encode()) == b""


@pytest.fixture
def built_in(nowhere: Path, google: Emulator, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A system without certificates, and a file with a bundle of its own, as the static one."""
    bundle = _bundle(google, "Google Trust Services LLC")
    pems = [f"{pem}-----END CERTIFICATE-----" for pem in bundle.split("-----END CERTIFICATE-----")]
    der = b"".join(ssl.PEM_cert_to_DER_cert(pem[pem.index("-----") :]) for pem in pems[:-1])
    module = ModuleType("gcp_sa_credential_provider.plugin.bundle")
    vars(module).update(VERSION="2026.10.19", DER=der)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(plugin, "bundle", module, raising=False)
    return der


def test_the_built_in_bundle(built_in: bytes) -> None:
    """Narrowed for Google, whole for others, and named."""
    store = TrustStore("", "")
    narrow = store.context("sts.googleapis.com", whole=False)
    assert narrow.cert_store_stats()["x509"] == 1
    assert store.widen(narrow)
    assert store.context("127.0.0.1", whole=False).cert_store_stats()["x509"] == 10
    assert store.source == "built-in bundle of 2026.10.19"


def test_the_built_in_bundle_stands_in_the_record(
    built_in: bytes, through_proxy: Environment, home: Path, issuer: Issuer
) -> None:
    """Widened here, since the authority with Google's name is not the server's."""
    log = home / "provider.log"
    del through_proxy["SSL_CERT_FILE"]
    through_proxy["GCP_LOG"] = str(log)
    assert run_plugin(through_proxy, request(issuer.token(AUDIENCE))).code == 0
    assert json.loads(log.read_text())["trust"] == "built-in bundle of 2026.10.19"


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_a_named_store_is_never_replaced(
    built_in: bytes, environment: Environment, issuer: Issuer, variable: str
) -> None:
    """Whoever names a place means it."""
    del environment["SSL_CERT_FILE"]
    environment[variable] = "/no/such/place"
    assert run_plugin(environment, request(issuer.token(AUDIENCE))).error == "TLS-STORE"


def test_an_empty_store_is_never_replaced(built_in: bytes, nowhere: Path) -> None:
    """A known place that holds nothing is a mistake to be seen."""
    (nowhere / "bundle.crt").write_text("")
    with pytest.raises(Failure) as caught:
        TrustStore("", "").context("sts.googleapis.com", whole=False)
    assert caught.value.code == "TLS-STORE"


def test_a_missing_bundle_for_googles_own_host(through_proxy: Environment, issuer: Issuer) -> None:
    """Narrowing reads it first and leaves the telling to the load of the whole."""
    through_proxy["SSL_CERT_FILE"] = "/no/such/bundle.pem"
    outcome = run_plugin(through_proxy, request(issuer.token(AUDIENCE)))
    assert outcome.error == "TLS-STORE"
    assert "/no/such/bundle.pem: No such file or directory" in outcome.stderr

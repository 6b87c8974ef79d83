"""The kinds of TLS server that OpenSSL as we build it must understand: keys, suites, groups.

OpenSSL is built without much of what it can do (packaging/static/openssl.py), and its table of
algorithms is cut down (provider_table.py); that nothing which a server on the Web uses was left out
is shown here, against the interpreter's own OpenSSL.
"""

import contextlib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from process.launch import Launcher, credentials, refusal
from static.certificates import Listener, make_key, pem, server_context, sign


@dataclass(frozen=True)
class Server:
    """One kind of server."""

    key: str
    authority: str
    newest: ssl.TLSVersion
    suites: str = ""  # of TLS 1.2
    group: str = ""


TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
SERVERS = {
    "TLS 1.3, P-256": Server("P-256", "P-256", TLS13),
    "TLS 1.3, RSA-2048 under RSA-4096": Server("RSA-2048", "RSA-4096", TLS13),
    "TLS 1.3, P-384 under P-384, group P-384": Server("P-384", "P-384", TLS13, group="secp384r1"),
    "TLS 1.3, P-521, group P-521": Server("P-521", "P-521", TLS13, group="secp521r1"),
    "TLS 1.3, Ed25519": Server("Ed25519", "Ed25519", TLS13),
    "TLS 1.3, group P-256": Server("P-256", "RSA-2048", TLS13, group="prime256v1"),
    "TLS 1.2, ECDHE-ECDSA AES-128-GCM": Server(
        "P-256", "P-256", TLS12, "ECDHE-ECDSA-AES128-GCM-SHA256"
    ),
    "TLS 1.2, ECDHE-RSA AES-256-GCM": Server(
        "RSA-2048", "RSA-2048", TLS12, "ECDHE-RSA-AES256-GCM-SHA384"
    ),
    "TLS 1.2, ECDHE-RSA ChaCha20": Server(
        "RSA-2048", "RSA-2048", TLS12, "ECDHE-RSA-CHACHA20-POLY1305"
    ),
    "TLS 1.2, ECDHE-RSA AES-256-CBC-SHA384": Server(
        "RSA-2048", "RSA-2048", TLS12, "ECDHE-RSA-AES256-SHA384"
    ),
    "TLS 1.2, ECDHE-ECDSA AES-128-CBC-SHA256": Server(
        "P-256", "P-256", TLS12, "ECDHE-ECDSA-AES128-SHA256"
    ),
    "TLS 1.3, group X448": Server("P-256", "P-256", TLS13, group="X448"),
    "TLS 1.2, Ed25519": Server("Ed25519", "P-256", TLS12, "ECDHE-ECDSA-AES256-GCM-SHA384"),
}


@contextlib.contextmanager
def serving(kind: Server, folder: Path) -> Iterator[str]:
    """Serve over TLS as `kind`; gives the base URL. The authority is in `folder`/ca.pem."""
    authority, key = make_key(kind.authority), make_key(kind.key)
    root = sign("root", authority, "root", authority, authority=True)
    leaf = sign("leaf", key, "root", authority, authority=False)
    (folder / "ca.pem").write_bytes(pem(root))
    context = server_context(folder, key, leaf)
    context.maximum_version = kind.newest
    if kind.suites:
        context.set_ciphers(kind.suites)
    if kind.group:
        context.set_ecdh_curve(kind.group)
    with Listener(context) as listener:
        yield listener.url


@pytest.mark.parametrize("name", SERVERS)
def test_server(
    name: str,
    static_plugin: Launcher,
    environment: dict[str, str],
    asked: bytes,
    tmp_path: Path,
) -> None:
    """The exchange goes through; with another authority it does not."""
    with serving(SERVERS[name], tmp_path) as url:
        environment["GCP_STS_ENDPOINT"] = url
        untrusted = static_plugin.run(environment, asked)
        environment["SSL_CERT_FILE"] = str(tmp_path / "ca.pem")
        credentials(static_plugin.run(environment, asked))
    assert refusal(untrusted) == (1, "TLS-UNTRUSTED")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated:DeprecationWarning")
def test_tls_1_1_is_refused(
    static_plugin: Launcher, environment: dict[str, str], asked: bytes, tmp_path: Path
) -> None:
    """By ourselves: the server would do it. OpenSSL's own words are told."""
    kind = Server("RSA-2048", "RSA-2048", ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0")
    with serving(kind, tmp_path) as url:
        environment |= {"GCP_STS_ENDPOINT": url, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        ended = static_plugin.run(environment, asked)
    assert refusal(ended) == (1, "TLS-FAILED")
    assert b"tlsv1 alert protocol version" in ended.stderr

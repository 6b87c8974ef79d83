"""The kinds of TLS server that OpenSSL as we build it must understand: keys, suites, groups.

OpenSSL is built without much of what it can do (packaging/static/openssl.py); that nothing which a
server on the Web uses was left out is shown here, against the interpreter's own OpenSSL.
"""

import contextlib
import datetime as dt
import http.server
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from process.launch import Launcher, credentials, refusal

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

LIFETIME = dt.timedelta(days=1)
ANSWER = json.dumps({"access_token": "ya29.x", "token_type": "Bearer", "expires_in": 3599}).encode()


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
    "TLS 1.2, Ed25519": Server("Ed25519", "P-256", TLS12, "ECDHE-ECDSA-AES256-GCM-SHA384"),
}


def make_key(kind: str) -> Key:
    """A new key."""
    if kind.startswith("RSA-"):
        return rsa.generate_private_key(65537, int(kind[4:]))
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def sign(name: str, key: Key, issuer: str, by: Key, *, authority: bool) -> x509.Certificate:
    """A certificate of `name`, for 127.0.0.1 where it is no authority."""
    now = dt.datetime.now(dt.UTC)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFETIME)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    digest = None if isinstance(by, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(by, digest)


def pem(*certificates: x509.Certificate) -> bytes:
    """As a file has them."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


@contextlib.contextmanager
def serving(kind: Server, folder: Path) -> Iterator[str]:
    """Serve over TLS as `kind`; gives the base URL. The authority is in `folder`/ca.pem."""
    authority, key = make_key(kind.authority), make_key(kind.key)
    root = sign("root", authority, "root", authority, authority=True)
    leaf = sign("leaf", key, "root", authority, authority=False)
    (folder / "ca.pem").write_bytes(pem(root))
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "leaf.pem").write_bytes(private + pem(leaf))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "leaf.pem")
    context.maximum_version = kind.newest
    if kind.suites:
        context.set_ciphers(kind.suites)
    if kind.group:
        context.set_ecdh_curve(kind.group)
    with Listener(context) as listener:
        yield listener.url


class Listener:
    """A TLS server that answers every request with a token."""

    def __init__(self, context: ssl.SSLContext) -> None:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(ANSWER)))
                self.end_headers()
                self.wfile.write(ANSWER)

            def log_message(self, *_: object) -> None:
                """Nothing on stderr."""

        class Quiet(http.server.HTTPServer):
            def handle_error(self, *_: object) -> None:
                """A client that does not trust us is no news."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self.url = f"https://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


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
    """By ourselves: the server would do it."""
    kind = Server("RSA-2048", "RSA-2048", ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0")
    with serving(kind, tmp_path) as url:
        environment |= {"GCP_STS_ENDPOINT": url, "SSL_CERT_FILE": str(tmp_path / "ca.pem")}
        ended = static_plugin.run(environment, asked)
    assert refusal(ended) == (1, "TLS-FAILED")

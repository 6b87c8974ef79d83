"""Certificates of every kind, and a TLS server that answers with a token.

Imports `cryptography` and the standard library.
"""

import datetime as dt
import http.server
import ipaddress
import json
import socket
import ssl
import threading
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

STS = "sts.googleapis.com"
LIFETIME = dt.timedelta(days=1)
ANSWER = json.dumps({"access_token": "ya29.x", "token_type": "Bearer", "expires_in": 3599}).encode()


def make_key(kind: str) -> Key:
    """A new key."""
    if kind.startswith("RSA-"):
        return rsa.generate_private_key(65537, int(kind[4:]))
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1(), "P-521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


def sign(name: str, key: Key, issuer: str, by: Key, *, authority: bool) -> x509.Certificate:
    """A certificate of `name`; a server's is for 127.0.0.1 and Google's own name."""
    now = dt.datetime.now(dt.UTC)

    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    hosts = x509.SubjectAlternativeName([address, x509.DNSName(STS)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - LIFETIME)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(hosts, critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    digest = None if isinstance(by, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(by, digest)


def pem(*certificates: x509.Certificate) -> bytes:
    """As a file has them."""
    return b"".join(c.public_bytes(serialization.Encoding.PEM) for c in certificates)


def server_context(folder: Path, key: Key, *chain: x509.Certificate) -> ssl.SSLContext:
    """What a server needs to present `chain`, its own certificate first."""
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    (folder / "server.pem").write_bytes(private + pem(*chain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return context


class Listener:
    """A TLS server that answers every request with a token."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.refused = 0
        """Connections that a client ended in the handshake."""
        listener = self

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
            def get_request(self) -> tuple[socket.socket, object]:
                try:
                    return super().get_request()
                except OSError:
                    listener.refused += 1
                    raise

            def handle_error(self, *_: object) -> None:
                """A client that does not trust us is no news."""

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self.port = self._server.server_port
        self.url = f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Serve."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

"""The emulator's certificates: a CA of its own, a good leaf, and three wrong ones.

Imports trustme, cryptography and joserfc. A private key never touches a disk: the ssl module
wants a file, so it gets an anonymous one in memory (memfd_create(2)).
"""

import base64
import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime

import trustme
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from joserfc.jwk import RSAKey

NAMES = (
    "localhost",
    "127.0.0.1",
    "::1",
    "sts.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "artifactregistry.googleapis.com",
    "*.googleapis.com",
    "us-docker.pkg.dev",
    "*.pkg.dev",
    "gcr.io",
    "*.gcr.io",
)
"""What the good certificate is valid for: loopback, and Google's names for use through a proxy."""


@dataclass(frozen=True)
class Signer:
    """A signing key and its certificate (DER in base64, as in a JOSE `x5c`)."""

    key: RSAKey
    certificate: str


class Authority:
    """A CA and the server contexts it makes."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="gcp-sa-credential-provider emulator")
        self.ca_pem: bytes = self._ca.cert_pem.bytes()
        """The CA's certificate, which clients are to trust."""

    def contexts(self) -> dict[str, ssl.SSLContext]:
        """Server contexts: `valid`, and the wrong ones of `faults.CERTIFICATES`."""
        return {
            "valid": _context(self._ca.issue_cert(*NAMES)),
            "untrusted": _context(trustme.CA().issue_cert(*NAMES)),
            "expired": _context(
                self._ca.issue_cert(*NAMES, not_after=datetime(2001, 1, 1, tzinfo=UTC))
            ),
            "wrong_host": _context(self._ca.issue_cert("wrong-host.example")),
        }

    def signer(self) -> Signer:
        """A key for signing tokens, certified by the CA; it stays in memory."""
        leaf = self._ca.issue_cert("token.localhost", key_type=trustme.KeyType.RSA)
        chain = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
        der = chain.public_bytes(serialization.Encoding.DER)
        key = RSAKey.import_key(leaf.private_key_pem.bytes())
        return Signer(key, base64.b64encode(der).decode())


def _context(leaf: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2", "http/1.1"])
    descriptor = os.memfd_create("leaf", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, leaf.private_key_and_cert_chain_pem.bytes())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context

"""The emulator's certificates: a CA of its own, a good leaf, and three wrong ones.

Imports trustme. A private key never touches a disk: the ssl module wants a file, so it gets an
anonymous one in memory (memfd_create(2)).
"""

import os
import ssl
from datetime import UTC, datetime

import trustme

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

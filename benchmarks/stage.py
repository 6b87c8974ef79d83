"""The scene of the benchmark: Google on loopback, under its own name and by its own authority.

Imports the emulator and the demo's issuer. The measured programs run in a mount namespace of their
own, in which /etc/hosts leads sts.googleapis.com to loopback, and a journal is listening as on a
node with systemd. The server's certificate comes from an authority that calls itself as Google's
does, so that the plugin treats the trust store as it would in the field.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import trustme

from gcp_sa_credential_provider.demo import scene
from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator import serve, tls
from gcp_sa_credential_provider.emulator.inprocess import Emulator

HOST = "sts.googleapis.com"
BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
JOURNAL = Path("/run/systemd/journal/socket")
_BEGIN = b"-----BEGIN CERTIFICATE-----"

# What stands in the shell's way: a fresh /run hides what would be under the journal's name.
_ENTER = """
mount --bind "$1" /etc/hosts
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal
shift
exec "$@"
"""


class BenchError(Exception):
    """The benchmark cannot run, or what it measures does not work; `str()` says why."""


@dataclass(frozen=True)
class Stage:
    """What every program of the benchmark is given."""

    google: Emulator
    request: Path
    """stdin: the CredentialProviderRequest of one pull."""
    one_certificate: Path
    bundle: Path
    certificates: int
    """How many the bundle holds."""
    no_directory: Path
    """An empty SSL_CERT_DIR: without it Go reads all of /etc/ssl/certs too."""
    records: list[int]
    """The size of each record that the journal got."""

    def environment(self, trust: Path) -> dict[str, str]:
        """The whole environment of a measured program."""
        port = self.google.endpoints["sts"].rpartition(":")[2]
        return {
            "PATH": "/usr/bin:/bin",
            "GCP_AUDIENCE": scene.AUDIENCE,
            "GCP_STS_ENDPOINT": f"https://{HOST}:{port}",
            "SSL_CERT_FILE": str(trust),
            "SSL_CERT_DIR": str(self.no_directory),
        }


def enter(directory: Path, arguments: list[str]) -> int:
    """Run this program again inside the namespace. Returns its exit code. Raises BenchError."""
    hosts = directory / "hosts"
    hosts.write_text(f"127.0.0.1 localhost\n127.0.0.1 {HOST}\n")
    unshare = shutil.which("unshare")
    if unshare is None:
        raise BenchError("unshare is not there. Fix: install util-linux")
    own_user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    shell = ["sh", "-e", "-c", _ENTER, "sh", str(hosts)]
    command = [unshare, "--mount", *own_user, *shell, sys.executable, *arguments]
    return subprocess.run(command, check=False).returncode


class _Authority(tls.Authority):
    """The emulator's authority under the name of Google's."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="Google Trust Services")
        self.ca_pem = self._ca.cert_pem.bytes()


@contextlib.contextmanager
def _journal() -> Iterator[list[int]]:
    """A journal that takes every record and keeps its size."""
    records: list[int] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(JOURNAL))

        def drain() -> None:
            while size := len(listener.recv(65536)):
                records.append(size)

        thread = threading.Thread(target=drain, name="journal")
        thread.start()
        try:
            yield records
        finally:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
                last.sendto(b"", str(JOURNAL))
            thread.join()


@contextlib.contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """Everything while the block runs; files go into `directory`. Raises BenchError."""
    if not BUNDLE.is_file():
        raise BenchError(f"{BUNDLE} is not there. Fix: install ca-certificates")
    issuer = Issuer()
    token = issuer.token(scene.AUDIENCE, service_account=scene.SERVICE_ACCOUNT)
    request = directory / "request.json"
    request.write_text(
        '{"kind":"CredentialProviderRequest",'
        '"apiVersion":"credentialprovider.kubelet.k8s.io/v1",'
        f'"image":"{scene.IMAGE}","serviceAccountToken":"{token}"}}'
    )
    request.chmod(0o600)
    empty = directory / "certs"
    empty.mkdir()
    with (
        patch.object(serve, "Authority", _Authority),
        Emulator(directory / "google", scene.google(ISSUER, issuer.jwks)) as google,
        _journal() as records,
    ):
        authority = google.ca_pem.read_bytes()
        bundle = directory / "bundle.pem"
        bundle.write_bytes(BUNDLE.read_bytes() + authority)
        yield Stage(
            google=google,
            request=request,
            one_certificate=google.ca_pem,
            bundle=bundle,
            certificates=bundle.read_bytes().count(_BEGIN),
            no_directory=empty,
            records=records,
        )

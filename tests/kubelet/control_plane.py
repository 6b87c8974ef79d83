"""A real etcd and kube-apiserver on loopback, for as long as a test wants them.

    PYTHONPATH=tests python -m kubelet.control_plane ETCD KUBE_APISERVER ISSUER NODES [FLAG...]

It runs until stdin ends; NODES are names with commas between them, FLAGs the API server's.

The servers belong to a process of their own, which waits on its stdin, stops them and removes
their folder: it does so too when the tests crash or are killed. `ControlPlane` is the tests' side.
"""

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from loopback import free_port

START_SECONDS = 120
CALL_SECONDS = 30
_HOST = "127.0.0.1"


class ApiError(Exception):
    """An answer of the API server other than 2xx; the message is its own."""


@dataclass(frozen=True, kw_only=True)
class ControlPlane:
    """A running API server, as its administrator."""

    url: str
    folder: Path
    """Of the servers; holds ca.pem and one kubeconfig for each node."""

    def node_kubeconfig(self, node: str) -> Path:
        """The kubelet's identity on this node: user system:node:NODE, group system:nodes."""
        return self.folder / f"{node}.kubeconfig"

    @contextlib.contextmanager
    def call(
        self,
        path: str,
        *,
        method: str = "GET",
        body: bytes | None = None,
        kind: str = "json",
        silence: float = CALL_SECONDS,
    ) -> Iterator[http.client.HTTPResponse]:
        """One API call, its answer unread; the body is application/KIND.

        Raises ApiError, and TimeoutError after `silence` seconds without a byte.
        """
        context = ssl.create_default_context(cafile=self.folder / "ca.pem")
        context.load_cert_chain(self.folder / "admin.pem")
        asked = urllib.request.Request(
            self.url + path,
            data=body,
            headers={"Content-Type": f"application/{kind}"},
            method=method,
        )
        try:
            with urllib.request.urlopen(asked, context=context, timeout=silence) as answer:
                yield answer
        except urllib.error.HTTPError as refused:
            with refused:
                raise ApiError(refused.read().decode()) from None

    def read(self, path: str, *, method: str = "GET", body: bytes | None = None) -> bytes:
        """One API call; returns the body. Raises ApiError with the server's message."""
        with self.call(path, method=method, body=body) as answer:
            return answer.read()

    def create(self, path: str, **fields: Any) -> dict[str, Any]:
        """POST one object; returns it as stored."""
        stored: dict[str, Any] = json.loads(
            self.read(path, method="POST", body=json.dumps(fields).encode())
        )
        return stored

    def delete(self, path: str) -> None:
        """DELETE one object."""
        self.read(path, method="DELETE")


@contextlib.contextmanager
def control_plane(
    etcd: Path, kube_apiserver: Path, *, issuer: str, nodes: list[str], flags: Iterable[str] = ()
) -> Iterator[ControlPlane]:
    """Start both servers and stop them at the end. Raises RuntimeError with their logs.

    `issuer` is the `iss` of all ServiceAccount tokens; `nodes` are given kubeconfigs; `flags` are
    added to the API server's.
    """
    command = [sys.executable, "-m", "kubelet.control_plane", str(etcd), str(kube_apiserver)]
    command += [issuer, ",".join(nodes), *flags]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as serving:
        assert serving.stdout
        line = serving.stdout.readline()
        if not line:
            _, told = serving.communicate()
            raise RuntimeError(f"the control plane did not start: {told}")
        started = json.loads(line)
        try:
            yield ControlPlane(url=started["url"], folder=Path(started["folder"]))
        finally:
            serving.communicate(timeout=60)


# From here on: the serving process.

_Server = subprocess.Popen[bytes]


def write_identities(folder: Path, url: str, clients: Mapping[str, tuple[str, str]]) -> trustme.CA:
    """The CA, the server's and the clients' certificates, kubeconfigs, the signing key.

    `clients`: user and group by file name. Returns the CA, for further servers.
    """
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "ca.pem")
    ca.issue_cert(_HOST).private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    for name, (user, group) in clients.items():
        # With a host name of its own: without one trustme's subjectAltName is empty, which Go
        # refuses.
        certificate = ca.issue_cert(name, common_name=user, organization_name=group)
        certificate.private_key_and_cert_chain_pem.write_to_path(folder / f"{name}.pem")
        (folder / f"{name}.kubeconfig").write_text(json.dumps(_kubeconfig(folder, url, name)))
    write_signing_key(folder / "service-account.pem")
    return ca


def write_signing_key(path: Path) -> None:
    """A new key for ServiceAccount tokens."""
    signing = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    path.write_bytes(
        signing.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def client_identities(nodes: Iterable[str]) -> dict[str, tuple[str, str]]:
    """User and group of the administrator and of the nodes' kubelets."""
    clients = {"admin": ("admin", "system:masters")}
    return clients | {node: (f"system:node:{node}", "system:nodes") for node in nodes}


def _kubeconfig(folder: Path, url: str, name: str) -> dict[str, Any]:
    identity = str(folder / f"{name}.pem")
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "test",
                "cluster": {"server": url, "certificate-authority": str(folder / "ca.pem")},
            }
        ],
        "users": [{"name": name, "user": {"client-certificate": identity, "client-key": identity}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": name}}],
        "current-context": "test",
    }


def etcd_command(program: str, folder: Path, clients: int, peers: int) -> list[str]:
    """An etcd for one short life; `clients`, `peers`: its ports on loopback."""
    client_url, peer_url = f"http://{_HOST}:{clients}", f"http://{_HOST}:{peers}"
    return [
        program,
        "--name=test",
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={client_url}",
        f"--advertise-client-urls={client_url}",
        f"--listen-peer-urls={peer_url}",
        f"--initial-advertise-peer-urls={peer_url}",
        f"--initial-cluster=test={peer_url}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_command(program: str, folder: Path, port: int, etcd: int, issuer: str) -> list[str]:
    """The API server at `port` of loopback, with etcd at `etcd`."""
    server, signing = folder / "server.pem", folder / "service-account.pem"
    return [
        program,
        f"--etcd-servers=http://{_HOST}:{etcd}",
        f"--bind-address={_HOST}",
        f"--advertise-address={_HOST}",
        f"--secure-port={port}",
        # Endpoints on loopback are invalid, and nobody here asks for the service "kubernetes".
        "--endpoint-reconciler-type=none",
        f"--tls-cert-file={server}",
        f"--tls-private-key-file={server}",
        f"--client-ca-file={folder / 'ca.pem'}",
        f"--service-account-issuer={issuer}",
        f"--service-account-signing-key-file={signing}",
        f"--service-account-key-file={signing}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--service-cluster-ip-range=10.96.0.0/24",
    ]


@contextlib.contextmanager
def _running(command: list[str], log: Path) -> Iterator[_Server]:
    """A server that dies with this process, whatever ends it."""
    with log.open("wb") as out:
        server = subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        yield server
    finally:
        server.kill()
        server.wait()


def _wait_until_ready(plane: ControlPlane, etcd: _Server, apiserver: _Server) -> None:
    give_up = time.monotonic() + START_SECONDS
    while time.monotonic() < give_up and etcd.poll() is None:
        with contextlib.suppress(ApiError, OSError):
            # Covers the bootstrap roles, which the Node authorizer's users need.
            plane.read("/readyz")
            return
        with contextlib.suppress(subprocess.TimeoutExpired):
            apiserver.wait(0.1)
            break
    logs = [log.read_text()[-4000:] for log in plane.folder.glob("*.log")]
    raise RuntimeError("not ready:\n" + "\n".join(logs))


def main() -> int:
    """Serve until stdin ends."""
    # Ctrl-C goes to the tests; they end our stdin.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    etcd, kube_apiserver, issuer, nodes, *flags = sys.argv[1:]
    port = free_port(3)
    clients, peers = port + 1, port + 2
    url = f"https://{_HOST}:{port}"
    with tempfile.TemporaryDirectory(prefix="control-plane-") as name:
        folder = Path(name)
        write_identities(folder, url, client_identities(nodes.split(",")))
        with (
            _running(etcd_command(etcd, folder, clients, peers), folder / "etcd.log") as first,
            _running(
                [*apiserver_command(kube_apiserver, folder, port, clients, issuer), *flags],
                folder / "kube-apiserver.log",
            ) as second,
        ):
            _wait_until_ready(ControlPlane(url=url, folder=folder), first, second)
            print(json.dumps({"url": url, "folder": name}), flush=True)
            os.read(sys.stdin.fileno(), 1)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""The paths of a Kubernetes API server that `setup` reads, over real TLS, of any size.

    with ApiServer(tmp_path, nodes=5000, accounts=50_000) as cluster:
        run("setup", "--kubeconfig", str(cluster.kubeconfig()))

Pages of lists are made as they are asked for, so that a large cluster costs this process nothing.
Rules: kubernetes.io, "Kubernetes API Concepts": limit and continue, 410 Gone, metadata-only lists;
kubernetes: pkg/routes/openidmetadata.go, content types.
"""

import http.server
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import trustme
import yaml

from loopback import served

TOKEN = "kubeconfig-token-that-must-not-be-shown"  # no secret: it opens nothing
Answer = tuple[int, bytes]
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"


def status(code: int, message: str) -> Answer:
    """What an API server says where it refuses."""
    body = {"kind": "Status", "apiVersion": "v1", "message": message, "code": code}
    return code, json.dumps(body).encode()


def node(index: int) -> dict[str, Any]:
    """A k3s node with as many images in its status as a kubelet reports, 50."""
    architecture = "arm64" if index % 10 == 0 else "amd64"
    return {
        "metadata": {"name": f"node-{index}", "labels": {"kubernetes.io/os": "linux"}},
        "spec": {"providerID": f"k3s://node-{index}"},
        "status": {
            "nodeInfo": {
                "kubeletVersion": "v1.34.1+k3s1",
                "osImage": "Debian GNU/Linux 12 (bookworm)",
                "operatingSystem": "linux",
                "architecture": architecture,
                "containerRuntimeVersion": "containerd://2.1.4-k3s1",
            },
            "images": [
                {"names": [f"registry.example/{index}/image-{n}@sha256:{n:064x}"], "sizeBytes": n}
                for n in range(50)
            ],
        },
    }


def account(index: int) -> dict[str, Any]:
    """Ten ServiceAccounts to a namespace; a metadata-only object."""
    metadata = {"namespace": f"team-{index // 10}", "name": f"robot-{index}", "uid": str(index)}
    return {"metadata": metadata}


@dataclass
class ApiServer:
    """One cluster. What is set before or while it runs, is answered."""

    folder: Path
    jwks: dict[str, Any]
    issuer: str = "https://kubernetes.default.svc.cluster.local"
    version: str = "v1.34.1+k3s1"
    nodes: int = 3
    accounts: int = 5
    node: Callable[[int], dict[str, Any]] = node
    account: Callable[[int], dict[str, Any]] = account
    instead: dict[str, Answer] = field(default_factory=dict)
    """Answers by path, in place of the true ones."""
    expire_once: set[str] = field(default_factory=set)
    """Lists whose next continue token is gone."""
    silent: set[str] = field(default_factory=set)
    """Paths that are never answered."""
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    """Path with query, Accept and Authorization of every request."""
    clients: set[str] = field(default_factory=set)
    """Common names of the client certificates that were shown."""
    sent: int = 0
    """Bytes of all lists, roughly."""

    def __enter__(self) -> Self:
        self._ca = trustme.CA()
        self._released = threading.Event()
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._stack = ExitStack()
        certificate = self._ca.issue_cert("127.0.0.1")
        self._stack.enter_context(served(self._server, certificate, self._ca))
        self._stack.callback(self._released.set)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"https://127.0.0.1:{self._server.server_address[1]}"

    def kubeconfig(
        self, *, ca: trustme.CA | None = None, name: str = "kubeconfig", **changed: Any
    ) -> Path:
        """A kubeconfig with a token; `changed` are the user's fields in its place."""
        file = self.folder / f"{name}.ca.pem"
        (ca or self._ca).cert_pem.write_to_path(file)
        cluster = {"server": self.url, "certificate-authority": str(file)}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "me", "user": changed or {"token": TOKEN}}],
            "contexts": [{"name": "admin@east", "context": {"cluster": "test", "user": "me"}}],
            "current-context": "admin@east",
        }
        path = self.folder / name
        path.write_text(yaml.safe_dump(content))
        return path

    def client(self, name: str) -> trustme.LeafCert:
        """A client certificate that the server accepts."""
        return self._ca.issue_cert(name, common_name=name)

    def answer(self, path: str, query: dict[str, str], accept: str) -> Answer:
        """Status and body of one request."""
        if path in self.silent:
            self._released.wait()
        if path in self.instead:
            return self.instead[path]
        if path == "/openid/v1/jwks" and "*/*" not in accept:
            return 406, b"406: Not Acceptable\nAvailable representations: ..."
        documents = {
            "/.well-known/openid-configuration": {
                "issuer": self.issuer,
                "jwks_uri": f"{self.url}/openid/v1/jwks",
            },
            "/openid/v1/jwks": self.jwks,
            "/version": {"major": "1", "minor": "34", "gitVersion": self.version},
        }
        if path in documents:
            return 200, json.dumps(documents[path]).encode()
        if path == "/api/v1/nodes":
            return self._list(path, query, self.nodes, self.node)
        if path == "/api/v1/serviceaccounts":
            assert accept == METADATA_ONLY, "whole ServiceAccounts are not needed"
            return self._list(path, query, self.accounts, self.account)
        return status(404, f"the server could not find {path}")

    def _list(
        self, path: str, query: dict[str, str], count: int, make: Callable[[int], dict[str, Any]]
    ) -> Answer:
        if "continue" in query and path in self.expire_once:
            self.expire_once.remove(path)
            return status(410, "The provided continue parameter is too old")
        start = int(query.get("continue", "0"))
        end = min(start + int(query["limit"]), count)
        metadata: dict[str, Any] = {"resourceVersion": "7"}
        if end < count:
            metadata |= {"continue": str(end), "remainingItemCount": count - end}
        page = {"kind": "List", "metadata": metadata, "items": list(map(make, range(start, end)))}
        body = json.dumps(page).encode()
        self.sent += len(body)
        return 200, body


def _handler(cluster: ApiServer) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {key: values[0] for key, values in parse_qs(parts.query).items()}
            accept = self.headers.get("Accept", "")
            cluster.asked.append((self.path, accept, self.headers.get("Authorization", "")))
            shown = self.connection.getpeercert() or {}
            cluster.clients.update(
                value
                for part in shown.get("subject", ())
                for key, value in part
                if key == "commonName"
            )
            code, body = cluster.answer(parts.path, query, accept)
            try:
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
                self.wfile.write(chunk + b"0\r\n\r\n")
            except OSError:  # whoever asked has gone
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler

"""An API server of a few objects over real TLS: versions, conflicts, merge patches.

    with KubeObjects(tmp_path) as server:
        server.put("/api/v1/nodes/node-1", {"spec": {}})
        server.api.call("GET", "/api/v1/nodes/node-1")

Rules: kubernetes.io, "Kubernetes API Concepts": an update with another resourceVersion than the
stored one is a conflict (409); RFC 7386; a refusal's body is a Status.
"""

import http.server
import json
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import trustme

from gcp_sa_credential_provider.node.api import Api
from loopback import served

if TYPE_CHECKING:
    from collections.abc import Callable

TOKEN = "pod-token-that-must-not-be-shown"  # no secret: it opens nothing
Object = dict[str, Any]


class KubeObjects:
    """The server. `before` is called with method and path of every request, before it is served."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._objects: dict[str, Object] = {}
        self._version = 0
        self.before: Callable[[str, str], None] = lambda _method, _path: None
        self.down = False
        """Connections end without an answer."""
        self.instead: tuple[int, bytes] | None = None
        """The answer to everything."""
        self.raw = b""
        """The answer to everything, with its status line."""
        self.tokens: list[str] = []
        """The Authorization of every request."""

    def put(self, path: str, content: Object) -> Object:
        """Store an object; every store is a new version."""
        self._version += 1
        metadata = {"name": path.rpartition("/")[2], **content.get("metadata", {})}
        metadata["resourceVersion"] = str(self._version)
        self._objects[path] = {**content, "metadata": metadata}
        return self._objects[path]

    def get(self, path: str) -> Object:
        """An object as stored."""
        return self._objects[path]

    def delete(self, path: str) -> None:
        """Remove an object."""
        del self._objects[path]

    @property
    def api(self) -> Api:
        """The server as a pod knows it."""
        return Api(host="127.0.0.1", port=self._server.server_address[1], folder=self._folder)

    def __enter__(self) -> Self:
        ca = trustme.CA()
        ca.cert_pem.write_to_path(self._folder / "ca.crt")
        (self._folder / "token").write_text(TOKEN)
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._stack.enter_context(served(self._server, ca.issue_cert("127.0.0.1")))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def answer(self, method: str, path: str, kind: str, body: Object | None) -> tuple[int, bytes]:
        """Status and body."""
        self.before(method, path)
        if self.instead:
            return self.instead
        there = self._objects.get(path)
        if there is None:
            return _status(404, f"{path} not found")
        if body is None:
            return 200, json.dumps(there).encode()
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted not in (None, there["metadata"]["resourceVersion"]):
            return _status(409, "the object has been modified")
        if method == "PATCH":
            # A strategic merge differs in lists, which the tests then compare by themselves.
            assert kind.endswith("merge-patch+json")
            body = _merged(there, body)
        return 200, json.dumps(self.put(path, body)).encode()


def daemon_set(wanted: int, ready: int, *, updated: int | None = None, seen: int = 7) -> Object:
    """A DaemonSet as its controller describes it; `seen`: the generation, of 7, that it knows."""
    return {
        "metadata": {"generation": 7},
        "status": {
            "observedGeneration": seen,
            "desiredNumberScheduled": wanted,
            "updatedNumberScheduled": wanted if updated is None else updated,
            "numberAvailable": ready,
        },
    }


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that leave are what tests are about."""


def _status(code: int, message: str) -> tuple[int, bytes]:
    return code, json.dumps({"kind": "Status", "message": message, "code": code}).encode()


def _merged(there: Any, patch: Any) -> Any:
    """RFC 7386, section 2."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(there) if isinstance(there, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value)
    return merged


def _handler(server: KubeObjects) -> type[http.server.BaseHTTPRequestHandler]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length", "0"))
            body = json.loads(self.rfile.read(length)) if length else None
            server.tokens.append(self.headers.get("Authorization", ""))
            if server.down:
                self.close_connection = True
                return
            if server.raw:
                self.wfile.write(server.raw)
                return
            kind = self.headers.get("Content-Type", "")
            code, said = server.answer(self.command, self.path, kind, body)
            self.send_response(code)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        do_GET = do_PUT = do_PATCH = _serve  # noqa: N815 -- the base class calls these

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    return Handler

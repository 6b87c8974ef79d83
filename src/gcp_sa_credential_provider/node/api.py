"""The API server as a pod sees it: one call, one JSON document back.

Imports `failure`, the standard library, and how the plugin connects: the static file has neither
`ssl` nor `http.client`. Rules: kubernetes.io, "Accessing the Kubernetes API from a Pod" (the two
variables; the folder with token, authority and namespace; the kubelet renews the token's file, so
it is read for each call) and "API concepts" (a refusal's body is a Status); RFC 9112.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.plugin import tls
from gcp_sa_credential_provider.plugin.connect import Address, Stream, open_socket
from gcp_sa_credential_provider.plugin.deadline import Deadline, Progress
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.version import VERSION

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""Where a pod has what its ServiceAccount is known by."""
MERGE = "application/merge-patch+json"
STRATEGIC_MERGE = "application/strategic-merge-patch+json"

_JSON = "application/json"
_WHO = f"gcp-sa-credential-provider/{VERSION}"
_SECONDS = 10
_MOST = 8 << 20  # bytes of one answer

Object = dict[str, Any]


class Unanswered(Exception):  # noqa: N818 -- said of the call
    """No answer came, or none that is JSON; it may be there again in a moment."""


class Denied(Exception):  # noqa: N818 -- said of the call
    """The API server's answer is no; `status` is HTTP's."""

    def __init__(self, status: int, call: str, why: str) -> None:
        super().__init__(f"{call}: {status}: {why}")
        self.status = status


@dataclass(frozen=True, kw_only=True)
class Api:
    """An API server, and who we are to it."""

    host: str
    """Name or address."""
    port: int
    folder: Path = ACCOUNT
    """Of `token` and `ca.crt`."""

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, kind: str = _JSON
    ) -> Object:
        """The object in the answer. Raises Unanswered, Denied."""
        call = f"{method} {path}"
        try:
            status, said = self._asked(call, body, kind)
        except (OSError, ValueError, Failure) as error:
            why = str(error)
            if isinstance(error, Failure):
                why = f"{error.code} {error.evidence.get('error', '')}".strip()
            where = Address(host=self.host, port=self.port)
            raise Unanswered(f"{call}: no answer from https://{where} ({why})") from None
        try:
            found = json.loads(said)
        except ValueError:
            found = None
        if not 200 <= status < 300:
            reason = found.get("message") if isinstance(found, dict) else None
            raise Denied(status, call, str(reason or "no reason given"))
        if not isinstance(found, dict):
            raise Unanswered(f"{call}: the answer is no JSON object ({len(said)} bytes)")
        return found

    def _asked(self, call: str, body: Mapping[str, Any] | None, kind: str) -> tuple[int, bytes]:
        """Status and body of the answer."""
        address = Address(host=self.host, port=self.port)
        content = b"" if body is None else json.dumps(body).encode()
        lines = [
            f"{call} HTTP/1.1",
            f"Host: {address}",
            f"Authorization: Bearer {self._token()}",
            f"Accept: {_JSON}",
            f"User-Agent: {_WHO}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(content)}",
            "Connection: close",
        ]
        message = "\r\n".join([*lines, "", ""]).encode("ascii") + content
        store = tls.TrustStore(str(self.folder / "ca.crt"), "")
        context = store.context("", whole=True)
        until = Deadline(_SECONDS)
        with contextlib.closing(open_socket(address, Progress(until))) as sock:
            stream = tls.secure(sock, address, context, until, store.source)
            stream.send(message)
            return _answer(_to_the_end(stream))

    def _token(self) -> str:
        token = (self.folder / "token").read_text("ascii", "replace").strip()
        if not token.isprintable() or not token.isascii() or " " in token:
            raise OSError("the token's file holds no token")
        return token


def _to_the_end(stream: Stream) -> bytes:
    """All that comes until the server closes, as it was asked to."""
    found = bytearray()
    while len(found) <= _MOST and (more := stream.receive()):
        found += more
    return bytes(found)


def _answer(found: bytes) -> tuple[int, bytes]:
    """Status and body of an answer. Raises ValueError if it is none, or not all of one."""
    head, mark, body = found.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = first.partition(" ")
    if not (mark and version in ("HTTP/1.1", "HTTP/1.0") and rest[:3].isdecimal()):
        raise ValueError(f"{len(found)} bytes that are no HTTP")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    if headers.get("transfer-encoding") == "chunked":
        body = _chunks(body)
    elif len(body) < int(headers.get("content-length") or 0):
        raise ValueError(f"it ends after {len(body)} bytes")
    return int(rest[:3]), body


def _chunks(body: bytes) -> bytes:
    """RFC 9112, 7.1. Raises ValueError where it ends too early."""
    found = b""
    while True:
        size, _, body = body.partition(b"\r\n")
        length = int(size.partition(b";")[0], 16)
        if length <= 0:
            return found
        if len(body) < length:
            raise ValueError("it ends within a chunk")
        found += body[:length]
        body = body[length + 2 :]


def in_cluster(environment: Mapping[str, str], folder: Path = ACCOUNT) -> Api:
    """The API server of the pod that this runs in. Raises Refused."""
    host, port = (environment.get(f"KUBERNETES_SERVICE_{part}", "") for part in ("HOST", "PORT"))
    if not host or not port.isdecimal():
        raise Refused(
            "KUBERNETES_SERVICE_HOST, KUBERNETES_SERVICE_PORT: not set to an address and a port"
            f" ({host!r}, {port!r}). Fix: this command is for a pod; on a node itself use"
            " `node install`"
        )
    for name in ("token", "ca.crt"):
        if not (folder / name).is_file():
            raise Refused(
                f"{folder / name}: not there. Fix: give the pod its ServiceAccount's token"
                " (automountServiceAccountToken: true)"
            )
    return Api(host=host, port=int(port), folder=folder)

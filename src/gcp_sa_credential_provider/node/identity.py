"""What the kubelet itself may ask, asked with its own identity: one GET, read and forgotten.

Imports `api` (its exceptions), `document`, `files`, and how the plugin connects. Rules: client-go
tools/clientcmd/api/v1 (kubeconfig); kubernetes plugin/pkg/auth/authorizer/node (a node may read its
own Lease); RFC 9112. HTTP/1.0 is spoken, so that no answer comes in chunks. The key is handed to
OpenSSL through memory that has no name on any disk; it is neither written nor said anywhere. A
program that the kubeconfig would run for a token is not run.
"""

import _ssl
import base64
import binascii
import contextlib
import json
import os
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.node import document
from gcp_sa_credential_provider.node.api import Unanswered
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.plugin import tls
from gcp_sa_credential_provider.plugin.connect import Address, Stream, open_socket
from gcp_sa_credential_provider.plugin.deadline import Deadline, Progress
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.version import VERSION

_SECONDS = 10
_MOST = 16 << 20  # bytes; a busy kubelet's metrics are large
_URL = re.compile(r"https://(\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+)(?::(\d{1,5}))?(/[!-~]*)?")
# UTF8String or PrintableString of a common name (X.690, X.520).
_NODE = re.compile(rb"[\x0c\x13](.)system:node:([a-z0-9.-]+)", re.DOTALL)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)


class Unusable(Exception):  # noqa: N818 -- said of the kubeconfig
    """It names no identity that can be used from here; `str()` says why."""


@dataclass(frozen=True)
class Answer:
    """Of a server."""

    status: int
    body: bytes


@dataclass(frozen=True, kw_only=True)
class Server:
    """One, and who we are to it."""

    address: Address
    prefix: str = ""
    """Of every path."""
    name: str = ""
    """The name that its certificate is for; "" for the address'."""
    context: tls.Context | None = None
    """None: no TLS."""
    token: str = ""
    node: str | None = None
    """The node's name, by its certificate."""

    def get(self, path: str, seconds: float = _SECONDS) -> Answer:
        """Ask. Raises Unanswered."""
        try:
            with self._connected(Deadline(seconds)) as stream:
                stream.send(self._request(path))
                return _answer(_all(stream))
        except Failure as failure:
            why = f"{failure.code} {failure.evidence.get('error', '')}".strip()
            raise Unanswered(f"{self.address}: {why}") from None
        except (OSError, ValueError) as error:
            raise Unanswered(f"{self.address}: {error}") from None

    def _request(self, path: str) -> bytes:
        lines = [
            f"GET {self.prefix}{path} HTTP/1.0",
            f"Host: {self.address}",
            "Accept: application/json, text/plain",
            f"User-Agent: gcp-sa-credential-provider/{VERSION}",
        ]
        if self.token:
            lines.append(f"Authorization: Bearer {self.token}")
        return "\r\n".join([*lines, "", ""]).encode("ascii")

    @contextlib.contextmanager
    def _connected(self, until: Deadline) -> Iterator[Stream]:
        with contextlib.closing(open_socket(self.address, Progress(until))) as sock:
            if self.context is None:
                yield Stream(sock, until)
                return
            wanted = Address(host=self.name or self.address.host, port=self.address.port)
            yield tls.secure(sock, wanted, self.context, until, "the kubelet's own")


def _all(stream: Stream) -> bytes:
    found = bytearray()
    while len(found) <= _MOST and (more := stream.receive()):
        found += more
    return bytes(found)


def _answer(found: bytes) -> Answer:
    head, mark, body = found.partition(b"\r\n\r\n")
    words = head.split(None, 2)
    if not (mark and head.startswith(b"HTTP/1.") and len(words) > 1 and words[1].isdigit()):
        raise ValueError(f"{len(found)} bytes that are no HTTP")
    return Answer(int(words[1]), body)


def json_of(answer: Answer) -> dict[str, Any]:
    """The object in an answer; empty where there is none."""
    try:
        found = json.loads(answer.body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def of_kubeconfig(root: Root, path: str) -> Server:
    """The API server, as the kubelet knows it. Raises Unusable."""
    told = _kubeconfig(root, path)
    folder = posixpath.dirname(path)
    context = _named(told, "contexts", told.get("current-context"), "context")
    cluster = _named(told, "clusters", context.get("cluster"), "cluster")
    user = _named(told, "users", context.get("user"), "user")
    url = _URL.fullmatch(str(cluster.get("server") or ""))
    if url is None or cluster.get("proxy-url") or cluster.get("insecure-skip-tls-verify"):
        raise Unusable(f"{path}: its server is not one that is reached directly, by https")
    files = _Files(root, folder)
    made = trusting(files.content(cluster, "certificate-authority"))
    certificate = files.content(user, "client-certificate")
    token = _token(files, user)
    if certificate:
        _present(made, certificate, files.content(user, "client-key") or certificate)
    elif not token:
        raise Unusable(f"{path}: it has neither a certificate nor a token of its own")
    return Server(
        address=Address(host=url[1].strip("[]"), port=int(url[2] or 443)),
        prefix=(url[3] or "").rstrip("/"),
        name=str(cluster.get("tls-server-name") or ""),
        context=made,
        token="" if certificate else token,
        node=_node(certificate or b""),
    )


def trusting(authorities: bytes | None) -> tls.Context:
    """A TLS client that trusts these certificates alone (PEM). Raises Unusable."""
    made = tls.Context(_ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = True
    made.verify_mode = _ssl.CERT_REQUIRED
    made.minimum_version = _ssl.PROTO_TLSv1_2
    made.verify_flags |= _ssl.VERIFY_X509_PARTIAL_CHAIN
    found = b"".join(_der(authorities or b""))
    if not found:
        raise Unusable("no authority is named that the server could be known by")
    try:
        made.load_verify_locations(None, None, found)
    except OSError as error:  # _ssl.SSLError is one
        reason = getattr(error, "reason", None) or error.strerror
        raise Unusable(f"the authorities cannot be read: {reason}") from None
    return made


def _present(made: tls.Context, certificate: bytes, key: bytes) -> None:
    """Have it present a certificate. Raises Unusable."""
    descriptor = os.memfd_create("client", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(certificate.rstrip() + b"\n" + key)
        made.load_cert_chain(f"/proc/self/fd/{descriptor}", None)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise Unusable(f"certificate and key cannot be used: {reason}") from None
    finally:
        os.close(descriptor)


def _der(pem: bytes) -> list[bytes]:
    found = []
    for block in _PEM.findall(pem):
        with contextlib.suppress(binascii.Error):
            found.append(base64.b64decode(block))
    return found


def _node(certificate: bytes) -> str | None:
    for der in _der(certificate):
        for size, name in _NODE.findall(der):
            wanted = size[0] - len(b"system:node:")
            if 0 < wanted <= len(name):
                return str(name[:wanted].decode())
    return None


@dataclass(frozen=True)
class _Files:
    """What a kubeconfig names, relative to its own folder."""

    root: Root
    folder: str

    def content(self, told: dict[str, Any], name: str) -> bytes | None:
        """What stands there, or in the file that it names; None: neither. Raises Unusable."""
        if inline := told.get(f"{name}-data"):
            try:
                return base64.b64decode(str(inline), validate=True)
            except binascii.Error:
                raise Unusable(f"{name}-data is not base64") from None
        return self.file(told.get(name))

    def file(self, path: object) -> bytes | None:
        """Of a path. Raises Unusable."""
        if not path:
            return None
        there = posixpath.join(self.folder, str(path))
        try:
            content = self.root.read(there)
        except OSError as error:
            raise Unusable(f"{there}: {error.strerror}") from None
        if content is None:
            raise Unusable(f"{there}: not there")
        return content


def _token(files: _Files, user: dict[str, Any]) -> str:
    content = files.file(user.get("tokenFile"))
    token = content.decode("ascii", "replace") if content else str(user.get("token") or "")
    token = token.strip()
    return token if token.isascii() and token.isprintable() and " " not in token else ""


def _kubeconfig(root: Root, path: str) -> dict[str, Any]:
    try:
        content = root.read(path)
        value = document.value(document.read((content or b"").decode()))
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from None
    except (Unreadable, UnicodeDecodeError):
        raise Unusable(f"{path}: not YAML") from None
    if not isinstance(value, dict):
        raise Unusable(f"{path}: not there, or no kubeconfig")
    return value


def _named(told: dict[str, Any], kind: str, name: object, inner: str) -> dict[str, Any]:
    listed = told.get(kind)
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and one.get("name") == name:
            found = one.get(inner)
            return found if isinstance(found, dict) else {}
    return {}


def bearer(folder: Path) -> str:
    """The token of the pod that this runs in; "" where it runs in none."""
    try:
        token = (folder / "token").read_text("ascii", "replace").strip()
    except OSError:
        return ""
    return token if token.isascii() and token.isprintable() and " " not in token else ""

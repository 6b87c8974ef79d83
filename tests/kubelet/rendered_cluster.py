"""Rendered manifests in a real API server, and nodes that ask it for tokens.

Applied as the files say: on the server's side, by a field manager of their own.
"""

import http.client
import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import yaml

from gcp_sa_credential_provider.render.kubernetes import FIELD_MANAGER
from kubelet.control_plane import CALL_SECONDS, ApiError, ControlPlane

PATIENCE_SECONDS = 30
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_PATHS = {
    "Role": (_RBAC, "roles"),
    "RoleBinding": (_RBAC, "rolebindings"),
    "ClusterRole": (_RBAC, "clusterroles"),
    "ClusterRoleBinding": (_RBAC, "clusterrolebindings"),
    "ServiceAccount": ("/api/v1", "serviceaccounts"),
}


def path_of(one: dict[str, Any]) -> str:
    """An object's path in the API."""
    base, kind = _PATHS[one["kind"]]
    namespace = one["metadata"].get("namespace")
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{base}{scope}/{kind}/{one['metadata']['name']}"


@contextmanager
def applied(api: ControlPlane, manifests: str) -> Iterator[list[dict[str, Any]]]:
    """The objects as the API server stores them; roles and bindings are deleted at the end."""
    documents = list(yaml.safe_load_all(manifests))
    try:
        yield [_apply(api, one) for one in documents]
    finally:
        for one in reversed(documents):
            if one["kind"] != "ServiceAccount":
                with suppress(ApiError):
                    api.delete(path_of(one))


def _apply(api: ControlPlane, one: dict[str, Any]) -> dict[str, Any]:
    """What `kubectl apply --server-side` sends."""
    asked = f"{path_of(one)}?fieldManager={FIELD_MANAGER}"
    body = yaml.safe_dump(one).encode()
    with api.call(asked, method="PATCH", body=body, kind="apply-patch+yaml") as answer:
        stored: dict[str, Any] = json.load(answer)
    return stored


class NodeIdentity:
    """A node's kubelet as the API server knows it."""

    def __init__(self, api: ControlPlane, name: str) -> None:
        self._api = api
        self._trust = ssl.create_default_context(cafile=api.folder / "ca.pem")
        self._trust.load_cert_chain(api.folder / f"{name}.pem")

    def reads_service_account(self, namespace: str, name: str) -> bool:
        """Whether it may."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
        return self._ask(path, None) is None

    def refusal(self, namespace: str, account: str, pod: tuple[str, str], audience: str) -> str:
        """Why it gets no token for its pod (name, UID); empty if it gets one."""
        name, uid = pod
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {
                "audiences": [audience],
                "boundObjectRef": {"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid},
            },
        }
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
        return self._ask(path, body) or ""

    def _ask(self, path: str, body: dict[str, Any] | None) -> str | None:
        """The refusal's message, or None."""
        asked = urllib.request.Request(
            self._api.url + path,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(asked, context=self._trust, timeout=CALL_SECONDS) as answer:
                _read(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                message: str = json.load(refused)["message"]
            return message
        return None


def _read(answer: http.client.HTTPResponse) -> None:
    while answer.read(65536):
        pass


def until(condition: Any) -> None:
    """Ask until the authorizers' caches know what was just written."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, "not within the time"

"""Objects in a real API server: a namespace of its own for each test, and the nodes' RBAC."""

import time
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from typing import Any

from kubelet.control_plane import ControlPlane
from kubelet.harness import Pull

# The verb that the NodeRestriction admission plugin asks the authorizer about
# (kubernetes plugin/pkg/admission/noderestriction/admission.go); the resource is the audience.
VERB = "request-serviceaccounts-token-audience"
PATIENCE_SECONDS = 10
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


class Namespace:
    """A namespace with a ServiceAccount `puller` and its pod `pod-1` on node-1."""

    def __init__(self, api: ControlPlane, stack: ExitStack) -> None:
        self._api = api
        self._stack = stack
        self.name = f"team-{uuid.uuid4().hex[:8]}"
        self._path = f"/api/v1/namespaces/{self.name}"
        self._pods: dict[str, tuple[str, str]] = {}
        """UID and ServiceAccount by name."""
        api.create("/api/v1/namespaces", metadata={"name": self.name})

    def service_account(self, name: str, annotations: dict[str, str] | None = None) -> None:
        """Create one."""
        self._api.create(
            f"{self._path}/serviceaccounts",
            metadata={"name": name, "annotations": annotations or {}},
        )

    def pod(self, name: str, service_account: str) -> None:
        """Create a pod on node-1, and wait until the Node authorizer knows it."""
        stored = self._api.create(
            f"{self._path}/pods",
            metadata={"name": name},
            spec={
                "nodeName": "node-1",
                "serviceAccountName": service_account,
                "automountServiceAccountToken": False,
                "containers": [{"name": "main", "image": "us-docker.pkg.dev/project/app"}],
            },
        )
        self._pods[name] = (stored["metadata"]["uid"], service_account)
        # Reading the ServiceAccount depends on the pod too, but in 1.33 on a gate as well.
        wanted = {"resource": "serviceaccounts", "subresource": "token", "name": service_account}
        self._wait(allowed=True, verb="create", **wanted)

    def pull(self, image: str, pod: str = "pod-1") -> Pull:
        """The pod's pull; its token comes from the API server."""
        uid, account = self._pods[pod]
        return Pull(image=image, namespace=self.name, pod=pod, pod_uid=uid, service_account=account)

    def let_nodes_request(
        self, audience: str, *, names: Iterable[str] = (), everywhere: bool = True
    ) -> None:
        """Give nodes the right to request tokens for the audience, for the test.

        `names`: of these ServiceAccounts only. `everywhere`: by ClusterRole and
        ClusterRoleBinding, else by Role and RoleBinding in this namespace.
        """
        rule: dict[str, Any] = {"apiGroups": [""], "resources": [audience], "verbs": [VERB]}
        if names:
            rule["resourceNames"] = list(names)
        granted = {"verb": VERB, "resource": audience, "name": next(iter(names), "puller")}
        self._let_nodes("tokens", rule, granted, everywhere=everywhere)

    def let_nodes_read_service_accounts(self) -> None:
        """Let nodes read all ServiceAccounts of this namespace."""
        rule = {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]}
        granted = {"verb": "get", "resource": "serviceaccounts", "name": "puller"}
        self._let_nodes("accounts", rule, granted, everywhere=False)

    def _let_nodes(
        self, what: str, rule: dict[str, Any], granted: dict[str, str], *, everywhere: bool
    ) -> None:
        kind, scope = ("ClusterRole", "") if everywhere else ("Role", f"/namespaces/{self.name}")
        name = f"{self.name}-{what}"
        group = "rbac.authorization.k8s.io"
        binding = {
            "roleRef": {"apiGroup": group, "kind": kind, "name": name},
            "subjects": [{"kind": "Group", "apiGroup": group, "name": "system:nodes"}],
        }
        metadata = {"name": name}
        kinds = f"{_RBAC}{scope}/{kind.lower()}"
        self._api.create(f"{kinds}s", metadata=metadata, rules=[rule])
        self._api.create(f"{kinds}bindings", metadata=metadata, **binding)
        self._wait(allowed=True, **granted)
        if not everywhere:
            return  # nobody else is ever in this namespace
        # The last in is the first out: both are deleted before the wait.
        self._stack.callback(lambda: self._wait(allowed=False, **granted))
        self._stack.callback(self._api.delete, f"{kinds}s/{name}")
        self._stack.callback(self._api.delete, f"{kinds}bindings/{name}")

    def _wait(self, *, allowed: bool, **attributes: str) -> None:
        """Ask the authorizers about node-1 until their caches know what was just written."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < give_up:
            review = self._api.create(
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                spec={
                    "user": "system:node:node-1",
                    "groups": ["system:nodes"],
                    "resourceAttributes": {"namespace": self.name, **attributes},
                },
            )
            if review["status"].get("allowed", False) is allowed:
                return
        raise TimeoutError(f"allowed={allowed} within {PATIENCE_SECONDS} s for {attributes}")

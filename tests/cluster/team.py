"""A namespace with ServiceAccounts and pods, as a team of the cluster has it.

Imports the cluster. Every test has its own, so that neither the kubelet's cache, which knows
ServiceAccounts by UID, nor the journal mix up two tests.
"""

import uuid
from dataclasses import dataclass
from typing import Any

from cluster.api import PATIENCE_SECONDS, Api, Object
from cluster.cluster import PROVIDER, REPOSITORY, Cluster
from cluster.node import SERVICE_ACCOUNT_HOST
from kubelet.cluster import VERB
from kubelet.google import POOL, audience

READER = "roles/artifactregistry.reader"
PULLER = "puller"
_ROLE = "image-pull-tokens"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"


def image(name: str = "app", host: str = SERVICE_ACCOUNT_HOST) -> str:
    """The full name of an application's image."""
    return f"{host}/project/private/{name}:v1"


@dataclass(frozen=True)
class Pod:
    """A pod of a team."""

    api: Api
    namespace: str
    name: str

    @property
    def _pods(self) -> str:
        return f"/api/v1/namespaces/{self.namespace}/pods"

    @property
    def path(self) -> str:
        """Of the object in the API."""
        return f"{self._pods}/{self.name}"

    def wait_running(self, *, seconds: int = PATIENCE_SECONDS) -> Object:
        """The pod once its container runs."""
        return self.api.wait(
            self._pods, self.name, lambda pod: "running" in state_of(pod), seconds=seconds
        )

    def wait_restarted(self, *, seconds: int = PATIENCE_SECONDS) -> Object:
        """The pod once its container runs again after it had ended."""

        def again(pod: Object) -> bool:
            restarts: int = container_of(pod).get("restartCount", 0)
            return restarts > 0 and "running" in state_of(pod)

        return self.api.wait(self._pods, self.name, again, seconds=seconds)

    def wait_refused(self, *, seconds: int = PATIENCE_SECONDS) -> str:
        """What the kubelet says of the pull that failed, as `kubectl describe` shows it."""

        def refused(pod: Object) -> bool:
            waiting: dict[str, str] = state_of(pod).get("waiting", {})
            return waiting.get("reason") == "ErrImagePull"

        pod = self.api.wait(self._pods, self.name, refused, seconds=seconds)
        message: str = state_of(pod)["waiting"]["message"]
        return message

    def events(self) -> list[tuple[str, str]]:
        """Reason and message of each event."""
        listed = self.api.get(
            f"/api/v1/namespaces/{self.namespace}/events",
            fieldSelector=f"involvedObject.name={self.name}",
        )
        return [(event["reason"], event["message"]) for event in listed["items"]]

    def delete(self) -> None:
        """Delete it at once."""
        self.api.forget(self.path)


def container_of(pod: Object) -> Object:
    """The status of a pod's one container; empty before the kubelet has seen the pod."""
    statuses: list[Object] = pod.get("status", {}).get("containerStatuses") or [{}]
    return statuses[0]


def state_of(pod: Object) -> Object:
    """The state of a pod's one container: `waiting`, `running` or `terminated`."""
    state: Object = container_of(pod).get("state") or {}
    return state


class Team:
    """A namespace; it and its grants go at the end of the test."""

    def __init__(
        self, cluster: Cluster, *, prefix: str = "team-", nodes_may_ask: bool = True
    ) -> None:
        """Create it. `nodes_may_ask`: for tokens of its ServiceAccounts, by a Role in it."""
        self._cluster = cluster
        self._api = cluster.api
        self.name = f"{prefix}{uuid.uuid4().hex[:8]}"
        self._path = f"/api/v1/namespaces/{self.name}"
        self._granted: list[str] = []
        self._pods: list[Pod] = []
        self._api.create("/api/v1/namespaces", metadata={"name": self.name})
        if nodes_may_ask:
            self.let_nodes_ask()

    def account(self, name: str = PULLER) -> str:
        """A ServiceAccount as the journal calls it."""
        return f"{self.name}/{name}"

    def subject(self, name: str = PULLER) -> str:
        """A ServiceAccount as its tokens call it."""
        return f"system:serviceaccount:{self.name}:{name}"

    def let_nodes_ask(self) -> None:
        """Let kubelets request tokens for Google's audience, in this namespace."""
        scope = f"{_RBAC}/namespaces/{self.name}"
        rule = {"apiGroups": [""], "resources": [audience(PROVIDER)], "verbs": [VERB]}
        group = "rbac.authorization.k8s.io"
        self._api.create(f"{scope}/roles", metadata={"name": _ROLE}, rules=[rule])
        self._api.create(
            f"{scope}/rolebindings",
            metadata={"name": _ROLE},
            roleRef={"apiGroup": group, "kind": "Role", "name": _ROLE},
            subjects=[{"apiGroup": group, "kind": "Group", "name": "system:nodes"}],
        )

    def forbid_nodes_to_ask(self) -> None:
        """Take that back, and wait until the API server's authorizer knows."""
        self._api.forget(f"{_RBAC}/namespaces/{self.name}/rolebindings/{_ROLE}")
        asked = {"verb": VERB, "resource": audience(PROVIDER), "name": PULLER}
        for _ in range(PATIENCE_SECONDS * 100):
            review = self._api.create(
                "/apis/authorization.k8s.io/v1/subjectaccessreviews",
                spec={
                    "user": "system:node:node-1",
                    "groups": ["system:nodes"],
                    "resourceAttributes": {"namespace": self.name, **asked},
                },
            )
            if not review["status"].get("allowed", False):
                return
        raise TimeoutError(f"nodes may still ask for tokens of {self.name}")

    def service_account(
        self, name: str = PULLER, *, granted: bool = True, annotations: dict[str, str] | None = None
    ) -> None:
        """Create a ServiceAccount; `granted`: it may read the private repository."""
        self._api.create(
            f"{self._path}/serviceaccounts",
            metadata={"name": name, "annotations": annotations or {}},
            automountServiceAccountToken=False,
        )
        if granted:
            self.grant(name)

    def principal(self, name: str = PULLER) -> str:
        """A ServiceAccount as IAM calls it."""
        return f"principal://iam.googleapis.com/{POOL}/subject/{self.subject(name)}"

    def grant(self, name: str = PULLER) -> None:
        """Let a ServiceAccount read the private repository."""
        self._cluster.google.grant(REPOSITORY, READER, self.principal(name))
        self._granted.append(self.principal(name))

    def new_image(self) -> str:
        """Push an image that no node has yet; returns its name."""
        self._cluster.registries.push(self.name)
        return image(self.name)

    def pod(
        self,
        name: str = "pod",
        *,
        account: str = PULLER,
        of: str = "",
        node: str = "node-1",
        policy: str = "Always",
        **spec: Any,
    ) -> Pod:
        """Create a pod of one container. `of`: its image, by default the application's."""
        self._api.create(
            f"{self._path}/pods",
            metadata={"name": name},
            spec=pod_spec(account=account, of=of or image(), policy=policy, nodeName=node, **spec),
        )
        pod = Pod(self._api, self.name, name)
        self._pods.append(pod)
        return pod

    def existing(self, name: str) -> Pod:
        """A pod that somebody else made, or will make."""
        return Pod(self._api, self.name, name)

    def secret(self, name: str, kind: str, data: dict[str, str]) -> None:
        """Create a Secret; `data` is plain text."""
        self._api.create(
            f"{self._path}/secrets", metadata={"name": name}, type=kind, stringData=data
        )

    def exchanges(self) -> list[Object]:
        """What STS was asked with tokens of this team, as the emulator noted it."""
        every = self._cluster.google.log.exchanges()
        return [entry for entry in every if f":{self.name}:" in entry.get("subject", "")]

    def delete(self) -> None:
        """Take everything back; the namespace goes in its own time."""
        for pod in self._pods:
            pod.delete()
        self._api.forget(self._path)
        for member in self._granted:
            self._cluster.google.revoke(REPOSITORY, READER, member)


def pod_spec(*, account: str, of: str, policy: str = "Always", **spec: Any) -> dict[str, Any]:
    """A pod of one container that waits until it is told to end."""
    return {
        "serviceAccountName": account,
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "main", "image": of, "imagePullPolicy": policy, "args": ["up"]}],
        **spec,
    }

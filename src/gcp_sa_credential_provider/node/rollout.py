"""The DaemonSets of the chart: whether their nodes are done, and the switch to uninstall.

Imports `api`, `lease`. Rules: apps/v1 DaemonSetStatus, and what `kubectl rollout status` makes of
it (k8s.io/kubectl pkg/polymorphichelpers/rollout_status.go). A pod of ours is ready once its node
is done, so a DaemonSet that is rolled out is one whose nodes all are, unless somebody still has a
slot: a kubelet that has just been restarted calls a pod ready whose start-up probe it has not run
yet.
"""

from collections.abc import Iterable

from gcp_sa_credential_provider.node.api import STRATEGIC_MERGE, Api, Object
from gcp_sa_credential_provider.node.lease import Slots

CONTAINER = "agent"
MODE = "MODE"
"""The variable of the agent's container that says what it is to do."""


def path(namespace: str, name: str) -> str:
    """Of a DaemonSet in the API."""
    return f"/apis/apps/v1/namespaces/{namespace}/daemonsets/{name}"


def pending(daemon_set: Object) -> str | None:
    """What is not done yet, in words; None if all is."""
    status: Object = daemon_set.get("status") or {}
    if int(status.get("observedGeneration") or 0) < int(daemon_set["metadata"]["generation"]):
        return "not looked at by its controller yet"
    wanted = int(status.get("desiredNumberScheduled") or 0)
    updated = int(status.get("updatedNumberScheduled") or 0)
    ready = int(status.get("numberAvailable") or 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are new"
    if ready < wanted:
        return f"{ready} of {wanted} nodes are done"
    return None


def pending_of(names: Iterable[str], slots: Slots) -> list[str]:
    """What is not done yet, a text for each DaemonSet and one for slots. Raises as `Api.call`."""
    found = {name: pending(slots.call("GET", path(slots.namespace, name))) for name in names}
    left = [f"{name}: {text}" for name, text in found.items() if text]
    busy = slots.holders()
    return [*left, f"at work: {', '.join(busy)}"] if busy else left


def switch(api: Api, namespace: str, name: str, mode: str) -> None:
    """Have a DaemonSet's pods replaced by such of another mode. Raises as `Api.call`."""
    container = {"name": CONTAINER, "env": [{"name": MODE, "value": mode}]}
    body = {"spec": {"template": {"spec": {"containers": [container]}}}}
    api.call("PATCH", path(namespace, name), body, STRATEGIC_MERGE)

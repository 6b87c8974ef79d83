"""A cluster as read, and what its operator said, to its entry in fleet.yaml.

Pure. What an operator wrote by hand into an entry (ids, cacheType, names of node groups) stays;
what the cluster itself says (issuer, versions, groups) is taken anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gcp_sa_credential_provider.cluster.failure import ClusterFailure
from gcp_sa_credential_provider.cluster.nodes import OLDEST, Group, LeftOut, numbers
from gcp_sa_credential_provider.cluster.observe import Observed
from gcp_sa_credential_provider.fleet.model import CacheType, Cluster, NodeGroup
from gcp_sa_credential_provider.setup.keys import KeyChoice

_CACHE_REASONS = {
    "ServiceAccount": "one exchange serves all pods of a ServiceAccount on a node",
    "Token": "every new token of a pod is exchanged again, so that its pod and node can be mapped",
}


@dataclass(frozen=True)
class Entry:
    """One cluster of fleet.yaml, and the comments that say why."""

    cluster: Cluster
    comments: Mapping[str, str]
    """By field of the cluster."""
    node_comments: Mapping[str, str] = field(default_factory=dict)
    """By name of the node group."""


def entry(
    name: str,
    observed: Observed,
    minor: str,
    keys: KeyChoice,
    previous: Cluster | None,
    cache_type: CacheType | None,
    google_service_account: str | None,
) -> Entry:
    """The entry of a cluster that `check` has passed.

    `cache_type` and `google_service_account` are the operator's word; None: as it was.
    """
    nodes, reasons = _node_groups(observed.groups, previous.nodes if previous else ())
    said: dict[str, object] = {
        "name": name,
        "issuer": observed.issuer.issuer,
        "keys": keys.source,
        "jwks": _jwks(name, previous) if keys.source == "uploaded" else None,
        "kubernetes": minor,
    }
    if nodes:
        said["nodes"] = nodes
    if cache_type or not previous:
        said["cache_type"] = cache_type or "ServiceAccount"
    if google_service_account:
        said["google_service_account"] = google_service_account
    kept = {key: getattr(previous, key) for key in previous.model_fields_set} if previous else {}
    merged = {key: value for key, value in (kept | said).items() if value is not None}
    comments = {"keys": keys.reason}
    if "cache_type" in said:
        comments["cache_type"] = _CACHE_REASONS[str(said["cache_type"])]
    if observed.left_out:
        comments["kubernetes"] = f"nodes left out: {left_out(observed.left_out)}"
    return Entry(Cluster.model_validate(merged), comments, reasons)


def check(observed: Observed, minor: str | None) -> None:
    """Raise ClusterFailure where nothing could be set up; `minor` as far as it is known."""
    if minor and numbers(minor) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise ClusterFailure(
            f"Kubernetes {minor}",
            f"kubelets can ask for tokens for image pulls from {oldest} on",
            "upgrade the cluster first",
        )
    if observed.left_out and not observed.groups:
        raise ClusterFailure(
            "nodes",
            f"none of them can be set up ({left_out(observed.left_out)})",
            "name another cluster with --context",
        )


def left_out(nodes: Sequence[LeftOut]) -> str:
    """Why nodes are in no group, without their numbers, which change."""
    return "; ".join(some.reason for some in nodes)


def _jwks(name: str, previous: Cluster | None) -> str:
    return (previous.jwks if previous else None) or f"{name}.jwks.json"


def _node_groups(
    groups: Sequence[Group], previous: Sequence[NodeGroup]
) -> tuple[tuple[NodeGroup, ...], dict[str, str]]:
    """One for each distribution and minor, architectures together; reasons by name.

    A group that was there before keeps its name and its `directory`; if all nodes of a
    distribution were upgraded, so does theirs.
    """
    alike: dict[tuple[str, str], list[Group]] = {}
    for group in groups:
        alike.setdefault((group.distribution, group.minor), []).append(group)
    before: dict[tuple[str, str], NodeGroup] = {
        (old.distribution, old.kubernetes): old for old in previous
    }
    gone = [old for key, old in before.items() if key not in alike]
    taken = {before[key].name for key in alike if key in before}
    nodes: list[NodeGroup] = []
    reasons: dict[str, str] = {}
    for (distribution, minor), parts in alike.items():
        old = before.get((distribution, minor)) or _upgraded(distribution, alike, before, gone)
        name = old.name if old else _new_name(distribution, minor, len(alike), taken)
        taken.add(name)
        said: dict[str, object] = {"name": name, "distribution": distribution, "kubernetes": minor}
        if old and "directory" in old.model_fields_set:
            said["directory"] = old.directory
        said["architectures"] = tuple(sorted({part.architecture for part in parts}))
        nodes.append(NodeGroup.model_validate(said))
        detected = parts[0].detected
        reasons[name] = f"{detected.evidence} ({detected.source})"
    return tuple(nodes), reasons


def _upgraded(
    distribution: str,
    now: Mapping[tuple[str, str], object],
    before: Mapping[tuple[str, str], NodeGroup],
    gone: Sequence[NodeGroup],
) -> NodeGroup | None:
    """The group that has a new minor: the one of its distribution that is gone, if one is new."""
    new = [key for key in now if key[0] == distribution and key not in before]
    old = [group for group in gone if group.distribution == distribution]
    return old[0] if len(new) == len(old) == 1 else None


def _new_name(distribution: str, minor: str, groups: int, taken: set[str]) -> str:
    name = "nodes" if groups == 1 else f"{distribution}-{minor.replace('.', '-')}"
    while name in taken:
        name += "-2"
    return name

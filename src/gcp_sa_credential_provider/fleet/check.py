"""What is wrong between the values of a description.

Imports the rooms of fleet and google. Pure: a draft in, findings out. Every rule says its source
where it is not this project's own.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from gcp_sa_credential_provider.fleet import check_cluster, check_pull, check_repository
from gcp_sa_credential_provider.fleet.decide import pool_of, provider_of
from gcp_sa_credential_provider.fleet.model import Cluster, Google, Puller, Repository
from gcp_sa_credential_provider.fleet.problem import Finding, Location
from gcp_sa_credential_provider.google.keys import KeySet
from gcp_sa_credential_provider.plugin.connect import BadAddress, parse_endpoint


@dataclass(frozen=True)
class Draft:
    """A description as far as it can be read: entries by their index."""

    google: Google | None
    clusters: Mapping[int, Cluster]
    repositories: Mapping[int, Repository]
    pull: Mapping[int, Puller]
    cluster_names: tuple[str, ...]
    """Of all entries, those too that cannot be read."""
    repository_names: tuple[str, ...]
    cluster_pulls: frozenset[str]
    """Clusters that any entry of `pull` names."""


def findings(draft: Draft, keys: Mapping[int, KeySet]) -> Iterator[Finding]:
    """Everything, in no order; `keys` by the cluster's index."""
    google = draft.google
    if google is not None:
        yield from _under(("google", "endpoints"), _endpoints(google))
    for index, cluster in draft.clusters.items():
        yield from _under(("clusters", index), check_cluster.findings(cluster))
    yield from _under(("clusters",), _idle(draft))
    yield from _under(("clusters",), _alike(draft.clusters, keys))
    if google is not None:
        yield from _under(("clusters",), _pools(google, draft.clusters))
        yield from _under(("repositories",), check_repository.findings(google, draft.repositories))
    clusters = check_pull.Names(
        draft.cluster_names, tuple(one.name for one in draft.clusters.values())
    )
    repositories = check_pull.Names(
        draft.repository_names, tuple(one.name for one in draft.repositories.values())
    )
    accounts = {one.name: one.google_service_account for one in draft.clusters.values()}
    pulls = check_pull.findings(google, draft.pull, clusters, accounts, repositories)
    yield from _under(("pull",), pulls)


def _under(location: Location, found: Iterable[Finding]) -> Iterator[Finding]:
    for finding in found:
        yield Finding((*location, *finding.location), finding.message, finding.fix)


def _endpoints(google: Google) -> Iterator[Finding]:
    """As the plugin will judge them. The value is not quoted: it may hold a password."""
    for name, url in (
        ("sts", google.endpoints.sts),
        ("iamCredentials", google.endpoints.iam_credentials),
    ):
        if url is None:
            continue
        try:
            parse_endpoint(url)
        except BadAddress as error:
            yield Finding(
                (name,),
                f"it cannot be used: {error}",
                "write https:// and a host, as in https://sts.us-central1.rep.googleapis.com,"
                " without a path",
            )


def _idle(draft: Draft) -> Iterator[Finding]:
    """A condition that lets nobody in cannot be written; Google takes an empty one for none."""
    if not draft.cluster_pulls or draft.cluster_pulls - set(draft.cluster_names):
        # An error of its own, from which this may follow.
        return
    for index, cluster in draft.clusters.items():
        if cluster.name not in draft.cluster_pulls:
            yield Finding(
                (index, "name"),
                f"nobody of {cluster.name} may pull",
                "add an entry to `pull`, or take the cluster out",
            )


def _alike(clusters: Mapping[int, Cluster], keys: Mapping[int, KeySet]) -> Iterator[Finding]:
    """Clusters that Google could not tell apart, or that are written twice."""
    before: dict[int, Cluster] = {}
    for index, cluster in clusters.items():
        for other, earlier in before.items():
            found = _twice(cluster, earlier, keys.get(index), keys.get(other))
            if found is not None:
                location, message, fix = found
                yield Finding((index, location), message, fix)
                break
        before[index] = cluster


def _twice(
    cluster: Cluster, earlier: Cluster, keys: KeySet | None, others: KeySet | None
) -> tuple[str, str, str] | None:
    name = earlier.name
    if cluster.name == name:
        return "name", f"there is another cluster {name}", "give each a name of its own"
    fetched = "fetched" in (cluster.keys, earlier.keys)
    if cluster.issuer == earlier.issuer and fetched:
        # What Google fetches there is one set of keys: whoever holds them is both clusters.
        return (
            "issuer",
            f"it is that of {name}, and a public issuer has the keys of one cluster",
            f"write this cluster's own, as {check_cluster.DISCOVERY} shows it",
        )
    of_other = "to Google, each ServiceAccount of the one would be that of the other"
    if not fetched and cluster.jwks is not None and cluster.jwks == earlier.jwks:
        return (
            "jwks",
            f"it is the file of {name}: {of_other}",
            "save this cluster's `kubectl get --raw /openid/v1/jwks` in a file of its own",
        )
    if keys and others and not keys.materials.isdisjoint(others.materials):
        return (
            "jwks",
            f"{cluster.jwks} has a key that {name} signs with too: {of_other}",
            "save this cluster's own keys there, or give one of the clusters another signing key",
        )
    return None


def _pools(google: Google, clusters: Mapping[int, Cluster]) -> Iterator[Finding]:
    """Ids at Google.

    One provider for a pool, unless attributes tell the clusters apart: Google, "Best practices for
    using Workload Identity Federation", on collisions of subjects.
    """
    taken: dict[str, str] = {}
    for index, cluster in clusters.items():
        if google.shared_pool:
            if cluster.pool is not None:
                yield Finding(
                    (index, "pool"),
                    f"all clusters share the pool {google.shared_pool} (google.sharedPool)",
                    "take it out",
                )
            field, own = "provider", provider_of(cluster)
            message = "it is the provider of {other} too: both would have the same audience"
            fix = "write a provider of its own"
        else:
            field, own = "pool", pool_of(google, cluster)
            message = (
                "it is the pool of {other} too: the same ServiceAccount of both would be one"
                " principal"
            )
            fix = (
                "give each a pool of its own; for one pool write `sharedPool` below `google`, which"
                " tells the clusters apart"
            )
        other = taken.setdefault(own, cluster.name)
        if other != cluster.name:
            given = getattr(cluster, field) is not None
            text = message.format(other=other)
            place = field if given else "name"
            yield Finding((index, place), text if given else f"{own}: {text}", fix)

"""Who is granted what at Google.

Imports the plan and google. A ServiceAccount that impersonates pulls as its account wherever it
pulls from, by whichever entry: so the account is granted what its namespace and its cluster are.
"""

from collections.abc import Iterator, Mapping, Sequence

from gcp_sa_credential_provider.fleet.model import Google, Puller
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Grant, RepositoryPlan
from gcp_sa_credential_provider.google import mapping, names, principals

READER = "roles/artifactregistry.reader"
IMPERSONATOR = "roles/iam.workloadIdentityUser"


def grants_of(
    google: Google, clusters: Sequence[ClusterPlan], repositories: Mapping[str, RepositoryPlan]
) -> tuple[Grant, ...]:
    """All bindings, without duplicates: by cluster, then in the order of `pull`."""
    return tuple(
        dict.fromkeys(
            grant
            for cluster in clusters
            for puller in cluster.pullers
            for grant in _grants(google, cluster, puller, repositories)
        )
    )


def _grants(
    google: Google, cluster: ClusterPlan, puller: Puller, repositories: Mapping[str, RepositoryPlan]
) -> Iterator[Grant]:
    member = member_of(google, cluster, puller)
    own = _own_account(cluster, puller)
    account = own or cluster.cluster.google_service_account
    if account is not None:
        yield Grant(IMPERSONATOR, member, account=account)
    readers = [member if account is None else principals.service_account(account)]
    if puller.service_account is None:
        readers += [principals.service_account(email) for email in _within(cluster, puller)]
    for name, repository in repositories.items():
        if puller.repositories is None or name in puller.repositories:
            for reader in readers:
                yield Grant(READER, reader, repository=repository)


def member_of(google: Google, cluster: ClusterPlan, puller: Puller) -> str:
    """The principal that an entry of `pull` stands for."""
    universe = google.universe_domain
    pool = names.pool_name(google.project_number, cluster.pool)
    name = cluster.cluster.name
    before = mapping.prefix(name) if google.shared_pool else ""
    if puller.namespace is None:
        if google.shared_pool:
            return principals.attribute(universe, pool, "cluster", name)
        return principals.everyone(universe, pool)
    if puller.service_account is None:
        attribute = "cluster_namespace" if google.shared_pool else "namespace"
        return principals.attribute(universe, pool, attribute, before + puller.namespace)
    subject = mapping.subject(puller.namespace, puller.service_account)
    return principals.subject(universe, pool, before + subject)


def _own_account(cluster: ClusterPlan, puller: Puller) -> str | None:
    """What the ServiceAccount of an entry impersonates by its annotation, whoever wrote that."""
    if puller.namespace is None or puller.service_account is None:
        return None
    return cluster.annotations.get((puller.namespace, puller.service_account))


def _within(cluster: ClusterPlan, puller: Puller) -> list[str]:
    """The accounts of annotated ServiceAccounts within a namespace, or a cluster."""
    return [
        email
        for (namespace, _), email in cluster.annotations.items()
        if puller.namespace in (None, namespace)
    ]

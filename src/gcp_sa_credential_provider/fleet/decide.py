"""From a description to a plan: every decision, with its reason.

Imports the model, the plan and google. Reads the files of keys; all else is pure. Expects what
`load` accepts.
"""

from collections.abc import Sequence
from pathlib import Path

from gcp_sa_credential_provider.fleet import keyfile
from gcp_sa_credential_provider.fleet.fence import Fence, fence_of
from gcp_sa_credential_provider.fleet.grants import grants_of
from gcp_sa_credential_provider.fleet.model import Cluster, Fleet, Google, Puller, Repository
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Decision, Plan, Rbac, RepositoryPlan
from gcp_sa_credential_provider.fleet.problem import BadFleet, Problem, path_of
from gcp_sa_credential_provider.fleet.values import GCR
from gcp_sa_credential_provider.google import issuers, mapping, names
from gcp_sa_credential_provider.google.keys import BadKeys, KeySet
from gcp_sa_credential_provider.google.limits import SUBJECT_BYTES

ANNOTATION = "gcp-sa-credential-provider/service-account"
"""Of a ServiceAccount: the e-mail of the Google service account that it impersonates."""
ALPHA = "1.33"
"""The oldest minor, on which tokens for image pulls are behind a gate."""


def plan_of(fleet: Fleet, folder: Path) -> Plan:
    """Everything that follows from a description whose files of keys are in `folder`.

    Raises BadFleet, with no line, for a file that cannot be used.
    """
    repositories = {one.name: _repository(fleet.google, one) for one in fleet.repositories}
    clusters = tuple(
        _cluster(fleet, cluster, repositories, _keys(index, cluster, folder))
        for index, cluster in enumerate(fleet.clusters)
    )
    return Plan(
        fleet=fleet,
        clusters=clusters,
        repositories=tuple(repositories.values()),
        grants=grants_of(fleet.google, clusters, repositories),
        service_accounts=tuple(
            sorted({email for cluster in clusters for email in _accounts(cluster)})
        ),
    )


def pool_of(google: Google, cluster: Cluster) -> str:
    """The id of a cluster's pool."""
    return google.shared_pool or cluster.pool or names.federation_id(cluster.name)


def provider_of(cluster: Cluster) -> str:
    """The id of a cluster's provider."""
    return cluster.provider or names.federation_id(cluster.name)


def subject_prefix(google: Google, cluster: str) -> str:
    """What stands before a cluster's subjects at Google; empty in a pool of its own."""
    return mapping.prefix(cluster) if google.shared_pool else ""


def image_prefix(google: Google, repository: Repository) -> str:
    """Registry and path of a repository's images, with a slash at the end."""
    if repository.image_prefix is not None:
        return repository.image_prefix.rstrip("/") + "/"
    # A project of a domain, example.com:my-project, is a path of two parts.
    project = (repository.project or google.project_id).replace(":", "/")
    name = repository_id(repository)
    if name in GCR:
        return f"{name}/{project}/"
    return f"{repository.location}-docker.pkg.dev/{project}/{name}/"


def repository_id(repository: Repository) -> str:
    """Its id at Google."""
    return repository.repository_id or repository.name


def _repository(google: Google, repository: Repository) -> RepositoryPlan:
    return RepositoryPlan(
        name=repository_id(repository),
        location=repository.location,
        project=repository.project or google.project_id,
        image_prefix=image_prefix(google, repository),
    )


def _keys(index: int, cluster: Cluster, folder: Path) -> KeySet | None:
    if cluster.jwks is None:
        return None
    try:
        return keyfile.read(folder, cluster.jwks)
    except BadKeys as error:
        path = path_of(("clusters", index, "jwks"))
        problem = Problem(1, 1, path, f"{cluster.jwks}: {error.what}", error.fix)
        raise BadFleet(str(folder), [problem]) from None


def _cluster(
    fleet: Fleet,
    cluster: Cluster,
    repositories: dict[str, RepositoryPlan],
    keys: KeySet | None,
) -> ClusterPlan:
    google = fleet.google
    pool, provider = pool_of(google, cluster), provider_of(cluster)
    pool_name = names.pool_name(google.project_number, pool)
    audience = names.audience(google.universe_domain, pool_name, provider)
    pullers = tuple(puller for puller in fleet.pull if puller.cluster == cluster.name)
    fence = fence_of(pullers)
    pod = cluster.map_pod
    annotations = {
        (puller.namespace or "", puller.service_account or ""): puller.google_service_account
        for puller in pullers
        if puller.google_service_account is not None
    }
    images = _match_images(pullers, repositories)
    rbac = _rbac(cluster, pullers)
    return ClusterPlan(
        cluster=cluster,
        pool=pool,
        provider=provider,
        pool_display=names.display_name(google.shared_pool or cluster.name),
        provider_display=names.display_name(cluster.name),
        audience=audience,
        issuer=cluster.issuer,
        jwks=keys.text if keys else None,
        mapping=(
            mapping.shared_pool(cluster.name, pod=pod)
            if google.shared_pool
            else mapping.own_pool(pod=pod)
        ),
        condition=fence.condition,
        pullers=pullers,
        rbac=rbac,
        node_get_service_accounts=cluster.kubernetes == ALPHA and not cluster.api_server_gate,
        annotations=dict(sorted(annotations.items())),
        match_images=images,
        environment=_environment(google, cluster, audience, images, annotated=bool(annotations)),
        decisions=(
            *_decide_keys(cluster, keys),
            _decide_pool(google),
            *_decide_mapping(google, cluster),
            Decision("condition", *_words(fence)),
            _decide_cache(cluster),
            _decide_rbac(cluster, rbac),
            Decision(
                "matchImages",
                "the repositories of those that may pull, each with a slash at its end",
                "A path is a plain prefix: without the slash it would match the neighbours whose"
                " names begin alike. All lie within GCP_REGISTRIES, which no token leaves.",
            ),
        ),
    )


def _accounts(cluster: ClusterPlan) -> set[str]:
    of_cluster = cluster.cluster.google_service_account
    return set(cluster.annotations.values()) | ({of_cluster} if of_cluster else set())


def _match_images(
    pullers: Sequence[Puller], repositories: dict[str, RepositoryPlan]
) -> tuple[str, ...]:
    """Image prefixes in the description's order, without those that another one covers."""
    wanted = {name for puller in pullers for name in (puller.repositories or repositories)}
    prefixes = list(
        dict.fromkeys(one.image_prefix for name, one in repositories.items() if name in wanted)
    )
    return tuple(
        prefix
        for prefix in prefixes
        if not any(prefix != other and prefix.startswith(other) for other in prefixes)
    )


def _rbac(cluster: Cluster, pullers: Sequence[Puller]) -> tuple[Rbac, ...]:
    """One rule for a cluster, or one for each namespace, sorted."""
    if cluster.cluster_role or any(puller.namespace is None for puller in pullers):
        return (Rbac(None, _named(pullers)),)
    return tuple(
        Rbac(namespace, _named([one for one in pullers if one.namespace == namespace]))
        for namespace in sorted({puller.namespace or "" for puller in pullers})
    )


def _named(pullers: Sequence[Puller]) -> tuple[str, ...]:
    """The names of their ServiceAccounts; none if one entry is wider than that."""
    accounts = {puller.service_account for puller in pullers}
    return () if None in accounts else tuple(sorted(name for name in accounts if name))


def _environment(
    google: Google, cluster: Cluster, audience: str, images: Sequence[str], *, annotated: bool
) -> dict[str, str]:
    optional = {
        "GCP_SERVICE_ACCOUNT": cluster.google_service_account,
        "GCP_SERVICE_ACCOUNT_ANNOTATION": ANNOTATION if annotated else None,
        "GCP_STS_ENDPOINT": google.endpoints.sts,
        "GCP_IAM_CREDENTIALS_ENDPOINT": google.endpoints.iam_credentials,
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN": (
            google.universe_domain if google.universe_domain != names.UNIVERSE else None
        ),
    }
    registries = dict.fromkeys(image.partition("/")[0] for image in images)
    return (
        {"GCP_AUDIENCE": audience, "GCP_REGISTRIES": ",".join(registries)}
        | {name: value for name, value in optional.items() if value is not None}
        | cluster.environment.model_dump(by_alias=True, exclude_none=True)
    )


def _decide_keys(cluster: Cluster, keys: KeySet | None) -> list[Decision]:
    if keys is None:
        known = issuers.managed(cluster.issuer)
        rotation = f" {known.rotation}: uploaded ones would soon be wrong." if known else ""
        return [
            Decision(
                "keys",
                "Google fetches them",
                f"The issuer {issuers.host(cluster.issuer)} is public.{rotation}",
            )
        ]
    decisions = [
        Decision(
            "keys",
            f"{len(keys.keys)} uploaded",
            "To be uploaded again whenever the signing key changes, the new one before it signs; an"
            " upload replaces all.",
        )
    ]
    if keys.left_out:
        decisions.append(
            Decision(
                "keys",
                f"left out: {'; '.join(keys.left_out)}",
                "Google takes RSA keys of 2048 bits or more and EC keys on P-256. Tokens signed by"
                " the keys that are left out are refused.",
            )
        )
    return decisions


def _decide_pool(google: Google) -> Decision:
    if google.shared_pool:
        return Decision(
            "pool",
            "one for all clusters",
            "As asked for by sharedPool. Every mapped attribute carries the cluster's name, since"
            " clusters of the same distribution say the same issuer and the same subjects; nothing"
            " is granted to the pool as a whole.",
        )
    return Decision(
        "pool",
        "one for this cluster alone",
        "Clusters of the same distribution say the same issuer and the same subjects: in one pool,"
        " the same ServiceAccount of another cluster would be the same principal.",
    )


def _decide_mapping(google: Google, cluster: Cluster) -> list[Decision]:
    room = SUBJECT_BYTES - len(subject_prefix(google, cluster.name) + mapping.subject("", ""))
    decisions = [
        Decision(
            "mapping",
            "subject and namespace" + (", both with the cluster" if google.shared_pool else ""),
            f"Google takes {SUBJECT_BYTES} bytes of subject: namespace and name of a ServiceAccount"
            f" that pulls have {room} together. The bare name of a ServiceAccount is not mapped:"
            " every namespace may have the same.",
        )
    ]
    if cluster.map_pod:
        decisions.append(
            Decision(
                "mapping",
                "the pod's name too",
                "As asked for by mapPod: with cacheType Token every pod has a credential of its"
                " own. Names of pods change; grants on them do not last.",
            )
        )
    return decisions


def _words(fence: Fence) -> tuple[str, str]:
    return fence.choice, fence.reason


def _decide_cache(cluster: Cluster) -> Decision:
    if cluster.cache_type == "Token":
        return Decision(
            "cacheType",
            "Token",
            "Every new token is exchanged again, once for each pod: what pod and node claims need.",
        )
    return Decision(
        "cacheType",
        "ServiceAccount",
        "One exchange serves all pods of a ServiceAccount on a node, and nothing here depends on"
        " the pod.",
    )


def _decide_rbac(cluster: Cluster, rbac: Sequence[Rbac]) -> Decision:
    if any(rule.namespace is None for rule in rbac):
        why = "by clusterRole" if cluster.cluster_role else "by a whole cluster that may pull"
        return Decision(
            "rbac",
            "a ClusterRole",
            f"As asked for {why}. A resourceName in it means that name in every namespace.",
        )
    return Decision(
        "rbac",
        "a Role in each namespace",
        "Nodes may ask for this audience's tokens for those that may pull, and for no others.",
    )

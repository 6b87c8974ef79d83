"""The description of a fleet: what fleet.yaml holds, field by field.

One model gives the Python types, the published JSON Schema and, with `values`, the checks of single
values. Checks that need more than one value stand in `check`; what follows from the description, in
`plan`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from gcp_sa_credential_provider.fleet.settings import (
    Lifetime,
    Log,
    NodePath,
    NoProxy,
    ProxyUrl,
    Scope,
    Timeout,
)
from gcp_sa_credential_provider.fleet.values import (
    AccountEmail,
    ClusterName,
    Domain,
    FederationId,
    FileName,
    GroupName,
    ImagePrefix,
    Location,
    Minor,
    Namespace,
    ProjectId,
    ProjectNumber,
    RepositoryId,
    ServiceAccountName,
    Version,
)

Distribution = Literal[
    "k3s",
    "rke2",
    "kubeadm",
    "cluster-api",
    "kind",
    "minikube",
    "microk8s",
    "k0s",
    "talos",
    "eks",
    "aks",
    "openshift",
    "kops",
    "flatcar",
    "bottlerocket",
    "kubelet",
]
"""How a node's kubelet is configured; `kubelet` is a plain one under systemd."""

KeySource = Literal["uploaded", "fetched"]
CacheType = Literal["ServiceAccount", "Token"]
Switch = Annotated[bool, Field(strict=True)]


class Part(BaseModel):
    """A mapping of the file: camelCase names, nothing unknown, nothing changed once read."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True
    )


class Endpoints(Part):
    """Where the plugin finds Google's APIs, other than at `https://API.UNIVERSE`."""

    sts: str | None = Field(None, description="base URL of the Security Token Service")
    iam_credentials: str | None = Field(None, description="base URL of IAM Credentials")


class Google(Part):
    """The project that holds pools and providers."""

    project_id: ProjectId = Field(description="the project's id, as in my-project")
    project_number: ProjectNumber = Field(description="the project's number, in quotes or without")
    universe_domain: Domain = Field("googleapis.com", description="the universe's domain")
    shared_pool: FederationId | None = Field(
        None,
        description="one pool for all clusters; left out, every cluster has a pool of its own",
    )
    endpoints: Endpoints = Field(
        default_factory=Endpoints,
        description="where Google's APIs are, if not at their own names: regional, private",
    )


class NodeGroup(Part):
    """Nodes of one cluster that are set up in the same way."""

    name: GroupName = Field(description="a folder's name in what `render` writes")
    distribution: Distribution = Field(description="how the kubelets are configured")
    kubernetes: Minor = Field(description="the kubelet's minor version, as in 1.34")
    directory: Switch = Field(
        default=False,
        description="a directory of configurations beside those of others (from 1.34 on)",
    )
    architectures: tuple[Literal["amd64", "arm64"], ...] = Field(
        ("amd64",), min_length=1, description="of the machines: which programs are put onto them"
    )


class Environment(Part):
    """Variables of the plugin on the nodes that only their site knows."""

    https_proxy: ProxyUrl | None = Field(
        None, alias="HTTPS_PROXY", description="http proxy to Google, without user and password"
    )
    no_proxy: NoProxy | None = Field(
        None, alias="NO_PROXY", description="hosts that are reached without it, by commas"
    )
    ssl_cert_file: NodePath | None = Field(
        None, alias="SSL_CERT_FILE", description="bundle on the nodes, in place of the system's"
    )
    ssl_cert_dir: NodePath | None = Field(
        None, alias="SSL_CERT_DIR", description="hashed folder of certificates on the nodes"
    )
    timeout: Timeout | None = Field(
        None, alias="GCP_TIMEOUT", description="seconds for everything, 1 to 55"
    )
    log: Log | None = Field(
        None, alias="GCP_LOG", description="journal, syslog, off, or an absolute path of a file"
    )
    scope: Scope | None = Field(
        None, alias="GCP_SCOPE", description="scope of an impersonated token"
    )
    lifetime: Lifetime | None = Field(
        None,
        alias="GCP_SERVICE_ACCOUNT_LIFETIME",
        description="seconds of an impersonated token, 600 to 43200",
    )


class Cluster(Part):
    """A cluster, and how Google knows it."""

    name: ClusterName = Field(description="in ids at Google, and a folder's name")
    issuer: str = Field(description="the tokens' iss, byte for byte")
    keys: KeySource = Field(description="uploaded to Google, or fetched by Google")
    jwks: FileName | None = Field(
        None, description="file of the keys, beside this one; if uploaded"
    )
    pool: FederationId | None = Field(None, description="the pool's id (default: from the name)")
    provider: FederationId | None = Field(
        None, description="the provider's id (default: from the name)"
    )
    kubernetes: Minor = Field(description="the API server's minor version, as in 1.34")
    cache_type: CacheType = Field(
        "ServiceAccount", description="what the kubelet caches credentials by (from 1.34 on)"
    )
    map_pod: Switch = Field(
        default=False, description="map the pod's name too; with cacheType Token only"
    )
    google_service_account: AccountEmail | None = Field(
        None, description="account that all pulls of this cluster impersonate"
    )
    cluster_role: Switch = Field(
        default=False, description="one ClusterRole in place of a Role in each namespace"
    )
    api_server_gate: Switch = Field(
        default=False,
        description="1.33 alone: the API server has the feature gate, so that no RBAC is needed",
    )
    environment: Environment = Field(
        default_factory=Environment,
        description="variables of the plugin: a proxy, certificates, a timeout, the log",
    )
    nodes: tuple[NodeGroup, ...] = Field((), description="groups of nodes that are set up alike")


class Repository(Part):
    """A repository that is pulled from."""

    name: RepositoryId = Field(description="what `pull` calls it, and its id unless that is given")
    repository_id: RepositoryId | None = Field(
        None,
        description="the repository's id (default: the name), where two locations or projects have"
        " the same",
    )
    location: Location = Field(description="a region or multi-region, as in europe-west4 or us")
    project: ProjectId | None = Field(
        None, description="the repository's project (default: google's)"
    )
    image_prefix: ImagePrefix | None = Field(
        None,
        description="registry and path of its images (default: LOCATION-docker.pkg.dev/PROJECT/ID;"
        " for a repository named like gcr.io, gcr.io/PROJECT)",
    )


class Puller(Part):
    """Who may pull: a ServiceAccount, a namespace, or a whole cluster."""

    cluster: ClusterName = Field(description="its name")
    namespace: Namespace | None = Field(None, description="left out: the whole cluster")
    service_account: ServiceAccountName | None = Field(
        None, description="left out: the whole namespace"
    )
    repositories: tuple[RepositoryId, ...] | None = Field(
        None, min_length=1, description="names; left out: all"
    )
    google_service_account: AccountEmail | None = Field(
        None, description="account that this one ServiceAccount impersonates"
    )


class Fleet(Part):
    """A whole description."""

    version: Version = Field(description="of this format")
    google: Google = Field(description="the project that holds pools and providers")
    clusters: tuple[Cluster, ...] = Field(min_length=1, description="whose pods pull")
    repositories: tuple[Repository, ...] = Field(min_length=1, description="that are pulled from")
    pull: tuple[Puller, ...] = Field(min_length=1, description="who may pull")

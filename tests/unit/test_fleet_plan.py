"""What follows from a description: audiences, members, conditions, RBAC, environment, reasons."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from gcp_sa_credential_provider.fleet.decide import plan_of
from gcp_sa_credential_provider.fleet.load import parse
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Grant, Plan, Rbac
from gcp_sa_credential_provider.plugin.settings import from_environment
from unit.fleet_samples import changed, write_keys

NUMBER = "123456789012"
POOLS = f"iam.googleapis.com/projects/{NUMBER}/locations/global/workloadIdentityPools"
READER = "roles/artifactregistry.reader"
USER = "roles/iam.workloadIdentityUser"
TEAM = "team@my-project.iam.gserviceaccount.com"
ONE = "one@my-project.iam.gserviceaccount.com"
SHARED = ('"123456789012"\n', '"123456789012"\n  sharedPool: clusters\n')


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of keys."""
    path = tmp_path_factory.mktemp("fleet")
    write_keys(path)
    return path


def plan(folder: Path, *changes: tuple[str, str]) -> Plan:
    """The plan of the sample, changed."""
    made = plan_of(parse(changed(changes), "fleet.yaml", folder), folder)
    for cluster in made.clusters:
        # The judge is the one on the node: the plugin itself.
        settings = from_environment(dict(cluster.environment))
        assert settings.audience == cluster.audience
        allowed = {pattern.text for pattern in settings.registries}
        assert {image.partition("/")[0] for image in cluster.match_images} == allowed
    return made


def choices(cluster: ClusterPlan, topic: str) -> list[str]:
    """What was decided on a topic."""
    return [one.choice for one in cluster.decisions if one.topic == topic]


def readers(grants: Sequence[Grant]) -> list[tuple[str, str]]:
    """Repository and member of those that read."""
    assert all(grant.role == READER for grant in grants if grant.repository)
    return [(grant.repository.name, grant.member) for grant in grants if grant.repository]


def users(grants: Sequence[Grant]) -> list[tuple[str | None, str]]:
    """Account and member of those that impersonate."""
    assert all(grant.role == USER for grant in grants if grant.account)
    return [(grant.account, grant.member) for grant in grants if grant.account]


def test_own_pools(folder: Path) -> None:
    """Everything of a cluster that uploads, and of one whose keys are fetched."""
    made = plan(folder)
    prod, cloud = made.clusters
    assert prod.audience == f"//{POOLS}/k8s-prod/providers/k8s-prod"
    assert (prod.pool, prod.provider) == ("k8s-prod", "k8s-prod")
    assert (prod.pool_display, prod.provider_display) == ("prod", "prod")
    assert prod.issuer == "https://kubernetes.default.svc.cluster.local"
    assert json.loads(prod.jwks or "") == json.loads((folder / "prod.json").read_text())
    assert cloud.jwks is None
    assert dict(prod.mapping) == {
        "google.subject": "assertion.sub",
        "attribute.namespace": (
            "has(assertion['kubernetes.io'].namespace) ? assertion['kubernetes.io'].namespace : ''"
        ),
    }
    assert prod.condition == "assertion.sub in ['system:serviceaccount:backend:default']"
    assert cloud.condition == "assertion['kubernetes.io']['namespace'] in ['web']"
    assert prod.rbac == (Rbac("backend", ("default",)),)
    assert cloud.rbac == (Rbac("web", ()),)
    assert not prod.node_get_service_accounts
    assert list(prod.environment.items()) == [
        ("GCP_AUDIENCE", prod.audience),
        ("GCP_REGISTRIES", "europe-docker.pkg.dev,us-docker.pkg.dev"),
    ]
    assert prod.match_images == (
        "europe-docker.pkg.dev/my-project/images/",
        "us-docker.pkg.dev/my-project/base/",
    )
    default = f"principal://{POOLS}/k8s-prod/subject/system:serviceaccount:backend:default"
    web = f"principalSet://{POOLS}/k8s-cloud/attribute.namespace/web"
    assert readers(made.grants) == [
        ("images", default),
        ("base", default),
        ("images", web),
        ("base", web),
    ]
    assert users(made.grants) == []
    assert made.service_accounts == ()
    assert [(one.topic, one.choice) for one in prod.decisions] == [
        ("keys", "1 uploaded"),
        ("pool", "one for this cluster alone"),
        ("mapping", "subject and namespace"),
        ("condition", "those that may pull"),
        ("cacheType", "ServiceAccount"),
        ("rbac", "a Role in each namespace"),
        ("matchImages", "the repositories of those that may pull, each with a slash at its end"),
    ]
    assert choices(cloud, "keys") == ["Google fetches them"]
    reasons = [one.reason for cluster in made.clusters for one in cluster.decisions]
    assert all(reason.endswith(".") and reason.isascii() for reason in reasons)
    room = next(one.reason for one in prod.decisions if one.topic == "mapping")
    assert "have 104 together" in room


def test_a_shared_pool(folder: Path) -> None:
    """Every value carries the cluster; nothing is granted to the pool."""
    made = plan(folder, SHARED, ("    namespace: web\n", ""))
    prod, cloud = made.clusters
    assert prod.audience == f"//{POOLS}/clusters/providers/k8s-prod"
    assert cloud.audience == f"//{POOLS}/clusters/providers/k8s-cloud"
    assert prod.pool_display == cloud.pool_display == "clusters"
    assert (prod.provider_display, cloud.provider_display) == ("prod", "cloud")
    assert dict(prod.mapping) == {
        "google.subject": "'prod::' + assertion.sub",
        "attribute.cluster": "'prod'",
        "attribute.cluster_namespace": (
            "'prod::' + (has(assertion['kubernetes.io'].namespace) ?"
            " assertion['kubernetes.io'].namespace : '')"
        ),
    }
    assert cloud.condition is None
    assert choices(cloud, "condition") == ["none"]
    default = f"principal://{POOLS}/clusters/subject/prod::system:serviceaccount:backend:default"
    whole = f"principalSet://{POOLS}/clusters/attribute.cluster/cloud"
    assert {member for _, member in readers(made.grants)} == {default, whole}
    assert choices(prod, "pool") == ["one for all clusters"]
    assert choices(cloud, "rbac") == ["a ClusterRole"]
    assert cloud.rbac == (Rbac(None, ()),)


def test_a_namespace_of_a_shared_pool(folder: Path) -> None:
    """By an attribute that names both."""
    made = plan(folder, SHARED)
    web = f"principalSet://{POOLS}/clusters/attribute.cluster_namespace/cloud::web"
    assert web in {member for _, member in readers(made.grants)}


def test_a_whole_cluster_of_its_own_pool(folder: Path) -> None:
    """The pool is the cluster."""
    made = plan(folder, ("    namespace: web\n", ""))
    assert {member for _, member in readers(made.grants)} >= {f"principalSet://{POOLS}/k8s-cloud/*"}


def test_ids_of_ones_own(folder: Path) -> None:
    """Pool and provider as written."""
    ids = "    keys: fetched\n    pool: my-pool\n    provider: my-provider\n"
    [_, cloud] = plan(folder, ("    keys: fetched\n", ids)).clusters
    assert cloud.audience == f"//{POOLS}/my-pool/providers/my-provider"
    assert (cloud.pool_display, cloud.provider_display) == ("cloud", "cloud")


def test_impersonation_by_a_cluster(folder: Path) -> None:
    """The account reads, and who pulls may be the account."""
    account = f"keys: fetched\n    googleServiceAccount: {TEAM}"
    made = plan(folder, ("keys: fetched", account))
    web = f"principalSet://{POOLS}/k8s-cloud/attribute.namespace/web"
    assert users(made.grants) == [(TEAM, web)]
    assert readers(made.grants)[2:] == [
        ("images", f"serviceAccount:{TEAM}"),
        ("base", f"serviceAccount:{TEAM}"),
    ]
    assert made.clusters[1].environment["GCP_SERVICE_ACCOUNT"] == TEAM
    assert "GCP_SERVICE_ACCOUNT" not in made.clusters[0].environment
    assert made.service_accounts == (TEAM,)


def test_impersonation_by_annotation(folder: Path) -> None:
    """The account of one ServiceAccount reads what its namespace reads, too."""
    one = (
        "    namespace: web\n"
        "  - cluster: cloud\n    namespace: web\n    serviceAccount: runner\n"
        f"    repositories: [base]\n    googleServiceAccount: {ONE}\n"
    )
    made = plan(folder, ("    namespace: web\n", one))
    cloud = made.clusters[1]
    runner = f"principal://{POOLS}/k8s-cloud/subject/system:serviceaccount:web:runner"
    assert users(made.grants) == [(ONE, runner)]
    assert set(readers(made.grants)[2:]) == {
        (repository, member)
        for repository in ("images", "base")
        for member in (
            f"principalSet://{POOLS}/k8s-cloud/attribute.namespace/web",
            f"serviceAccount:{ONE}",
        )
    }
    assert dict(cloud.annotations) == {("web", "runner"): ONE}
    assert cloud.environment["GCP_SERVICE_ACCOUNT_ANNOTATION"] == (
        "gcp-sa-credential-provider/service-account"
    )
    assert cloud.condition == "assertion['kubernetes.io']['namespace'] in ['web']"
    assert cloud.rbac == (Rbac("web", ()),)


def test_one_repository(folder: Path) -> None:
    """Nothing else is granted, matched, or given a token."""
    made = plan(folder, ("namespace: web", "namespace: web\n    repositories: [base]"))
    assert [name for name, _ in readers(made.grants)] == ["images", "base", "base"]
    cloud = made.clusters[1]
    assert cloud.match_images == ("us-docker.pkg.dev/my-project/base/",)
    assert cloud.environment["GCP_REGISTRIES"] == "us-docker.pkg.dev"


def test_repositories_elsewhere(folder: Path) -> None:
    """Another project, one of a domain, an id of its own, gcr.io; nothing is matched twice."""
    repositories = """\
repositories:
  - {name: gcr.io, location: us}
  - {name: domain, location: europe, project: 'example.com:images', repositoryId: all}
  - {name: part, location: asia, imagePrefix: mirror.example.com/all/part}
  - {name: whole, location: asia, imagePrefix: mirror.example.com/all}
  - name: base
    project: other-project
"""
    before = "repositories:\n  - name: images\n    location: europe\n  - name: base\n"
    made = plan(folder, (before, repositories))
    assert made.clusters[0].match_images == (
        "gcr.io/my-project/",
        "europe-docker.pkg.dev/example.com/images/all/",
        "mirror.example.com/all/",
        "us-docker.pkg.dev/other-project/base/",
    )
    assert [(one.project, one.location, one.name) for one in made.repositories] == [
        ("my-project", "us", "gcr.io"),
        ("example.com:images", "europe", "all"),
        ("my-project", "asia", "part"),
        ("my-project", "asia", "whole"),
        ("other-project", "us", "base"),
    ]


def test_cache_by_token_and_the_pod(folder: Path) -> None:
    """The pod is mapped on request, guarded, in a shared pool with the cluster."""
    token = "keys: fetched\n    cacheType: Token\n    mapPod: true"
    own = plan(folder, ("keys: fetched", token)).clusters[1]
    guarded = "has(assertion['kubernetes.io'].pod) ? assertion['kubernetes.io'].pod.name : ''"
    assert own.mapping["attribute.pod"] == guarded
    assert choices(own, "cacheType") == ["Token"]
    assert choices(own, "mapping") == ["subject and namespace", "the pod's name too"]
    shared = plan(folder, SHARED, ("keys: fetched", token)).clusters[1]
    assert shared.mapping["attribute.pod"] == f"'cloud::' + ({guarded})"


@pytest.mark.parametrize(
    ("server", "gate", "needed"),
    [("1.33", "", True), ("1.33", "    apiServerGate: true\n", False), ("1.34", "", False)],
)
def test_nodes_that_read_service_accounts(
    folder: Path, server: str, gate: str, *, needed: bool
) -> None:
    """An API server of 1.33 without its gate does not let them by itself."""
    made = plan(folder, ('    kubernetes: "1.36"\n', f'    kubernetes: "{server}"\n{gate}'))
    assert made.clusters[1].node_get_service_accounts is needed


def test_an_older_node(folder: Path) -> None:
    """1.33 below an API server of 1.34 is fine, and three minors below one of 1.36."""
    node = ('        kubernetes: "1.34"', '        kubernetes: "1.33"')
    for server in ("1.34", "1.36"):
        [prod, _] = plan(folder, node, ('kubernetes: "1.34"', f'kubernetes: "{server}"')).clusters
        assert prod.nodes[0].kubernetes == "1.33"


def test_a_cluster_role(folder: Path) -> None:
    """On request; with names, since those are all that may pull."""
    [prod, _] = plan(folder, ("jwks: prod.json", "jwks: prod.json\n    clusterRole: true")).clusters
    assert prod.rbac == (Rbac(None, ("default",)),)
    assert choices(prod, "rbac") == ["a ClusterRole"]


def test_another_universe(folder: Path) -> None:
    """Its own hosts everywhere; registries are named, since none is Google's."""
    place = "location: u-france-east1\n    imagePrefix: docker.s3ns.fr/s3ns/p"
    made = plan(
        folder,
        ('"123456789012"\n', '"123456789012"\n  universeDomain: s3nsapis.fr\n'),
        ("location: europe", f"{place}/images"),
        ("location: us", f"{place}/base"),
    )
    prod = made.clusters[0]
    path = f"projects/{NUMBER}/locations/global/workloadIdentityPools/k8s-prod"
    assert prod.audience == f"//iam.s3nsapis.fr/{path}/providers/k8s-prod"
    assert prod.environment["GOOGLE_CLOUD_UNIVERSE_DOMAIN"] == "s3nsapis.fr"
    assert prod.environment["GCP_REGISTRIES"] == "docker.s3ns.fr"
    member = f"principal://iam.s3nsapis.fr/{path}/subject/system:serviceaccount:backend:default"
    assert made.grants[0].member == member


def test_endpoints(folder: Path) -> None:
    """Both, for regional and private ones."""
    endpoints = (
        "  endpoints: {sts: https://sts.example.com, iamCredentials: https://iam.example.com}\n"
    )
    made = plan(folder, ('"123456789012"\n', '"123456789012"\n' + endpoints))
    environment = made.clusters[0].environment
    assert environment["GCP_STS_ENDPOINT"] == "https://sts.example.com"
    assert environment["GCP_IAM_CREDENTIALS_ENDPOINT"] == "https://iam.example.com"


def test_variables_of_the_site(folder: Path) -> None:
    """A proxy, certificates and a timeout reach the plugin on that cluster's nodes alone."""
    site = """\
    environment:
      HTTPS_PROXY: http://proxy.example.com:3128
      NO_PROXY: .example.com,10.0.0.0/8
      SSL_CERT_FILE: /etc/ssl/corp.pem
      GCP_TIMEOUT: 20
      GCP_LOG: syslog
"""
    prod, cloud = plan(folder, ("    jwks: prod.json\n", "    jwks: prod.json\n" + site)).clusters
    assert list(prod.environment.items())[2:] == [
        ("HTTPS_PROXY", "http://proxy.example.com:3128"),
        ("NO_PROXY", ".example.com,10.0.0.0/8"),
        ("SSL_CERT_FILE", "/etc/ssl/corp.pem"),
        ("GCP_TIMEOUT", "20"),
        ("GCP_LOG", "syslog"),
    ]
    assert list(cloud.environment) == ["GCP_AUDIENCE", "GCP_REGISTRIES"]


def test_keys_that_are_left_out(folder: Path) -> None:
    """Only what Google takes is uploaded, and it is said what is not."""
    [prod, _] = plan(folder, ("prod.json", "mixed.json")).clusters
    assert [key["kid"] for key in json.loads(prod.jwks or "")["keys"]] == ["rsa"]
    assert choices(prod, "keys") == [
        "1 uploaded",
        "left out: kid 'P-384': its curve is 'P-384', and Google takes P-256",
    ]


def test_more_accounts_than_a_condition_holds(folder: Path) -> None:
    """Then by namespace, with the reason; the grants still name them."""
    many = "".join(
        f"  - {{cluster: cloud, namespace: web, serviceAccount: puller-{number:03}}}\n"
        for number in range(120)
    )
    made = plan(folder, ("  - cluster: cloud\n    namespace: web\n", many))
    cloud = made.clusters[1]
    assert cloud.condition == "assertion['kubernetes.io']['namespace'] in ['web']"
    assert choices(cloud, "condition") == ["the namespaces of those that may pull"]
    [reason] = [one.reason for one in cloud.decisions if one.topic == "condition"]
    assert reason.startswith("Single ServiceAccounts make 4817 characters, and Google takes 4096")
    assert len(readers(made.grants)) == 2 + 240

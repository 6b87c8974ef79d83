"""What `render` writes for nodes: the kubelet of each minor loads it, and pulls by it.

The real plugin exchanges at the emulator, which is set up by the same plan.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.fleet.model import Distribution
from gcp_sa_credential_provider.fleet.plan import Plan
from gcp_sa_credential_provider.render import distributions, helm
from gcp_sa_credential_provider.render.distributions import eks
from kubelet.google import Google
from kubelet.harness import Kubelet, Pull, Refused
from kubelet.node import ALPHA, PLUGIN, Node
from kubelet.rendered_configs import Found, found
from kubelet.rendered_fleet import ACCOUNT, PULLER, emulated, plan

IMAGE = "europe-west4-docker.pkg.dev/project/repository/team/app"
NEIGHBOUR = "europe-west4-docker.pkg.dev/project/repository-too/app"
UNKNOWN = 'unknown field "providers['
REQUIRED = "tokenAttributes.cacheType: Required value"
DROP_IN = "50-gcp-sa-credential-provider.yaml"
DISTRIBUTIONS = [one for one in get_args(Distribution) if one != "bottlerocket"]
WITH_DIRECTORIES = [one for one in DISTRIBUTIONS if one not in {"talos", "openshift"}]


@pytest.fixture
def google(tmp_path_factory: pytest.TempPathFactory, issuer: Issuer) -> Iterator[Google]:
    """Google as the plan of the simplest fleet says."""
    with Emulator(tmp_path_factory.mktemp("google"), emulated(plan(issuer.jwks))) as emulator:
        yield Google(emulator, issuer, "k8s-cluster-1")


def rendered(made: Plan) -> dict[str, str]:
    """The files of the fleet's only group of nodes."""
    (cluster,) = made.clusters
    return distributions.files(cluster, cluster.nodes[0])


def put(node: Node, config: Found) -> None:
    """On the node: the file, and a program for each of its providers."""
    node.config.write_text(config.text)
    for provider in config.document["providers"]:
        if provider["name"] != PLUGIN and not (node.bin_dir / provider["name"]).is_symlink():
            node.install(Path("/bin/false"), provider["name"])


def boot(node: Node) -> Kubelet:
    """A kubelet of it, which tells the plugin where Google is, and knows the pods' account."""
    kubelet = node.boot(environment=node.google.whereabouts())
    kubelet.service_accounts(node.account)
    return kubelet


def started(node: Node, config: Found) -> Kubelet | str:
    """The node's kubelet with it, or why it does not start."""
    put(node, config)
    try:
        return boot(node)
    except Refused as refused:
        return str(refused)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_every_configuration_is_loaded_by_the_kubelet_it_is_for(
    node: Node, issuer: Issuer, distribution: Distribution
) -> None:
    """What is for 1.33 by 1.33, all else by all others, and it pulls; each ends on the other's."""
    pull = Pull(image=IMAGE, token=node.google.token())
    for minor in {ALPHA, node.minor}:
        configs = found(rendered(plan(issuer.jwks, minor, distribution)))
        assert configs
        for config in configs:
            kubelet = started(node, config)
            if config.is_alpha == (node.minor == ALPHA):
                assert not isinstance(kubelet, str), config.where
                pulled = kubelet.pull(pull)
                # OpenShift's own provider on Google matches the same images.
                others = {"gcr-credential-provider": 1} if "-gcr.yaml" in config.where else {}
                assert pulled.execs == {PLUGIN: 1, **others}, config.where
                assert pulled.credential.username == "oauth2accesstoken", config.where
            else:
                assert isinstance(kubelet, str), config.where
                assert (UNKNOWN if node.minor == ALPHA else REQUIRED) in kubelet


@pytest.mark.parametrize("distribution", WITH_DIRECTORIES)
def test_every_directory_is_loaded(
    node: Node, issuer: Issuer, distribution: Distribution, tmp_path: Path
) -> None:
    """Ours beside the distribution's own file, which is a link; 1.33 takes none."""
    minor = "1.34" if node.minor == ALPHA else node.minor
    made = plan(issuer.jwks, minor, distribution, directory=True)
    own = tmp_path / "config.json"
    own.write_text(
        json.dumps(
            {
                "apiVersion": "kubelet.config.k8s.io/v1",
                "kind": "CredentialProviderConfig",
                "providers": [eks.ECR_ENTRY],
            }
        )
    )
    node.install(Path("/bin/false"), "ecr-credential-provider")
    folder = tmp_path / "config.d"
    folder.mkdir()
    (folder / "10-ecr.json").symlink_to(own)
    (folder / DROP_IN).write_text(rendered(made)[DROP_IN])
    node.config = folder
    if node.minor == ALPHA:
        with pytest.raises(Refused, match="is a directory"):
            node.boot()
        return
    kubelet = boot(node)
    assert kubelet.pull(Pull(image=IMAGE, token=node.google.token())).execs == {PLUGIN: 1}
    ecr = Pull(image="123456789012.dkr.ecr.eu-west-1.amazonaws.com/app")
    assert kubelet.pull(ecr).exec_errors == {"ecr-credential-provider": 1}


def test_the_charts_values(node: Node, issuer: Issuer) -> None:
    """They hold the form of 1.34; for 1.33 the installer takes cacheType out."""
    (config,) = found(helm.files(plan(issuer.jwks, node.minor)))
    assert not config.is_alpha
    kubelet = started(node, config)
    if node.minor == ALPHA:
        assert isinstance(kubelet, str)
        assert UNKNOWN in kubelet
    else:
        assert not isinstance(kubelet, str)
        pulled = kubelet.pull(Pull(image=IMAGE, token=node.google.token()))
        assert pulled.execs == {PLUGIN: 1}


def config_of(made: Plan) -> Found:
    """The file for the group's own minor."""
    name = "credential-provider-config.yaml"
    return Found(name, rendered(made)[name])


def installed(node: Node, made: Plan) -> Kubelet:
    """A kubelet with that file."""
    put(node, config_of(made))
    return boot(node)


def test_a_pull(node: Node, issuer: Issuer) -> None:
    """By the principal that the plan grants the repository to, and kept for an hour's token."""
    made = plan(issuer.jwks, node.minor)
    kubelet = installed(node, made)
    pull = Pull(image=IMAGE, token=node.google.token())
    pulled = kubelet.pull(pull)
    assert pulled.errors == []
    assert pulled.execs == {PLUGIN: 1}
    assert pulled.credential.username == "oauth2accesstoken"
    (reader,) = [grant for grant in made.grants if grant.repository is not None]
    assert node.google.principal(pulled.credential.password) == reader.member
    # defaultCacheDuration is 0s; the answer's own duration counts.
    assert kubelet.pull(pull).execs == {}
    kubelet.advance(3300)
    assert kubelet.pull(pull).execs == {PLUGIN: 1}


def test_images_of_a_repository_whose_name_begins_alike(node: Node, issuer: Issuer) -> None:
    """The plugin is not run for them: nobody of this cluster pulls from there."""
    kubelet = installed(node, plan(issuer.jwks, node.minor))
    pulled = kubelet.pull(Pull(image=NEIGHBOUR, token=node.google.token()))
    assert pulled.credentials == [[]]
    assert pulled.execs == {}
    assert pulled.token_requests == []


def test_a_service_account_that_may_not_pull(node: Node, issuer: Issuer) -> None:
    """The provider's condition is the fence, whatever the node asks for."""
    kubelet = installed(node, plan(issuer.jwks, node.minor))
    other = node.google.token(service_account="other")
    pulled = kubelet.pull(Pull(image=IMAGE, token=other))
    assert pulled.credentials == [[]]
    (error,) = pulled.errors
    assert f"{PLUGIN}: [STS-CONDITION] " in error


def test_endpoints_of_the_description(node: Node, issuer: Issuer) -> None:
    """They are in the file; the kubelet's environment has nothing but whom to trust."""
    whereabouts = node.google.whereabouts()
    endpoints = {
        "sts": whereabouts["GCP_STS_ENDPOINT"],
        "iamCredentials": whereabouts["GCP_IAM_CREDENTIALS_ENDPOINT"],
    }
    made = plan(issuer.jwks, node.minor, google={"endpoints": endpoints})
    put(node, config_of(made))
    kubelet = node.boot(environment={"SSL_CERT_FILE": whereabouts["SSL_CERT_FILE"]})
    kubelet.service_accounts(node.account)
    pulled = kubelet.pull(Pull(image=IMAGE, token=node.google.token()))
    assert pulled.credential.username == "oauth2accesstoken"
    assert node.google.exchanges() == 1


def test_impersonation(
    node: Node, issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One account for the whole cluster: the plan's grants are what lets it."""
    made = plan(issuer.jwks, node.minor, pull=[PULLER], googleServiceAccount=ACCOUNT)
    with Emulator(tmp_path_factory.mktemp("google"), emulated(made)) as emulator:
        node.google = Google(emulator, issuer, "k8s-cluster-1")
        kubelet = installed(node, made)
        pulled = kubelet.pull(Pull(image=IMAGE, token=node.google.token()))
        assert pulled.errors == []
        principal = node.google.principal(pulled.credential.password)
        assert principal == f"serviceAccount:{ACCOUNT}"
        assert node.google.impersonations() == 1

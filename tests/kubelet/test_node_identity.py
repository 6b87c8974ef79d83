"""The main job on tokens that nobody here made: a real API server signs, a node asks.

The kubelet's token manager requests the pod's token as system:node:node-1, the Node authorizer and
the NodeRestriction admission plugin decide, and the emulator verifies the token by the keys that
the API server publishes.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from gcp_sa_credential_provider.emulator.inprocess import Emulator
from kubelet.cluster import Namespace
from kubelet.control_plane import ControlPlane
from kubelet.google import Google, configuration
from kubelet.harness import Kubelet, Pulled
from kubelet.node import PLUGIN, Node

IMAGE = "us-docker.pkg.dev/project/repository/app"
PROVIDER = "k8s-real"
ANNOTATION = "gcp-sa-credential-provider/service-account"


@pytest.fixture(scope="module")
def emulator(api: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Google, trusting the API server's keys as `kubectl get --raw /openid/v1/jwks` prints them."""
    config = configuration(api.read("/openid/v1/jwks").decode(), PROVIDER)
    with Emulator(tmp_path_factory.mktemp("google"), config) as running:
        yield running


@pytest.fixture
def google(emulator: Emulator) -> Google:
    """Google with nothing in its log."""
    emulator.log.clear()
    return Google(emulator, None, PROVIDER)


def start(node: Node, api: ControlPlane, name: str = "node-1", **provider: Any) -> Kubelet:
    """A kubelet of this node, as the original README sets it up (cacheType Token)."""
    chosen = node.provider(cache_type="Token", **provider)
    return node.start(chosen, kubeconfig=api.node_kubeconfig(name))


def assert_not_authorized(pulled: Pulled, audience: str) -> None:
    """The pull is anonymous, nothing was run, and the log has the API server's words."""
    assert pulled.credentials == [[]]
    assert pulled.execs == {}
    (error,) = pulled.errors
    refusal = f"system:node:node-1 is not authorized to request tokens for audience {audience}"
    assert refusal in error.replace('\\"', "").replace('"', "")


@pytest.mark.parametrize("resource", ["the audience", "*"])
def test_the_main_job(node: Node, api: ControlPlane, namespace: Namespace, resource: str) -> None:
    """With the audience allowed, verbatim or by "*", the image is pulled with Google's token."""
    audience = node.google.audience
    namespace.let_nodes_request(audience if resource == "the audience" else resource)
    kubelet = start(node, api)
    pulled = kubelet.pull(namespace.pull(IMAGE))
    assert pulled.errors == []
    assert pulled.execs == {PLUGIN: 1}
    assert pulled.credential.username == "oauth2accesstoken"
    subject = f"system:serviceaccount:{namespace.name}:puller"
    assert node.google.principal(pulled.credential.password).endswith(f"/subject/{subject}")


def test_the_kubelet_keeps_its_token(node: Node, api: ControlPlane, namespace: Namespace) -> None:
    """Its token manager hands out one token until 80 % of its life: one exec serves the pod."""
    namespace.let_nodes_request(node.google.audience)
    kubelet = start(node, api)
    first = kubelet.pull(namespace.pull(IMAGE)).credential
    again = kubelet.pull(namespace.pull(IMAGE))
    assert again.credential == first
    assert again.execs == {}
    assert node.google.exchanges() == 1


@pytest.mark.parametrize("resource", [None, "GCP_AUDIENCE"])
def test_without_rbac(
    node: Node, api: ControlPlane, namespace: Namespace, resource: str | None
) -> None:
    """No role, or the placeholder of the original README left in it: the node may not ask."""
    if resource:
        namespace.let_nodes_request(resource)
    pulled = start(node, api).pull(namespace.pull(IMAGE))
    assert_not_authorized(pulled, node.google.audience)
    assert node.google.exchanges() == 0


def test_rbac_for_another_service_account(
    node: Node, api: ControlPlane, namespace: Namespace
) -> None:
    """With resourceNames a role says which ServiceAccounts' tokens nodes may ask for."""
    namespace.service_account("other")
    namespace.pod("pod-2", "other")
    namespace.let_nodes_request(node.google.audience, names=["other"])
    kubelet = start(node, api)
    assert_not_authorized(kubelet.pull(namespace.pull(IMAGE)), node.google.audience)
    allowed = kubelet.pull(namespace.pull(IMAGE, pod="pod-2"))
    assert node.google.principal(allowed.credential.password).endswith(f"{namespace.name}:other")


def test_rbac_by_a_namespaced_role(node: Node, api: ControlPlane, namespace: Namespace) -> None:
    """A Role and a RoleBinding are enough, and count in their namespace alone."""
    elsewhere = Namespace(api, node.stack)
    elsewhere.service_account("puller")
    elsewhere.pod("pod-1", "puller")
    namespace.let_nodes_request(node.google.audience, everywhere=False)
    kubelet = start(node, api)
    assert kubelet.pull(namespace.pull(IMAGE)).credential.username == "oauth2accesstoken"
    assert_not_authorized(kubelet.pull(elsewhere.pull(IMAGE)), node.google.audience)


def test_another_node(node: Node, api: ControlPlane, namespace: Namespace) -> None:
    """A node gets neither ServiceAccounts nor tokens of pods that run elsewhere."""
    namespace.let_nodes_request(node.google.audience)
    pulled = start(node, api, "node-2").pull(namespace.pull(IMAGE))
    assert pulled.credentials == [[]]
    assert pulled.token_requests == []
    (error,) = pulled.errors
    assert "no relationship found between node 'node-2' and this object" in error


def test_annotation_of_a_real_service_account(
    node: Node, api: ControlPlane, namespace: Namespace
) -> None:
    """The node reads the annotation of its pod's ServiceAccount, which names the Google account."""
    namespace.service_account("annotated", {ANNOTATION: node.google.account})
    namespace.pod("pod-2", "annotated")
    namespace.let_nodes_request(node.google.audience)
    kubelet = start(
        node,
        api,
        optional_annotations=[ANNOTATION],
        env={"GCP_SERVICE_ACCOUNT_ANNOTATION": ANNOTATION},
    )
    pulled = kubelet.pull(namespace.pull(IMAGE, pod="pod-2"))
    assert pulled.errors == []
    principal = node.google.principal(pulled.credential.password)
    assert principal == f"serviceAccount:{node.google.account}"

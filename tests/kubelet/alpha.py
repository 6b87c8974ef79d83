"""The main job on Kubernetes 1.33, where ServiceAccount tokens for image pulls are alpha.

    python tests/kubelet/build.py alpha && pytest tests/kubelet/alpha.py

The kubelet's gate alone is not enough: without the API server's a node may not read
ServiceAccounts (v1.33: plugin/pkg/auth/authorizer/node/node_authorizer.go). Not part of every run,
because that API server is built for nothing else.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gcp_sa_credential_provider.demo.issuer import ISSUER
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from kubelet import build
from kubelet.cluster import Namespace
from kubelet.control_plane import ControlPlane, control_plane
from kubelet.google import Google, configuration
from kubelet.harness import Kubelet
from kubelet.node import ALPHA, GATE, PLUGIN, Node

MINORS = [ALPHA]
IMAGE = "us-docker.pkg.dev/project/repository/app"
PROVIDER = "k8s-alpha"


@pytest.fixture(scope="module", params=[True, False], ids=["gate", "no-gate"])
def gate(request: pytest.FixtureRequest) -> bool:
    """Whether the API server has the gate on."""
    chosen: bool = request.param
    return chosen


@pytest.fixture(scope="module")
def api(gate: bool) -> Iterator[ControlPlane]:  # noqa: FBT001  a fixture
    """A kube-apiserver of 1.33."""
    etcd, server = build.etcd().build(), build.kube_apiserver(ALPHA).build()
    flags = [f"--feature-gates={GATE}={str(gate).lower()}"]
    with control_plane(etcd, server, issuer=ISSUER, nodes=["node-1"], flags=flags) as running:
        running.create("/api/v1/nodes", metadata={"name": "node-1"})
        yield running


@pytest.fixture
def google(api: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """Google, trusting the API server's keys."""
    config = configuration(api.read("/openid/v1/jwks").decode(), PROVIDER)
    with Emulator(tmp_path_factory.mktemp("google"), config) as emulator:
        yield Google(emulator, None, PROVIDER)


@pytest.fixture
def namespace(api: ControlPlane, google: Google) -> Iterator[Namespace]:
    """A namespace with a pod, whose tokens nodes may request."""
    with ExitStack() as stack:
        made = Namespace(api, stack)
        made.service_account("puller")
        made.pod("pod-1", "puller")
        made.let_nodes_request(google.audience)
        yield made


def pull(node: Node, api: ControlPlane, namespace: Namespace) -> tuple[Kubelet, list[str]]:
    """Start a kubelet with the gate on and pull; returns it and the log's errors."""
    kubelet = node.start(kubeconfig=api.node_kubeconfig("node-1"))
    pulled = kubelet.pull(namespace.pull(IMAGE))
    if not pulled.errors:
        assert pulled.execs == {PLUGIN: 1}
        assert pulled.credential.username == "oauth2accesstoken"
        subject = f"system:serviceaccount:{namespace.name}:puller"
        assert node.google.principal(pulled.credential.password).endswith(f"/subject/{subject}")
    return kubelet, pulled.errors


def test_gates_decide(node: Node, api: ControlPlane, namespace: Namespace, *, gate: bool) -> None:
    """With both gates on it works; with the kubelet's alone the ServiceAccount cannot be read."""
    _, errors = pull(node, api, namespace)
    if gate:
        assert errors == []
        return
    (error,) = errors
    assert f"Failed to get service account {namespace.name}/puller" in error
    assert node.google.exchanges() == 0


def test_role_instead_of_the_gate(node: Node, api: ControlPlane, namespace: Namespace) -> None:
    """A Role in the namespace that lets nodes get ServiceAccounts does what the gate would."""
    namespace.let_nodes_read_service_accounts()
    assert pull(node, api, namespace)[1] == []

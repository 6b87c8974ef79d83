"""The main job on Kubernetes 1.33, where ServiceAccount tokens for image pulls are alpha.

    python tests/kubelet/build.py alpha && pytest tests/kubelet/alpha.py

The kubelet's gate alone is not enough: without the API server's a node may not read
ServiceAccounts (v1.33: plugin/pkg/auth/authorizer/node/node_authorizer.go). First by hand, then by
what `render` writes for both ways of the description: with the API server's gate, and with a rule
in its place. Not part of every run, because that API server is built for nothing else.
"""

from collections.abc import Iterator

import pytest

from gcp_sa_credential_provider.demo.issuer import ISSUER
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.render import distributions, kubernetes
from kubelet import build
from kubelet.cluster import Namespace
from kubelet.control_plane import ControlPlane, control_plane
from kubelet.google import Google, configuration
from kubelet.harness import Kubelet, Pulled
from kubelet.node import ALPHA, GATE, PLUGIN, Node
from kubelet.rendered_cluster import NodeIdentity, applied, until
from kubelet.rendered_fleet import emulated, plan

MINORS = [ALPHA]
IMAGE = "europe-west4-docker.pkg.dev/project/repository/app"
PROVIDER = "k8s-alpha"


@pytest.fixture(scope="module", params=[True, False], ids=["gate", "no-gate"])
def gate(request: pytest.FixtureRequest) -> bool:
    """Whether the API server has the gate on."""
    chosen: bool = request.param
    return chosen


@pytest.fixture(scope="module")
def api(*, gate: bool) -> Iterator[ControlPlane]:
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


def pull(kubelet: Kubelet, namespace: Namespace, google: Google) -> Pulled:
    """Pull, and where that went well see that it was the pod's own ServiceAccount."""
    pulled = kubelet.pull(namespace.pull(IMAGE))
    if not pulled.errors:
        assert pulled.execs == {PLUGIN: 1}
        assert pulled.credential.username == "oauth2accesstoken"
        subject = f"system:serviceaccount:{namespace.name}:puller"
        assert google.principal(pulled.credential.password).endswith(f"/subject/{subject}")
    return pulled


def pull_by_hand(node: Node, api: ControlPlane, namespace: Namespace) -> list[str]:
    """By a kubelet with the gate on, whose node may request the token; returns its errors."""
    namespace.let_nodes_request(node.google.audience)
    kubelet = node.start(kubeconfig=api.node_kubeconfig("node-1"))
    return pull(kubelet, namespace, node.google).errors


def test_gates_decide(node: Node, api: ControlPlane, namespace: Namespace, *, gate: bool) -> None:
    """With both gates on it works; with the kubelet's alone the ServiceAccount cannot be read."""
    errors = pull_by_hand(node, api, namespace)
    if gate:
        assert errors == []
        return
    (error,) = errors
    assert f"Failed to get service account {namespace.name}/puller" in error
    assert node.google.exchanges() == 0


def test_role_instead_of_the_gate(node: Node, api: ControlPlane, namespace: Namespace) -> None:
    """A Role in the namespace that lets nodes get ServiceAccounts does what the gate would."""
    namespace.let_nodes_read_service_accounts()
    assert pull_by_hand(node, api, namespace) == []


def pull_as_rendered(
    node: Node,
    api: ControlPlane,
    namespace: Namespace,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    said: bool,
) -> list[str]:
    """By rendered files alone; `said`: the description's apiServerGate. Returns the errors."""
    made = plan(
        api.read("/openid/v1/jwks").decode(),
        ALPHA,
        pull=[{"cluster": "cluster-1", "namespace": namespace.name, "serviceAccount": "puller"}],
        apiServerGate=said,
    )
    (cluster,) = made.clusters
    files = distributions.files(cluster, cluster.nodes[0])
    node.config.write_text(files["credential-provider-config.yaml"])
    (manifests,) = kubernetes.files(made).values()
    with (
        Emulator(tmp_path_factory.mktemp("google"), emulated(made)) as emulator,
        applied(api, manifests),
    ):
        google = Google(emulator, None, "k8s-cluster-1")
        asked = namespace.pull(IMAGE)
        asking = NodeIdentity(api, "node-1")
        pod = (asked.pod, asked.pod_uid)
        until(lambda: not asking.refusal(namespace.name, "puller", pod, cluster.audience))
        kubelet = node.boot(
            environment=google.whereabouts(), kubeconfig=api.node_kubeconfig("node-1")
        )
        return pull(kubelet, namespace, google).errors


def test_as_described(
    node: Node,
    api: ControlPlane,
    namespace: Namespace,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    gate: bool,
) -> None:
    """The rule is there exactly where the gate is not: both pull."""
    assert pull_as_rendered(node, api, namespace, tmp_path_factory, said=gate) == []


def test_a_gate_that_is_not_there(
    node: Node,
    api: ControlPlane,
    namespace: Namespace,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    gate: bool,
) -> None:
    """Ends as the file says; where the gate is there, an extra rule does no harm."""
    errors = pull_as_rendered(node, api, namespace, tmp_path_factory, said=not gate)
    if gate:
        assert errors == []
        return
    (error,) = errors
    assert f"Failed to get service account {namespace.name}/puller" in error

"""What `render` writes for Kubernetes 1.33, against a real API server of that minor.

    python tests/kubelet/build.py alpha && pytest tests/kubelet/alpha_rendered.py

Both ways of the description: with the API server's gate, and with a rule in its place. Not part of
every run, as alpha.py is not.
"""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from gcp_sa_credential_provider.demo.issuer import ISSUER
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.render import distributions, kubernetes
from kubelet import build
from kubelet.cluster import Namespace
from kubelet.control_plane import ControlPlane, control_plane
from kubelet.google import Google
from kubelet.harness import Pulled
from kubelet.node import ALPHA, GATE, PLUGIN, Node
from kubelet.rendered_cluster import NodeIdentity, applied, until
from kubelet.rendered_fleet import emulated, plan

MINORS = [ALPHA]
IMAGE = "europe-west4-docker.pkg.dev/project/repository/app"


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
def namespace(api: ControlPlane) -> Iterator[Namespace]:
    """A namespace with a pod."""
    with ExitStack() as stack:
        made = Namespace(api, stack)
        made.service_account("puller")
        made.pod("pod-1", "puller")
        yield made


def pulled(
    node: Node,
    api: ControlPlane,
    namespace: Namespace,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    said: bool,
) -> Pulled:
    """A pull by rendered files alone; `said`: the description's apiServerGate."""
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
        pull = namespace.pull(IMAGE)
        asking = NodeIdentity(api, "node-1")
        pod = (pull.pod, pull.pod_uid)
        until(lambda: not asking.refusal(namespace.name, "puller", pod, cluster.audience))
        kubelet = node.boot(
            environment=google.whereabouts(), kubeconfig=api.node_kubeconfig("node-1")
        )
        answer = kubelet.pull(pull)
        if not answer.errors:
            assert answer.execs == {PLUGIN: 1}
            principal = google.principal(answer.credential.password)
            assert principal.endswith(f"/subject/system:serviceaccount:{namespace.name}:puller")
        return answer


def test_as_described(
    node: Node,
    api: ControlPlane,
    namespace: Namespace,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    gate: bool,
) -> None:
    """The rule is there exactly where the gate is not: both pull."""
    assert pulled(node, api, namespace, tmp_path_factory, said=gate).errors == []


def test_a_gate_that_is_not_there(
    node: Node,
    api: ControlPlane,
    namespace: Namespace,
    tmp_path_factory: pytest.TempPathFactory,
    *,
    gate: bool,
) -> None:
    """Ends as the file says; where the gate is there, an extra rule does no harm."""
    answer = pulled(node, api, namespace, tmp_path_factory, said=not gate)
    if gate:
        assert answer.errors == []
        return
    (error,) = answer.errors
    assert f"Failed to get service account {namespace.name}/puller" in error

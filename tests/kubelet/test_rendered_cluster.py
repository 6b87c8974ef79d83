"""What `render` writes for a cluster, applied to a real kube-apiserver, and asked by real nodes.

Then the whole chain from rendered files alone: RBAC, annotation, configuration, provider.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan
from gcp_sa_credential_provider.render import distributions, kubernetes
from kubelet.cluster import Namespace
from kubelet.control_plane import ControlPlane
from kubelet.google import Google
from kubelet.harness import Pull
from kubelet.node import PLUGIN, Node
from kubelet.rendered_cluster import NodeIdentity, applied, until
from kubelet.rendered_fleet import ACCOUNT, emulated, plan

IMAGE = "europe-west4-docker.pkg.dev/project/repository/app"
ACCOUNTS = ("puller", "other")


@dataclass(frozen=True)
class Team:
    """A namespace with two ServiceAccounts, each with a pod on node-1."""

    name: str
    pods: dict[str, tuple[str, str]]
    """Name and UID by ServiceAccount."""


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What ends with the test."""
    with ExitStack() as made:
        yield made


@pytest.fixture
def teams(api: ControlPlane, stack: ExitStack) -> tuple[Team, Team]:
    """Two, and the second is never named by anybody."""
    return team(api, stack), team(api, stack)


def team(api: ControlPlane, stack: ExitStack) -> Team:
    namespace = Namespace(api, stack)
    pods = {}
    for account in ACCOUNTS:
        namespace.service_account(account)
        namespace.pod(f"pod-of-{account}", account)
        pull = namespace.pull(IMAGE, pod=f"pod-of-{account}")
        pods[account] = (pull.pod, pull.pod_uid)
    return Team(namespace.name, pods)


def pull_of(one: Team, account: str) -> Pull:
    """The pull of an account's pod; the token comes from the API server."""
    pod, uid = one.pods[account]
    return Pull(image=IMAGE, namespace=one.name, pod=pod, pod_uid=uid, service_account=account)


def described(
    api: ControlPlane, *pull: dict[str, Any], minor: str = "1.37", **cluster: Any
) -> Plan:
    """A fleet with the API server's keys; its audience is nobody else's in this server."""
    jwks = api.read("/openid/v1/jwks").decode()
    own = {"provider": f"k8s-{uuid.uuid4().hex[:8]}"} | cluster
    return plan(jwks, minor, pull=[{"cluster": "cluster-1", **one} for one in pull], **own)


def manifests(made: Plan) -> str:
    """kubernetes.yaml."""
    (text,) = kubernetes.files(made).values()
    return text


def allowed(api: ControlPlane, teams: tuple[Team, Team], cluster: ClusterPlan) -> set[str]:
    """TEAM/ACCOUNT of all whose tokens node-1 gets; every refusal is about the audience."""
    node = NodeIdentity(api, "node-1")
    given = set()
    for index, one in enumerate(teams):
        for account, pod in one.pods.items():
            why = node.refusal(one.name, account, pod, cluster.audience)
            if why:
                assert f'not authorized to request tokens for audience "{cluster.audience}"' in why
            else:
                given.add(f"{index}/{account}")
    return given


CASES: dict[str, tuple[list[dict[str, str]], dict[str, Any], set[str]]] = {
    "a ServiceAccount": (
        [{"namespace": "0", "serviceAccount": "puller"}],
        {},
        {"0/puller"},
    ),
    "a namespace": ([{"namespace": "0"}], {}, {"0/puller", "0/other"}),
    "one in each": (
        [
            {"namespace": "0", "serviceAccount": "puller"},
            {"namespace": "1", "serviceAccount": "other"},
        ],
        {},
        {"0/puller", "1/other"},
    ),
    "the cluster": ([{}], {}, {"0/puller", "0/other", "1/puller", "1/other"}),
    "a ClusterRole on request": (
        [{"namespace": "0", "serviceAccount": "puller"}],
        {"clusterRole": True},
        # The name counts in every namespace, as the file says.
        {"0/puller", "1/puller"},
    ),
}


@pytest.mark.parametrize("described_minor", ["1.33", "1.37"])
@pytest.mark.parametrize("case", CASES)
def test_tokens_of_exactly_those_who_may_pull(
    api: ControlPlane, teams: tuple[Team, Team], case: str, described_minor: str
) -> None:
    """Nobody's before it is applied, then theirs, and of no neighbour."""
    pull, values, expected = CASES[case]
    named = [
        entry | ({"namespace": teams[int(entry["namespace"])].name} if "namespace" in entry else {})
        for entry in pull
    ]
    made = described(api, *named, minor=described_minor, **values)
    (cluster,) = made.clusters
    assert allowed(api, teams, cluster) == set()
    with applied(api, manifests(made)):
        until(lambda: expected <= allowed(api, teams, cluster))
        assert allowed(api, teams, cluster) == expected
    until(lambda: not allowed(api, teams, cluster))


def test_a_node_without_the_pod_gets_nothing(api: ControlPlane, teams: tuple[Team, Team]) -> None:
    """The rule is for all nodes, and yet each asks for its own pods only."""
    first, _ = teams
    made = described(api, {"namespace": first.name})
    (cluster,) = made.clusters
    with applied(api, manifests(made)):
        until(lambda: allowed(api, teams, cluster))
        stranger = NodeIdentity(api, "node-2")
        why = stranger.refusal(first.name, "puller", first.pods["puller"], cluster.audience)
        assert "no relationship found between node 'node-2' and this object" in why


@pytest.mark.parametrize("gate", [False, True])
def test_1_33_lets_nodes_read_those_service_accounts(
    api: ControlPlane, teams: tuple[Team, Team], *, gate: bool
) -> None:
    """By RBAC, unless the API server has the gate.

    node-2 has none of these pods, so that no authorizer but RBAC lets it.
    """
    first, second = teams
    made = described(
        api,
        {"namespace": first.name, "serviceAccount": "puller"},
        minor="1.33",
        apiServerGate=gate,
    )
    (cluster,) = made.clusters
    node = NodeIdentity(api, "node-2")
    with applied(api, manifests(made)):
        until(lambda: allowed(api, teams, cluster))
        until(lambda: node.reads_service_account(first.name, "puller") is not gate)
        assert not node.reads_service_account(first.name, "other")
        assert not node.reads_service_account(second.name, "puller")


def test_applied_twice(api: ControlPlane, teams: tuple[Team, Team]) -> None:
    """Nothing changes; and what others put onto a ServiceAccount stays."""
    first, _ = teams
    account = f"/api/v1/namespaces/{first.name}/serviceaccounts/puller"
    theirs = {
        "metadata": {"annotations": {"example.com/theirs": "kept"}},
        "imagePullSecrets": [{"name": "registry"}],
    }
    with api.call(
        account, method="PATCH", body=json.dumps(theirs).encode(), kind="merge-patch+json"
    ):
        pass
    entry = {"namespace": first.name, "serviceAccount": "puller", "googleServiceAccount": ACCOUNT}
    made = described(api, entry)
    with applied(api, manifests(made)) as once, applied(api, manifests(made)) as twice:
        versions = [[one["metadata"]["resourceVersion"] for one in run] for run in (once, twice)]
        assert versions[0] == versions[1]
        stored = json.loads(api.read(account))
        assert stored["metadata"]["annotations"] == {
            "example.com/theirs": "kept",
            "gcp-sa-credential-provider/service-account": ACCOUNT,
        }
        assert stored["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize("account", [None, ACCOUNT])
def test_a_pull_by_rendered_files_alone(
    node: Node,
    api: ControlPlane,
    teams: tuple[Team, Team],
    tmp_path_factory: pytest.TempPathFactory,
    account: str | None,
) -> None:
    """The node's identity, the API server's token, the plan's provider, the annotation."""
    first, second = teams
    entry = {"namespace": first.name, "serviceAccount": "puller"}
    if account:
        entry["googleServiceAccount"] = account
    made = described(api, entry, minor=node.minor, provider="k8s-cluster-1")
    (cluster,) = made.clusters
    files = distributions.files(cluster, cluster.nodes[0])
    node.config.write_text(files["credential-provider-config.yaml"])
    with (
        Emulator(tmp_path_factory.mktemp("google"), emulated(made)) as emulator,
        applied(api, manifests(made)),
    ):
        google = Google(emulator, None, "k8s-cluster-1")
        until(lambda: allowed(api, teams, cluster))
        kubelet = node.boot(
            environment=google.whereabouts(), kubeconfig=api.node_kubeconfig("node-1")
        )
        pulled = kubelet.pull(pull_of(first, "puller"))
        assert pulled.errors == []
        assert pulled.execs == {PLUGIN: 1}
        principal = google.principal(pulled.credential.password)
        subject = f"/subject/system:serviceaccount:{first.name}:puller"
        assert principal == f"serviceAccount:{account}" if account else principal.endswith(subject)
        # A neighbour: the API server gives the node no token, so that nothing is run.
        refused = kubelet.pull(pull_of(second, "puller"))
        assert refused.credentials == [[]]
        assert refused.execs == {}
        (error,) = refused.errors
        assert "is not authorized to request tokens for audience" in error

"""The chart on a real API server: its objects, its rights, and what runs in its pods.

There is no kubelet and no controller: `release` plays both, as far as a test needs them. What
changes a node is a program that writes down what it was called with; tests/cluster has the rest.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients import charts
from clients.charts import CHART, NAMESPACE, RELEASE, VALUES, golden, write_schemas
from clients.release import APPS, CORE, JOBS, LEASES, Release, path_of
from gcp_sa_credential_provider.demo.issuer import ISSUER
from gcp_sa_credential_provider.node import health
from gcp_sa_credential_provider.node.api import MERGE, Api, Denied
from kubelet import build
from kubelet.control_plane import ApiError, ControlPlane, control_plane

by_values = pytest.mark.parametrize("values", VALUES, ids=lambda values: values.stem)

WORKERS, SERVERS = f"{RELEASE}-agent-all", f"{RELEASE}-control-plane-all"
SLOT, SERVERS_SLOT = f"{RELEASE}-0", f"{RELEASE}-control-plane"
pytestmark = pytest.mark.xdist_group("helm-cluster")
TAINT = {"key": "gcp-sa-credential-provider/not-ready", "effect": "NoSchedule"}
METADATA = {
    "labels": {"a": "b"},
    "annotations": {"a": "b"},
    "finalizers": ["example.com/a"],
    "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "gone", "uid": "gone"}],
}
NODES = ("node-1", "node-2")
VALUES_TEXT = """
image: {repository: localhost/gcp-sa-credential-provider, pullPolicy: Never}
nodeGroups: [{name: all, config: "kind: CredentialProviderConfig"}]
startupTaint: {enabled: true}
"""


@pytest.fixture(scope="module")
def plane(pytestconfig: pytest.Config) -> Iterator[ControlPlane]:
    """An API server with two nodes and the namespaces of the golden files."""
    if problem := build.go_problem():
        pytest.skip(problem)
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # a first build takes minutes, and says so
        etcd, apiserver = build.etcd().build(), build.kube_apiserver().build()
        charts.HELM.build()
        charts.KUBECONFORM.build()
    with control_plane(etcd, apiserver, issuer=ISSUER, nodes=list(NODES)) as running:
        for name in NODES:
            running.create("/api/v1/nodes", metadata={"name": name})
        for name in (NAMESPACE, "backend", "frontend"):
            running.create("/api/v1/namespaces", metadata={"name": name})
        yield running


# The objects.


@pytest.fixture(scope="module")
def schemas(plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Kubeconform's, of this API server."""
    folder = tmp_path_factory.mktemp("schemas")
    write_schemas(json.loads(plane.read("/openapi/v2")), folder)
    return folder


def kubeconform(schemas: Path, file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            charts.KUBECONFORM.build(),
            "-strict",
            "-summary",
            f"-schema-location={schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json",
            file,
        ],
        capture_output=True,
        text=True,
        check=False,
    )


@by_values
def test_kubeconform(schemas: Path, values: Path) -> None:
    """Every object is valid by the API server's own schema."""
    done = kubeconform(schemas, golden(values))
    assert (done.returncode, done.stderr) == (0, "")
    objects = [one for one in yaml.safe_load_all(golden(values).read_text()) if one]
    assert f"Valid: {len(objects)}, Invalid: 0, Errors: 0, Skipped: 0" in done.stdout


def test_kubeconform_finds_a_misspelt_field(schemas: Path, tmp_path: Path) -> None:
    """So the schemas are closed."""
    file = tmp_path / "wrong.yaml"
    text = golden(VALUES[0]).read_text()
    file.write_text(text.replace("hostPID: true", "hostPid: true"))
    done = kubeconform(schemas, file)
    assert done.returncode == 1
    assert "additional properties 'hostPid' not allowed" in done.stdout


@by_values
def test_server_side_apply(plane: ControlPlane, values: Path) -> None:
    """The API server takes every object, and knows every field of it."""
    things = [one for one in yaml.safe_load_all(golden(values).read_text()) if one]
    with ExitStack() as stack:
        for thing in things:
            path = path_of(plane, thing)
            if thing["kind"] == "ServiceAccount":  # no pod is taken without its own
                plane.create(path.rpartition("/")[0], metadata=thing["metadata"])
                stack.callback(plane.delete, path)
            options = "dryRun=All&fieldValidation=Strict&fieldManager=test&force=true"
            body = json.dumps(thing).encode()
            with plane.call(
                f"{path}?{options}", method="PATCH", body=body, kind="apply-patch+yaml"
            ) as answer:
                assert json.load(answer)["kind"] == thing["kind"]


# The release.


@pytest.fixture
def values(tmp_path: Path) -> Path:
    """For one group, with the taint."""
    file = tmp_path / "values.yaml"
    file.write_text(VALUES_TEXT)
    return file


@pytest.fixture
def release(plane: ControlPlane, tmp_path: Path, values: Path) -> Iterator[Release]:
    """Installed; it is removed without its hook at the end, and its pods with it."""
    if os.geteuid():
        pytest.skip("needs root: a pod has a mount namespace of its own")
    made = Release(plane, tmp_path)
    made.install(values)
    try:
        yield made
    finally:
        made.helm("uninstall", "--no-hooks", "--ignore-not-found", RELEASE)
        plane.delete(f"{CORE}/pods?gracePeriodSeconds=0")


def test_one_slot_is_for_one_node(release: Release) -> None:
    """The second node waits until the first has given back."""
    with release.container(WORKERS, "node-1") as first:
        first.until("node-1 has a slot: install")
        with release.container(WORKERS, "node-2") as second:
            second.until("all slots are taken, by node-1")
            assert release.holder(SLOT) == "node-1"
            first.let_go()
            first.until("node-1 is done: install")
            assert first.is_ready()
            assert not second.is_ready()
            second.until("node-2 has a slot: install")
            second.let_go()
            second.until("node-2 is done: install")
            assert second.is_ready()
    assert release.holder(SLOT) == ""
    told = (
        "-m gcp_sa_credential_provider node install --host-root=/proc/1/root"
        " --config=/etc/gcp-sa-credential-provider/credential-provider-config.yaml"
    )
    assert release.changes == [
        f"node-1 begins: {told}",
        "node-1 ends",
        f"node-2 begins: {told}",
        "node-2 ends",
    ]


def test_two_slots_are_for_two_nodes(release: Release, values: Path) -> None:
    """After an upgrade to more of them."""
    release.install(values, "--set=rollout.parallel=2")
    with (
        release.container(WORKERS, "node-1") as first,
        release.container(WORKERS, "node-2") as second,
    ):
        first.until("node-1 has a slot")
        second.until("node-2 has a slot")
        assert {release.holder(SLOT), release.holder(f"{RELEASE}-1")} == set(NODES)


def test_upgrade_to_fewer_slots(release: Release, values: Path) -> None:
    """A node whose slot is no more completes its change."""
    release.install(values, "--set=rollout.parallel=2")
    with (
        release.container(WORKERS, "node-1") as first,
        release.container(WORKERS, "node-2") as second,
    ):
        first.until("node-1 has a slot")
        second.until("node-2 has a slot")
        release.install(values)
        for one in (first, second):
            one.let_go()
            one.until(" is done: install")
    assert release.holder(SLOT) == ""


def test_slot_that_somebody_has_deleted(release: Release, values: Path) -> None:
    """The same release again makes it anew, and whoever waits has it."""
    release.plane.delete(f"{LEASES}/{SLOT}")
    with release.container(WORKERS, "node-1") as agent:
        agent.until(f"waiting: Leases {SLOT}: 404: none is there. Fix: `helm upgrade`")
        release.install(values)
        agent.until("node-1 has a slot")


def test_slot_of_a_node_that_is_gone(release: Release) -> None:
    """Expires once nobody has renewed it for its duration."""
    with release.container(WORKERS, "node-1") as first:
        first.until("node-1 has a slot")
        first.kill()
        assert first.ends() == -9
    with release.container(WORKERS, "node-2") as second:
        second.until("all slots are taken, by node-1")
        release.patch(f"{LEASES}/{SLOT}", {"spec": {"leaseDurationSeconds": 1}})
        second.until("node-2 has a slot")
        assert release.holder(SLOT) == "node-2"


def test_pod_that_replaces_another_has_its_slot(release: Release) -> None:
    """On the same node: nobody waits for the slot to expire."""
    with release.container(WORKERS, "node-1") as first:
        first.until("node-1 has a slot")
        first.kill()
    with release.container(WORKERS, "node-1") as second:
        second.until("node-1 has a slot")


def test_sigterm_completes_and_gives_back(release: Release) -> None:
    """And never uninstalls."""
    with release.container(WORKERS, "node-1") as agent:
        agent.until("node-1 has a slot")
        agent.process.terminate()
        agent.until("told to end; the change that is under way is completed first")
        assert release.holder(SLOT) == "node-1"
        agent.let_go()
        assert agent.ends() == 0
    assert release.holder(SLOT) == ""
    assert [line.split(":")[0] for line in release.changes] == ["node-1 begins", "node-1 ends"]


def test_sigterm_before_and_after_the_change(release: Release) -> None:
    """Ends a pod that waits, and one that is done; neither changes anything."""
    with release.container(WORKERS, "node-1") as first:
        first.until("has a slot")
        with release.container(WORKERS, "node-2") as second:
            second.until("all slots are taken")
            second.process.terminate()
            assert second.ends() == 0
        first.let_go()
        first.until("is done")
        first.process.terminate()
        assert first.ends() == 0
    assert len(release.changes) == 2


def test_failure_stops_the_rollout(release: Release) -> None:
    """The node whose change failed keeps its slot; the next one is not tried."""
    with release.container(WORKERS, "node-1") as first:
        first.until("has a slot")
        first.let_go(1)
        first.until("the slot is kept")
        with release.container(WORKERS, "node-2") as second:
            second.until("all slots are taken, by node-1")
            assert not first.is_ready()
            assert len(release.changes) == 2
            first.process.terminate()
            assert first.ends() == 1
    assert release.holder(SLOT) == "node-1"


def test_control_plane_comes_last(release: Release) -> None:
    """It has a slot of its own, and waits for all workers."""
    with release.container(SERVERS, "node-1") as server:
        server.until(f"the workers come first ({WORKERS}: not looked at by its controller yet)")
        release.rolled_out(WORKERS, 2, 1)
        server.until(f"({WORKERS}: 1 of 2 nodes are done)")
        assert release.changes == []
        release.rolled_out(WORKERS, 2, 2)
        server.until("node-1 has a slot")
        assert release.holder(SERVERS_SLOT) == "node-1"
        slot = release.get(f"{LEASES}/{SERVERS_SLOT}")["spec"]
        # It outlasts the restart, in which this node's way to the API server may be closed.
        assert slot["leaseDurationSeconds"] > 2 * health.CARRIED.whole
        assert release.holder(SLOT) == ""


def denied(api: Api, path: str, body: dict[str, Any]) -> str:
    """Why a change is denied; asked again until the API server has taken note of a new policy."""
    for _ in range(2000):
        try:
            api.call("PATCH", path, body, MERGE)
        except Denied as error:
            return str(error)
    raise AssertionError(f"{path}: not denied")


def test_startup_taint_is_removed(release: Release) -> None:
    """From the node that is done, with no right over another or over anything else of its own."""
    other = {"key": "example.com/other", "effect": "NoSchedule"}
    for node in NODES:
        release.patch(f"/api/v1/nodes/{node}", {"spec": {"taints": [TAINT, other]}})
    with release.container(WORKERS, "node-1") as agent:
        agent.until("has a slot")
        off: dict[str, Any] = {"taints": [other]}
        for path, body, why in (
            ("node-2", {"spec": off}, "and no other"),
            ("node-1", {"spec": {"taints": None}}, "and change nothing else"),
            ("node-1", {"spec": {**off, "unschedulable": True}}, "and change nothing else"),
            *(
                ("node-1", {"spec": off, "metadata": {name: value}}, "and change nothing else")
                for name, value in METADATA.items()
            ),
        ):
            assert why in denied(agent.api, f"/api/v1/nodes/{path}?dryRun=All", body)
        agent.let_go()
        agent.until("is done")
    taints = [release.get(f"/api/v1/nodes/{node}")["spec"].get("taints") for node in NODES]
    assert taints == [[other], [TAINT, other]]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/api/v1/nodes", None),
        ("GET", f"{CORE}/pods", None),
        ("GET", f"{CORE}/secrets", None),
        ("GET", LEASES, None),
        ("POST", LEASES, {"metadata": {"name": "another"}}),
        ("PATCH", f"{APPS}/{WORKERS}", {"metadata": {"labels": {"a": "b"}}}),
        ("GET", "/api/v1/namespaces/kube-system/configmaps", None),
    ],
)
def test_what_the_agent_may_not(
    release: Release, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """Its rights are those in docs/helm.md and no more."""
    with release.container(WORKERS, "node-1") as agent, pytest.raises(Denied) as refused:
        agent.api.call(method, path, body, MERGE if method == "PATCH" else "application/json")
    assert refused.value.status == 403


@contextmanager
def uninstalling(release: Release) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """`helm uninstall`, which waits for the Job that it has created."""
    with release.coming(JOBS) as created:
        command = [str(charts.HELM.build()), "uninstall", RELEASE, f"--namespace={NAMESPACE}"]
        kubeconfig = str(release.plane.folder / "admin.kubeconfig")
        environment = {"PATH": os.environ["PATH"], "HOME": str(release.folder)}
        with subprocess.Popen(
            command,
            env=environment | {"KUBECONFIG": kubeconfig},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as helm:
            yield helm, next(created)


def test_helm_uninstall(release: Release) -> None:
    """The Job switches the DaemonSets, waits for all nodes, and only then the release goes."""
    with uninstalling(release) as (helm, job):
        assert release.mode(WORKERS) == release.mode(SERVERS) == "install"
        with release.start(job["spec"]["template"]["spec"], "node-1") as switcher:
            switcher.until("waiting: ")
            assert release.mode(WORKERS) == release.mode(SERVERS) == "uninstall"
            with release.container(WORKERS, "node-2") as agent:
                agent.until("node-2 has a slot: uninstall")
                agent.let_go()
                agent.until("node-2 is done: uninstall")
            release.rolled_out(WORKERS, 1, 1)
            switcher.until(f"waiting: {SERVERS}: not looked at")
            assert helm.poll() is None
            release.rolled_out(SERVERS, 1, 1)
            assert switcher.ends() == 0
        release.complete(job["metadata"]["name"])
        helm.communicate()
        assert helm.returncode == 0
    assert "node-2 begins: -m gcp_sa_credential_provider node uninstall" in release.changes[0]
    assert release.objects(APPS) == []
    assert release.objects(f"{CORE}/serviceaccounts") == []
    assert release.objects(JOBS) == []


def test_install_after_an_uninstall_that_was_given_up(release: Release, values: Path) -> None:
    """Helm upgrades no release that is being uninstalled, but goes back to one of before."""
    with uninstalling(release) as (helm, job):
        with release.start(job["spec"]["template"]["spec"], "node-1") as switcher:
            switcher.until("waiting: ")
        conditions = [{"type": kind, "status": "True"} for kind in ("FailureTarget", "Failed")]
        status = {"startTime": "2026-11-26T00:00:00Z", "conditions": conditions}
        release.patch(f"{JOBS}/{job['metadata']['name']}/status", {"status": status})
        _, said = helm.communicate()
        assert (helm.returncode, b"status: Failed" in said) == (1, True), said
    assert release.mode(WORKERS) == release.mode(SERVERS) == "uninstall"
    # The right to switch went with the attempt.
    assert f"{RELEASE}-uninstall" not in release.objects(f"{CORE}/serviceaccounts")
    with pytest.raises(build.BuildError, match="has no deployed releases"):
        release.install(values, "--force-conflicts")
    with pytest.raises(build.BuildError, match=r"conflict with .*gcp-sa-credential-provider"):
        release.helm("rollback", RELEASE, "1")
    release.helm("rollback", RELEASE, "1", "--force-conflicts")
    assert release.mode(WORKERS) == release.mode(SERVERS) == "install"
    release.install(values)


def test_second_release(release: Release, values: Path) -> None:
    """Is refused: each would take the other's entries off the nodes."""
    with pytest.raises(build.BuildError, match="cannot be imported into the current release"):
        release.helm("install", "second", CHART, f"--values={values}")
    assert release.mode(WORKERS) == "install"


def test_helm_test(release: Release) -> None:
    """Its pod ends well once all nodes are done."""
    [pod] = [one for one in release.hooks() if one["kind"] == "Pod"]
    with release.start(pod["spec"], "node-1") as tester:
        tester.until("waiting: ")
        slot = tester.api.call("GET", f"{LEASES}/{SLOT}")
        with pytest.raises(Denied, match="403"):  # it looks on, and no more
            tester.api.call("PUT", f"{LEASES}/{SLOT}", slot)
        release.rolled_out(WORKERS, 2, 2)
        release.rolled_out(SERVERS, 0, 0)
        assert tester.ends() == 0
    assert "all nodes are done" in tester.heard[-1]


def test_audience_roles_in_a_namespace_that_is_not_there(release: Release, values: Path) -> None:
    """Helm says so, and the release of before goes on."""
    pool = "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool"
    namespace = "audienceRbac.namespaces[0].name=nowhere"
    with pytest.raises(build.BuildError, match='namespaces "nowhere" not found'):
        release.install(values, f"--set=audience={pool}/providers/p", f"--set={namespace}")
    assert release.mode(WORKERS) == "install"
    with pytest.raises(ApiError):
        release.get("/apis/rbac.authorization.k8s.io/v1/namespaces/nowhere/roles/x")

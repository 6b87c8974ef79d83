"""The chart puts the plugin onto nodes that have nothing of it, and takes it off again.

The nodes are hosts of their own, with a systemd of their own (tests/systemd_host.py), a containerd
and a kubelet; nothing is done on them but by the chart's pods. The tests are steps of one way and
run in the order in which they stand.
"""

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from clients import charts
from cluster.api import PATIENCE_SECONDS, Object
from cluster.cluster import ELSEWHERE_HOST, HOSTS, NODES, Cluster
from cluster.hosted import HostedNode, tree
from cluster.lines import Lines
from cluster.needs import image_file
from cluster.operator_steps import NAME, Operator, forget_cluster
from cluster.team import Team, image
from kubelet import build

# Every node's kubelet has to stay up for half a minute at every change, one node after the other.
pytestmark = pytest.mark.timeout(900)
RELEASE = NAMESPACE = "gcp-sa-credential-provider"
REPOSITORY = "localhost/gcp-sa-credential-provider"
# What nodes have at first. /run and /tmp are gone with the next boot, the rest is Kubernetes' own.
PLACES = ("etc", "opt", "usr/local", "usr/lib/systemd", "var/lib/gcp-sa-credential-provider")
ROLLOUT_SECONDS = 300
FOLLOWED_SECONDS = 10
STAY_SECONDS = 30
"""How long a kubelet must run before another one is restarted (docs/install.md, "Well")."""
CONFIG = "/etc/kubernetes/credential-providers/config.yaml"
ROLLBACK = "/etc/systemd/system/gcp-sa-credential-provider-rollback.timer"


class Site:
    """The hosts of one cluster, and who works on it."""

    def __init__(self, cluster: Cluster, hosts: dict[str, HostedNode], folder: Path) -> None:
        self.cluster = cluster
        self.hosts = hosts
        self.operator = Operator(cluster, folder)
        self.before = {name: tree(host.host.root, *PLACES) for name, host in hosts.items()}
        self.team = Team(cluster, nodes_may_ask=False)
        self.team.service_account(granted=False)

    def upgrade(self, *settings: str, wait: bool = True) -> None:
        """`helm upgrade --install` with the rendered values; `wait` until all nodes are done."""
        # Not all nodes of this cluster are hosts, and its pods have no way to a Service.
        given = {
            "image.repository": REPOSITORY,
            "image.pullPolicy": "Never",
            "apiServer.host": "127.0.0.1",
            "apiServer.port": str(self.cluster.control.port),
        }
        self.helm(
            "upgrade",
            "--install",
            RELEASE,
            str(charts.CHART),
            "--create-namespace",
            f"--values={self.operator.rendered / NAME / 'helm-values.yaml'}",
            "--set-string=nodeGroups[0].nodeSelector.hosted=true",
            *(f"--set={key}={value}" for key, value in given.items()),
            *settings,
        )
        if wait:
            self.helm("test", RELEASE)

    def helm(self, *arguments: str) -> None:
        """Helm on this release, with its patience."""
        charts.helm(
            *arguments,
            f"--namespace={NAMESPACE}",
            f"--timeout={ROLLOUT_SECONDS}s",
            environment={"KUBECONFIG": str(self.operator.kubeconfig)},
        )

    def started(self, name: str) -> float:
        """When the kubelet of a host was started last, in seconds since the epoch."""
        shown = self.hosts[name].host.run(
            "systemctl", "show", "kubelet", "--property=ExecMainStartTimestamp", "--timestamp=unix"
        )
        return float(shown.strip().partition("=@")[2])

    def agents(self) -> dict[str, dict[str, Any]]:
        """The chart's pods by their node."""
        listed = json.loads(
            self.operator.kubectl("get", "pods", f"--namespace={NAMESPACE}", "--output=json")
        )
        return {pod["spec"]["nodeName"]: pod for pod in listed["items"]}

    def holder(self) -> str:
        """Who has the one slot, once somebody has it."""

        def is_held(lease: Object) -> bool:
            return bool(lease["spec"].get("holderIdentity"))

        leases = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
        lease = self.cluster.api.wait(leases, f"{RELEASE}-0", is_held, seconds=PATIENCE_SECONDS)
        name: str = lease["spec"]["holderIdentity"]
        return name

    def wait_until_agent_says(self, name: str, wanted: str) -> None:
        """Followed anew now and then: its kubelet, through which that goes, restarts meanwhile."""
        give_up = time.monotonic() + ROLLOUT_SECONDS
        while time.monotonic() < give_up:
            # The pod may be about to be replaced, its log not there yet.
            with contextlib.suppress(AssertionError, KeyError, TimeoutError):
                pod = self.agents()[name]["metadata"]["name"]
                follow = ("logs", f"--namespace={NAMESPACE}", "--follow", pod)
                with Lines("kubectl", f"--kubeconfig={self.operator.kubeconfig}", *follow) as log:
                    log.wait_for(lambda line: wanted in line, seconds=FOLLOWED_SECONDS)
                    return
        raise TimeoutError(f"the agent of {name} does not say: {wanted}")


@pytest.fixture(scope="module")
def site(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Two hosts without the plugin, and a Google that knows nothing of the cluster."""
    with ExitStack() as stack:
        hosts = {}
        for number, (name, minor) in enumerate(HOSTS.items(), start=len(NODES) + 1):
            hosts[name] = host = HostedNode(
                cluster.machine, number, minor=minor, identities=cluster.api.folder
            )
            cluster.admit(host, stack)
            stack.callback(cluster.api.forget, f"/api/v1/nodes/{name}")
            # As docs/helm.md loads it onto nodes.
            host.ctr("images", "import", str(image_file()))
        for name in hosts:
            cluster.wait_ready(name)
        forget_cluster(cluster)
        stack.callback(lambda: cluster.trust(cluster.jwks()))
        made = Site(cluster, hosts, tmp_path_factory.mktemp("site"))
        # Helm's hooks go to any node, and only the hosts have the image.
        made.operator.kubectl("cordon", *NODES)
        stack.callback(made.operator.kubectl, "uncordon", *NODES)
        stack.callback(made.team.delete)
        yield made


class Traffic:
    """Pods of a public image that start on a node one a second or slower, until `end`."""

    def __init__(self, team: Team, node: str, pool: ThreadPoolExecutor) -> None:
        self._team, self._node = team, node
        self._over = threading.Event()
        self.count = 0
        self._future = pool.submit(self._run)

    def _run(self) -> None:
        while not self._over.wait(1):
            self.count += 1
            pod = self._team.pod(
                f"{self._node}-{self.count}", node=self._node, of=image(host=ELSEWHERE_HOST)
            )
            pod.wait_running(seconds=2 * PATIENCE_SECONDS)
            pod.delete()

    def end(self) -> None:
        """Raises what kept a pod from starting."""
        self._over.set()
        self._future.result()


def test_five_commands(site: Site) -> None:
    """setup, render, gcloud.sh, kubectl apply, helm install; then pods pull on both nodes.

    One node after the other was changed, and pods started on both all the while.
    """
    operator, team = site.operator, site.team
    operator.setup(team.account())
    operator.render()
    operator.apply_at_google()
    operator.apply_to_cluster()
    with ThreadPoolExecutor() as pool:
        traffic = [Traffic(team, name, pool) for name in site.hosts]
        try:
            site.upgrade()
        finally:
            for one in traffic:
                one.end()
    assert all(one.count > 1 for one in traffic)
    first, second = sorted(map(site.started, site.hosts))
    assert second - first >= STAY_SECONDS

    for name, host in site.hosts.items():
        team.pod(f"pull-{name}", node=name).wait_running()
        outcomes = {record["outcome"] for record in host.records(team.account())}
        assert outcomes == {"OK"}, host.said()


def test_all_is_well_then(site: Site) -> None:
    """Each host says so itself."""
    for host in site.hosts.values():
        host.host.run(f"/opt/credential-providers/bin/{RELEASE}", "node", "status")


def test_the_same_again_restarts_nothing(site: Site) -> None:
    """New pods of the same configuration: the kubelets go on."""
    before = {name: site.started(name) for name in site.hosts}
    site.upgrade("--set=resources.limits.memory=256Mi")
    assert {name: site.started(name) for name in site.hosts} == before


def test_upgrade(site: Site) -> None:
    """Another configuration: both kubelets have read it."""
    before = {name: site.started(name) for name in site.hosts}
    text = site.operator.fleet.read_text()
    assert "cacheType: ServiceAccount" in text
    site.operator.fleet.write_text(text.replace("cacheType: ServiceAccount", "cacheType: Token"))
    site.operator.render()
    site.upgrade()
    for name in site.hosts:
        assert site.started(name) > before[name]
        site.team.pod(f"token-{name}", node=name).wait_running()


def test_a_kubelet_of_another_minor(site: Site) -> None:
    """To 1.33, which does not know cacheType, up, down and up again: nobody touches the files."""
    name = "node-4"
    host = site.hosts[name]
    for number, minor in enumerate(("1.33", "1.34", "1.33", HOSTS[name])):
        before = site.started(name)
        host.change_kubelet(minor)
        site.cluster.wait_version(name, f"v{build.RELEASES[minor]}")
        assert site.started(name) > before
        assert ("cacheType" in host.read(CONFIG)) == (minor != "1.33")
        site.team.pod(f"minor-{number}", node=name).wait_running()


def test_a_kubelet_that_refuses_it(site: Site) -> None:
    """The agent is killed in the middle; the dead man's switch takes the change back at the boot.

    The agent's next try fails as the first did, is taken back by itself, and keeps the slot, so
    that the other node is left alone. Once the cause is gone, all goes on.
    """
    text = site.operator.fleet.read_text()
    site.operator.fleet.write_text(text.replace("cacheType: Token", "cacheType: ServiceAccount"))
    site.operator.render()
    for host in site.hosts.values():
        host.have_kubelet_refuse(CONFIG, 'cacheType: "ServiceAccount"')
    with ExitStack() as stack:
        followed = {
            name: stack.enter_context(Lines(*host.inside_journal("kubelet")))
            for name, host in site.hosts.items()
        }
        site.upgrade(wait=False)
        victim = site.holder()
        host = site.hosts[victim]
        followed[victim].wait_for(lambda line: "refused" in line, seconds=PATIENCE_SECONDS)
    assert host.has(ROLLBACK)
    host.kill_agents()
    host.host.reboot()
    assert 'cacheType: "Token"' in host.read(CONFIG)

    site.wait_until_agent_says(victim, "the slot is kept")
    assert 'cacheType: "Token"' in host.read(CONFIG)
    assert not host.has(ROLLBACK)
    (other,) = set(site.hosts) - {victim}
    assert 'cacheType: "Token"' in site.hosts[other].read(CONFIG)
    site.team.pod(f"kept-{victim}", node=victim).wait_running()

    for each in site.hosts.values():
        each.have_kubelet_accept()
    site.operator.kubectl("delete", "pod", f"--namespace={NAMESPACE}", "--all", "--wait=false")
    site.upgrade()
    for each in site.hosts.values():
        assert 'cacheType: "ServiceAccount"' in each.read(CONFIG)


def test_uninstall_leaves_nothing(site: Site) -> None:
    """`helm uninstall` waits for all nodes; their files are as they were, their kubelets run."""
    site.helm("uninstall", RELEASE, "--wait")
    for name, host in site.hosts.items():
        assert tree(host.host.root, *PLACES) == site.before[name]
        site.cluster.wait_ready(name)

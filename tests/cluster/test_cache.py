"""How often a real kubelet runs the plugin, and whom it lets use what was pulled."""

from collections.abc import Callable
from pathlib import Path

import pytest

from cluster.cluster import Cluster
from cluster.node import SERVICE_ACCOUNT_HOST, TOKEN_HOST
from cluster.team import Team, image, pod_spec

NewTeam = Callable[..., Team]
PODS = 20


@pytest.mark.parametrize(("host", "execs_later"), [(SERVICE_ACCOUNT_HOST, 0), (TOKEN_HOST, 1)])
def test_twenty_pods_at_once(cluster: Cluster, team: Team, host: str, execs_later: int) -> None:
    """Each has a token of its own, so until an answer is cached each has an exec of its own.

    Afterwards cacheType ServiceAccount needs none, cacheType Token one for each pod.
    """
    node = cluster.nodes["node-1"]
    before = node.metrics()
    pods = [team.pod(f"pod-{number}", of=image(host=host)) for number in range(PODS)]
    for pod in pods:
        pod.wait_running()
    burst = node.metrics()
    execs = burst.execs - before.execs
    assert execs == PODS if execs_later else 1 <= execs <= PODS
    print(f"{PODS} pods at once, {host}: {execs} execs")
    assert burst.failed_execs == before.failed_execs
    assert len(team.exchanges()) == execs
    team.pod("later", of=image(host=host)).wait_running()
    assert node.metrics().execs - burst.execs == execs_later
    assert len(team.exchanges()) == execs + execs_later


def test_other_image_of_the_same_service_account(cluster: Cluster, team: Team) -> None:
    """The plugin's answer is for all of Google's registries: no second exec."""
    team.pod("first").wait_running()
    team.pod("second", of=image("batch")).wait_running()
    assert len(team.exchanges()) == 1


def test_kubelet_restart(cluster: Cluster, team: Team) -> None:
    """The cache is the kubelet's memory: after a restart the next pull needs an exchange."""
    node = cluster.nodes["node-1"]
    first = team.pod("first")
    started = first.wait_running()["status"]["containerStatuses"][0]["containerID"]
    node.restart_kubelet()
    team.pod("second").wait_running()
    assert len(team.exchanges()) == 2
    assert node.metrics().execs == 1
    kept = first.wait_running()["status"]["containerStatuses"][0]["containerID"]
    assert kept == started


@pytest.mark.parametrize(("name", "asked"), [("node-1", True), ("node-2", False)])
def test_image_that_another_service_account_pulled(
    cluster: Cluster, team: Team, name: str, *, asked: bool
) -> None:
    """From 1.35 on (KubeletEnsureSecretPulledImages) it must be allowed to pull, too."""
    of = team.new_image()
    team.pod("first", of=of, node=name, policy="IfNotPresent").wait_running()
    team.service_account("other", granted=False)
    second = team.pod("second", of=of, account="other", node=name, policy="IfNotPresent")
    if asked:
        assert "authorization failed" in second.wait_refused()
        team.grant("other")
    second.wait_running()
    subjects = [entry["subject"] for entry in team.exchanges()]
    assert subjects == [team.subject(), *([team.subject("other")] if asked else [])]


def test_daemon_set(cluster: Cluster, team: Team) -> None:
    """Pods that controllers make, on both nodes, one exchange each."""
    labels = {"app": "agent"}
    path = f"/apis/apps/v1/namespaces/{team.name}/daemonsets"
    cluster.api.create(
        path,
        metadata={"name": "agent"},
        spec={
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": pod_spec(account="puller", of=image()),
            },
        },
    )
    cluster.api.wait(path, "agent", lambda found: found["status"].get("numberReady") == 2)
    assert [entry["status"] for entry in team.exchanges()] == [200, 200]
    assert len(cluster.journal.records(team.account())) == 2


def test_upgrade_while_pods_start(cluster: Cluster, new_team: NewTeam, plugin: Path) -> None:
    """Replacing the program in one step never makes a pull fail."""
    node = cluster.nodes["node-1"]
    before = node.metrics()
    team = new_team()
    pods = []
    for number in range(PODS // 2):
        team.service_account(f"puller-{number}")
        pods.append(team.pod(f"pod-{number}", account=f"puller-{number}"))
        node.install(plugin)
    for pod in pods:
        pod.wait_running()
    after = node.metrics()
    assert after.execs - before.execs == len(pods)
    assert after.failed_execs == before.failed_execs

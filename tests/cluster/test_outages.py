"""What an outage breaks, and when pods run again: the table of docs/outages.md."""

from collections import Counter
from collections.abc import Callable

import pytest

from cluster.cluster import Cluster
from cluster.team import Team, container_of

NewTeam = Callable[..., Team]
# Until the kubelet pulls again: its back-off begins with 10 s and doubles.
SECOND_TRY_SECONDS = 30


def test_token_service_down_and_back(cluster: Cluster, team: Team) -> None:
    """Pulls that need an exchange fail, cached ones go on; the kubelet tries again by itself."""
    team.pod("before").wait_running()
    team.service_account("other")
    cluster.google.faults.set("close", service="sts")
    pod = team.pod("refused", account="other")
    pod.wait_refused()
    record = cluster.journal.wait_for(team.account("other"))
    assert (record["outcome"], record["tries"]) == ("ANSWER-CUT", "4")
    assert record["message"].startswith("gcp-sa-credential-provider: [ANSWER-CUT]")
    team.pod("cached").wait_running()
    cluster.google.faults.clear()
    pod.wait_running(seconds=SECOND_TRY_SECONDS)
    # The kubelet may have tried in vain once more before the service was back.
    cluster.journal.wait_for(team.account("other"), lambda record: record["outcome"] == "OK")


def test_storm(cluster: Cluster, new_team: NewTeam) -> None:
    """503s and then the quota: every pod runs in the end, by as few requests as that takes."""
    cluster.google.faults.set("status", service="sts", status=503, times=20)
    cluster.google.faults.set("quota", service="sts", times=10)
    team = new_team()
    pods = []
    for number in range(10):
        team.service_account(f"puller-{number}")
        pods.append(team.pod(f"pod-{number}", account=f"puller-{number}"))
    for pod in pods:
        pod.wait_running()
    statuses = Counter(entry["status"] for entry in cluster.google.log.exchanges())
    assert statuses == {503: 20, 429: 10, 200: 10}
    tries = [
        int(record["tries"])
        for number in range(10)
        for record in cluster.journal.records(team.account(f"puller-{number}"))
    ]
    assert sum(tries) == statuses.total()
    assert max(tries) <= 4


def test_signing_key_rotated(cluster: Cluster, team: Team) -> None:
    """New exchanges fail until the new key is uploaded; the record names the key."""
    known = cluster.jwks()
    cluster.control.rotate_signing_key()
    try:
        pod = team.pod()
        pod.wait_refused()
        record = cluster.journal.wait_for(team.account())
        assert record["outcome"] == "STS-ISSUER-KEYS"
        assert record["kid"] in cluster.jwks()
        assert record["kid"] not in known
    finally:
        cluster.trust(cluster.jwks())
    team.grant()
    pod.wait_running(seconds=SECOND_TRY_SECONDS)


def test_provider_disabled(cluster: Cluster, team: Team) -> None:
    """New exchanges are refused; what is cached goes on, for as long as its token lives."""
    team.pod("before").wait_running()
    cluster.trust(cluster.jwks(), disabled=True)
    try:
        team.grant()
        team.service_account("other")
        refused = team.pod("other", account="other")
        refused.wait_refused()
        assert cluster.journal.wait_for(team.account("other"))["outcome"] == "STS-TARGET"
        team.pod("cached").wait_running()
    finally:
        cluster.trust(cluster.jwks())
    team.grant()
    team.grant("other")
    refused.wait_running(seconds=SECOND_TRY_SECONDS)


@pytest.mark.parametrize(
    ("name", "policy", "cached", "restarts"),
    [
        ("node-1", "IfNotPresent", True, True),
        ("node-2", "IfNotPresent", True, True),
        # From 1.35 on the kubelet looks for credentials although the image is there.
        ("node-1", "IfNotPresent", False, False),
        ("node-2", "IfNotPresent", False, True),
        ("node-1", "Always", True, True),
        ("node-2", "Always", True, True),
        ("node-1", "Always", False, False),
        ("node-2", "Always", False, False),
    ],
)
def test_container_restarts_while_the_token_service_is_down(
    cluster: Cluster, team: Team, name: str, policy: str, *, cached: bool, restarts: bool
) -> None:
    """Whether a container that crashes comes back; its image is on the node.

    `cached`: the kubelet has the plugin's answer in memory; else it was restarted meanwhile.
    """
    node = cluster.nodes[name]
    pod = team.pod(of=team.new_image(), node=name, policy=policy)
    container = container_of(pod.wait_running())["containerID"].removeprefix("containerd://")
    cluster.google.faults.set("close", service="sts")
    if not cached:
        node.restart_kubelet()
    node.kill_container(container)
    if not restarts:
        pod.wait_refused()
        assert cluster.journal.wait_for(team.account(), after=1)["outcome"] == "ANSWER-CUT"
        cluster.google.faults.clear()
    pod.wait_restarted()
    outcomes = [record["outcome"] for record in cluster.journal.records(team.account())]
    assert (outcomes == ["OK"]) is restarts

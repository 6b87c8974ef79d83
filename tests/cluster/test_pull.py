"""The main job on a real node, and each way in which it is refused.

What the pod's events say is the registry's word; what went wrong before it stands in the kubelet's
log and in the plugin's record.
"""

import json
from collections.abc import Callable

import pytest

from cluster.cluster import ELSEWHERE_HOST, REFUSED_PREFIX, REPOSITORY, Cluster
from cluster.node import ANNOTATION, GOOGLE_HOST
from cluster.team import READER, Team, image, pod_spec
from kubelet.google import Google

NewTeam = Callable[..., Team]
GOOGLES_IMAGE = f"{GOOGLE_HOST}/project/hello:latest"


@pytest.mark.parametrize("name", ["node-1", "node-2"])
def test_allowed(cluster: Cluster, team: Team, name: str) -> None:
    """A pod whose ServiceAccount has the grant gets its image: one exec, one exchange."""
    node = cluster.nodes[name]
    before = node.metrics()
    pod = team.pod(node=name)
    pod.wait_running()
    record = cluster.journal.wait_for(team.account())
    assert record["outcome"] == "OK"
    assert record["image"] == "us-docker.pkg.dev/project/private/app"
    assert record["subject"] == team.subject()
    assert record["tries"] == "1"
    after = node.metrics()
    assert after.execs - before.execs == 1
    assert after.failed_execs == before.failed_execs
    assert [entry["status"] for entry in team.exchanges()] == [200]
    reasons = [reason for reason, _ in pod.events()]
    assert "Pulled" in reasons
    assert "Failed" not in reasons


def test_refused_without_a_grant(cluster: Cluster, new_team: NewTeam) -> None:
    """The exchange goes well, and the record says as whom; the registry denies that principal."""
    team = new_team()
    team.service_account(granted=False)
    assert "authorization failed" in team.pod().wait_refused()
    record = cluster.journal.wait_for(team.account())
    assert (record["outcome"], record["subject"]) == ("OK", team.subject())
    asked = {entry.get("principal") for entry in cluster.google.log.entries("registry")}
    assert asked == {team.principal()}


def test_the_event_does_not_tell_why(cluster: Cluster, new_team: NewTeam) -> None:
    """Artifact Registry's 403 is the same event with and without a credential; the record differs.

    Its body says which, but containerd 1.6 asks with HEAD, whose answer has none.
    """
    told = {}
    for nodes_may_ask in (True, False):
        team = new_team(nodes_may_ask=nodes_may_ask)
        team.service_account(granted=False)
        told[nodes_may_ask] = team.pod(of=GOOGLES_IMAGE).wait_refused()
        recorded = [record["outcome"] for record in cluster.journal.records(team.account())]
        assert recorded == (["OK"] if nodes_may_ask else [])
    assert told[True] == told[False]
    assert "403" in told[True]
    reasons = [
        entry["reason"] for entry in cluster.google.log.entries("registry") if "reason" in entry
    ]
    assert any(reason.endswith("has no role with it") for reason in reasons)
    assert any(reason.startswith("Unauthenticated request.") for reason in reasons)


def test_refused_by_the_attribute_condition(cluster: Cluster, new_team: NewTeam) -> None:
    """STS refuses; the plugin's line is in the kubelet's log, its code in the record."""
    team = new_team(prefix=REFUSED_PREFIX)
    team.service_account()
    node = cluster.nodes["node-1"]
    before = node.metrics()
    team.pod().wait_refused()
    record = cluster.journal.wait_for(team.account())
    assert record["outcome"] == "STS-CONDITION"
    line = node.log.wait_for(lambda line: "[STS-CONDITION]" in line, seconds=10)
    assert "Failed to provide credentials for image" in line
    assert team.subject() in line
    assert "Fix: " in line
    assert node.metrics().failed_execs > before.failed_execs
    assert {entry["error"] for entry in team.exchanges()} == {"unauthorized_client"}


def test_impersonation_by_annotation(cluster: Cluster, new_team: NewTeam) -> None:
    """The ServiceAccount's annotation names the Google account that pulls."""
    team = new_team()
    team.service_account(granted=False, annotations={ANNOTATION: Google.account})
    member = f"serviceAccount:{Google.account}"
    cluster.google.grant(REPOSITORY, READER, member)
    try:
        team.pod().wait_running()
    finally:
        cluster.google.revoke(REPOSITORY, READER, member)
    record = cluster.journal.wait_for(team.account())
    assert (record["outcome"], record["account"]) == ("OK", Google.account)
    asked = {entry.get("principal") for entry in cluster.google.log.entries("registry")}
    assert asked == {member}


def test_without_rbac(cluster: Cluster, new_team: NewTeam) -> None:
    """The node may not ask for tokens of this audience: nothing is run, the log has the reason."""
    team = new_team(nodes_may_ask=False)
    team.service_account()
    node = cluster.nodes["node-1"]
    before = node.metrics()
    team.pod().wait_refused()
    line = node.log.wait_for(
        lambda line: "is not authorized to request tokens" in line and team.name in line, seconds=10
    )
    assert "system:node:node-1" in line
    assert node.metrics().execs == before.execs
    assert team.exchanges() == []


def test_rbac_taken_away(cluster: Cluster, team: Team) -> None:
    """The kubelet asks for a pod's token before it looks into its cache: new pods fail at once."""
    team.pod("before").wait_running()
    team.forbid_nodes_to_ask()
    team.pod("after").wait_refused()
    cluster.nodes["node-1"].log.wait_for(
        lambda line: "is not authorized to request tokens" in line and team.name in line, seconds=10
    )
    assert len(team.exchanges()) == 1


def test_static_pod(cluster: Cluster, team: Team) -> None:
    """A static pod has no ServiceAccount: the plugin is not run, the pull is anonymous."""
    node = cluster.nodes["node-1"]
    before = node.metrics()
    spec = pod_spec(account="", of=image())
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "static", "namespace": team.name},
        "spec": {key: value for key, value in spec.items() if key != "serviceAccountName"},
    }
    file = node.static_pods / "static.json"
    file.write_text(json.dumps(manifest))
    try:
        assert "authorization failed" in team.existing("static-node-1").wait_refused()
    finally:
        file.unlink()
    assert node.metrics().execs == before.execs
    asked = {entry.get("principal") for entry in cluster.google.log.entries("registry")}
    assert asked == {None}


def test_image_of_another_registry(cluster: Cluster, team: Team) -> None:
    """Is none of the plugin's business: the kubelet does not run it."""
    node = cluster.nodes["node-1"]
    before = node.metrics()
    team.pod(of=image(host=ELSEWHERE_HOST)).wait_running()
    assert node.metrics().execs == before.execs
    assert cluster.google.log.entries() == []

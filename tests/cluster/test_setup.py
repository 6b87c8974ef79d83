"""Both sides set up from one description: no line is edited by hand.

`setup` reads the cluster, `render` writes the files, gcloud and kubectl take theirs as they are.
The nodes' files are put in place here; elsewhere the installer does it. Google has projects and
repositories at the start, and nothing else.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cluster.cluster import Cluster
from cluster.operator_steps import NAME, Operator, forget_cluster
from cluster.team import PULLER, Team


@pytest.fixture
def operator(cluster: Cluster, tmp_path: Path) -> Iterator[Operator]:
    """With a Google that knows nothing of the cluster; as it was afterwards, the nodes too."""
    forget_cluster(cluster)
    try:
        yield Operator(cluster, tmp_path)
    finally:
        cluster.trust(cluster.jwks())
        for node in cluster.nodes.values():
            node.take_configuration(None)


def test_from_one_description(
    cluster: Cluster, operator: Operator, new_team: Callable[..., Team]
) -> None:
    """A pod pulls on each node, and a pod of a ServiceAccount beside it does not."""
    team = new_team(nodes_may_ask=False)
    for name in (PULLER, "neighbour"):
        team.service_account(name, granted=False)

    operator.setup(team.account())
    operator.render()
    operator.apply_at_google()
    operator.apply_to_cluster()
    for name, minor in (("node-1", "1-37"), ("node-2", "1-34")):
        group = operator.rendered / NAME / f"kubelet-{minor}"
        rendered = (group / "credential-provider-config.yaml").read_text()
        cluster.nodes[name].take_configuration(rendered)
        team.pod(f"pod-{name}", node=name).wait_running()
        record = cluster.journal.wait_for(team.account())
        assert (record["outcome"], record["subject"]) == ("OK", team.subject())
    assert [entry["status"] for entry in team.exchanges()] == [200, 200]

    assert "authorization failed" in team.pod("other", account="neighbour").wait_refused()
    cluster.nodes["node-1"].log.wait_for(
        lambda line: "is not authorized to request tokens" in line and team.name in line, seconds=10
    )
    assert len(team.exchanges()) == 2

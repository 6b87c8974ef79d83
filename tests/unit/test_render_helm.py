"""render/helm.py: the values of the chart. The real Helm judges them in tests/clients."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan
from gcp_sa_credential_provider.render import helm, kubelet
from unit import plans


@pytest.fixture
def own(tmp_path: Path) -> Plan:
    """A fleet of two clusters."""
    return plans.plan("own", tmp_path)


def cluster(own: Plan, *groups: NodeGroup) -> ClusterPlan:
    """Its first cluster, with these node groups."""
    made = own.clusters[0]
    return replace(made, cluster=made.cluster.model_copy(update={"nodes": groups}))


def group(name: str, distribution: Any = "k3s", kubernetes: str = "1.34") -> NodeGroup:
    return NodeGroup(name=name, distribution=distribution, kubernetes=kubernetes)


def values(made: ClusterPlan) -> Any:
    return yaml.safe_load(helm.values(made))


def test_files_are_for_each_cluster(own: Plan) -> None:
    """Beside its other files."""
    assert sorted(helm.files(own)) == [
        "prod-aws/helm-values.yaml",
        "prod-eu/helm-values.yaml",
    ]


def test_all_nodes_are_one_group(own: Plan) -> None:
    """Whatever they are, their entries are alike: nothing has to be labelled."""
    made = cluster(own, group("workers"), group("edge", "kubeadm", "1.37"))
    config = yaml.safe_load(values(made)["nodeGroups"][0].pop("config"))
    assert config == kubelet.document(made, "1.34")
    told = values(made)
    del told["nodeGroups"][0]["config"]
    assert told == {"audience": made.audience, "nodeGroups": [{"name": "nodes"}]}


def test_a_group_of_1_33_keeps_its_cache_type(own: Plan) -> None:
    """It is the installer that knows the node's kubelet."""
    made = cluster(own, group("old", kubernetes="1.33"))
    [entry] = yaml.safe_load(values(made)["nodeGroups"][0]["config"])["providers"]
    assert entry["tokenAttributes"]["cacheType"] == "ServiceAccount"


def test_nodes_that_no_pod_may_change(own: Plan) -> None:
    """Are named, and the others are chosen by a label."""
    made = cluster(own, group("workers"), group("fixed", "talos"))
    (chosen,) = values(made)["nodeGroups"]
    assert chosen["nodeSelector"] == {helm.LABEL: "true"}
    assert "Not for fixed: " in _words(made)
    assert f"kubectl label node NODE {helm.LABEL}=true" in _words(made)
    assert helm.installable(cluster(own, group("fixed", "talos"), group("os", "openshift"))) == []


def test_the_command_stands_in_one_place(own: Plan) -> None:
    """The README's, whose directory its paths begin at."""
    said = _words(own.clusters[0])
    assert "the command for it is in ../README.md" in said
    assert "helm upgrade" not in said


def test_eks_from_1_34_on(own: Plan) -> None:
    """Before, the installer refuses a node whose configuration nodeadm writes."""
    older, newer = group("old", "eks", "1.33"), group("new", "eks")
    assert helm.installable(cluster(own, older, newer)) == [newer]
    assert "Not for old: " in _words(cluster(own, older, newer))
    assert helm.installable(cluster(own, older)) == []


def _words(made: ClusterPlan) -> str:
    text = helm.values(made)
    return " ".join(line.removeprefix("#").strip() for line in text.splitlines())

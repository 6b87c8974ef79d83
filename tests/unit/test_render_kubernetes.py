"""render/kubernetes.py: RBAC and annotations. The real API server judges them in tests/kubelet."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import kubernetes
from unit import plans

VERB = "request-serviceaccounts-token-audience"
WHOLE_CLUSTER = {"cluster": "prod-eu"}


def cluster(
    tmp_path: Path, *, pull: list[dict[str, Any]] | None = None, **values: Any
) -> ClusterPlan:
    """prod-eu with other values; `pull`: other entries than its two."""
    fleet = plans.fleet("own")
    fleet["clusters"] = fleet["clusters"][:1]
    fleet["clusters"][0] |= values
    fleet["pull"] = fleet["pull"][:2] if pull is None else pull
    return plans.plan_from(fleet, tmp_path).clusters[0]


def objects(made: ClusterPlan) -> list[dict[str, Any]]:
    """What kubectl would apply."""
    return list(yaml.safe_load_all(kubernetes.manifests(made)))


def rules(made: ClusterPlan) -> dict[str, list[dict[str, Any]]]:
    """By "KIND NAMESPACE"."""
    return {
        f"{one['kind']} {one['metadata'].get('namespace', '')}".strip(): one["rules"]
        for one in objects(made)
        if "rules" in one
    }


def comments(made: ClusterPlan) -> str:
    """All comments as one line."""
    text = kubernetes.manifests(made)
    return " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))


def audience_rule(made: ClusterPlan, *accounts: str) -> dict[str, Any]:
    """The rule for the audience."""
    rule = {"verbs": [VERB], "apiGroups": [""], "resources": [made.audience]}
    return rule | ({"resourceNames": list(accounts)} if accounts else {})


def test_a_role_in_each_namespace(tmp_path: Path) -> None:
    """With the audience as it is, for the ServiceAccounts that are named, or for all."""
    made = cluster(tmp_path)
    assert rules(made) == {
        "Role backend": [audience_rule(made, "default")],
        "Role monitoring": [audience_rule(made)],
    }


def test_every_role_is_bound_to_the_nodes(tmp_path: Path) -> None:
    """In its own namespace, and to nobody else."""
    for made in (cluster(tmp_path), cluster(tmp_path, pull=[WHOLE_CLUSTER])):
        every = objects(made)
        roles = [one for one in every if "rules" in one]
        bindings = [one for one in every if "roleRef" in one]
        assert len(roles) == len(bindings)
        for role, binding in zip(roles, bindings, strict=True):
            assert binding["metadata"] == role["metadata"]
            assert binding["kind"] == f"{role['kind']}Binding"
            assert binding["roleRef"] == {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": role["kind"],
                "name": role["metadata"]["name"],
            }
            assert binding["subjects"] == [
                {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "system:nodes"}
            ]


def test_a_whole_cluster_needs_a_cluster_role(tmp_path: Path) -> None:
    """Its namespaces are not known."""
    made = cluster(tmp_path, pull=[WHOLE_CLUSTER])
    assert rules(made) == {"ClusterRole": [audience_rule(made)]}
    assert "by a whole cluster that may pull" in comments(made)


def test_a_cluster_role_on_request(tmp_path: Path) -> None:
    """With the warning that a name means every namespace."""
    pull = [{"cluster": "prod-eu", "namespace": "backend", "serviceAccount": "default"}]
    made = cluster(tmp_path, pull=pull, clusterRole=True)
    assert rules(made) == {"ClusterRole": [audience_rule(made, "default")]}
    assert "A resourceName in it means that name in every namespace." in comments(made)


def test_1_33_lets_nodes_read_service_accounts(tmp_path: Path) -> None:
    """The same ones, in the same namespaces, and the file says why."""
    made = cluster(tmp_path, kubernetes="1.33")
    get = {"verbs": ["get"], "apiGroups": [""], "resources": ["serviceaccounts"]}
    assert rules(made) == {
        "Role backend": [audience_rule(made, "default"), get | {"resourceNames": ["default"]}],
        "Role monitoring": [audience_rule(made), get],
    }
    assert "until 1.33 the API server lets nodes read ServiceAccounts only with" in comments(made)


def test_1_33_with_the_api_servers_gate(tmp_path: Path) -> None:
    """No rule is needed, and the file says what happens if the gate is not there."""
    made = cluster(tmp_path, kubernetes="1.33", apiServerGate=True)
    assert rules(made)["Role backend"] == [audience_rule(made, "default")]
    assert "Without it pulls end in 'Failed to get service account'" in comments(made)


@pytest.mark.parametrize("minor", ["1.34", "1.37"])
def test_later_minors_need_no_such_rule(tmp_path: Path, minor: str) -> None:
    """The node authorizer lets them."""
    made = cluster(tmp_path, kubernetes=minor)
    assert rules(made)["Role backend"] == [audience_rule(made, "default")]
    assert "get serviceaccounts" not in comments(made)


def test_annotations(tmp_path: Path) -> None:
    """Each ServiceAccount with its one annotation, applied so that nothing else of it changes."""
    lab = plans.plan("impersonation", tmp_path).clusters[1]
    accounts = [one for one in objects(lab) if one["kind"] == "ServiceAccount"]
    assert [(one["metadata"], sorted(one)) for one in accounts] == [
        (
            {
                "name": name,
                "namespace": "ci",
                "annotations": {"gcp-sa-credential-provider/service-account": email},
            },
            ["apiVersion", "kind", "metadata"],
        )
        for name, email in (("guest", plans.FOREIGN), ("runner", plans.FRESH))
    ]
    assert "kubectl apply --server-side --field-manager=gcp-sa-credential-provider" in comments(lab)
    assert "Server-side apply with a field manager of its own touches that alone" in comments(lab)


def test_its_rules_have_other_names_than_the_charts(tmp_path: Path) -> None:
    """Whose Role of the installer is in its namespace, by the release's name."""
    named = {
        one["metadata"]["name"]
        for one in objects(cluster(tmp_path))
        if one["kind"].startswith(("Role", "ClusterRole"))
    }
    assert named == {"gcp-sa-credential-provider-tokens"}


def test_one_file_for_each_cluster_that_pulls(tmp_path: Path) -> None:
    """By the cluster's folder; a cluster from which nobody pulls has nothing to apply."""
    fleet = plans.fleet("own")
    files = kubernetes.files(plans.plan_from(fleet, tmp_path))
    assert sorted(files) == ["prod-aws/kubernetes.yaml", "prod-eu/kubernetes.yaml"]
    fleet["pull"] = fleet["pull"][:2]
    assert sorted(kubernetes.files(plans.plan_from(fleet, tmp_path))) == ["prod-eu/kubernetes.yaml"]

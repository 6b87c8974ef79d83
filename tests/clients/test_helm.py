"""The chart, rendered by the real Helm. With an API server: test_helm_cluster.py.

Golden files: what each file of chart/values/ is rendered to. After a change that is meant,
`PYTHONPATH=tests python -m clients.charts golden` writes them anew.
"""

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients import charts
from clients.charts import CHART, VALUES, golden, helm, template
from gcp_sa_credential_provider.node import health, profile
from gcp_sa_credential_provider.render import helm as rendered
from gcp_sa_credential_provider.version import VERSION
from kubelet.build import go_problem
from unit import plans

by_values = pytest.mark.parametrize("values", VALUES, ids=lambda values: values.stem)


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    """Helm."""
    if problem := go_problem():
        pytest.skip(problem)
    charts.HELM.build()


def documents(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a rendering."""
    return (one for one in yaml.safe_load_all(text) if one)


@by_values
def test_lint(values: Path) -> None:
    """Helm has nothing to say against it."""
    said = helm("lint", "--strict", CHART, f"--values={values}").stdout
    assert "0 chart(s) failed" in said
    assert "[WARNING]" not in said


@by_values
def test_golden(values: Path) -> None:
    """It is rendered to what somebody has looked at."""
    expected = golden(values).read_text().splitlines()
    told = difflib.unified_diff(expected, template(values).stdout.splitlines(), "golden", "now")
    assert list(told) == []


def test_chart_is_of_this_version() -> None:
    """Chart, image and program are released together."""
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (VERSION, VERSION)


def test_helm_takes_what_render_writes(tmp_path: Path) -> None:
    """The values of `render` need nothing but the image's place."""
    plan = plans.plan("own", tmp_path)
    for path, text in rendered.files(plan).items():
        values = tmp_path / path.replace("/", "-")
        values.write_text(text)
        said = template(values, "--set=image.repository=registry.example.com/p").stdout
        groups = [one for one in documents(said) if one["kind"] == "DaemonSet"]
        # For workers and for the control plane, each.
        assert len(groups) == 2 * len(yaml.safe_load(text)["nodeGroups"])


def test_workers_come_before_the_control_plane() -> None:
    """Helm changes objects of a kind in this order; so the latter see that there is a change."""
    said = template(CHART.parents[2] / "tests/clients/chart/values/everything.yaml").stdout
    names = [one["metadata"]["name"] for one in documents(said) if one["kind"] == "DaemonSet"]
    assert names == [
        "provider-agent-workers",
        "provider-agent-edge",
        "provider-control-plane-workers",
        "provider-control-plane-edge",
    ]


def test_change_is_completed_before_its_pod_is_killed() -> None:
    """The kubelet waits for as long as a restart and the way back may take."""
    for one in documents(template(VALUES[0]).stdout):
        if one["kind"] == "DaemonSet":
            pod = one["spec"]["template"]["spec"]
            assert pod["terminationGracePeriodSeconds"] > 2 * health.CARRIED.whole


def test_upgrade_passes_by_a_node_that_is_not_done() -> None:
    """Leases say whose turn it is; a pod that is not ready keeps no other from being replaced."""
    strategies = [
        one["spec"]["updateStrategy"]
        for one in documents(template(VALUES[0]).stdout)
        if one["kind"] == "DaemonSet"
    ]
    wanted = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "100%"}}
    assert strategies == [wanted, wanted]


GOOD = """
image: {repository: registry.example.com/p}
nodeGroups: [{name: all, config: "kind: CredentialProviderConfig"}]
"""
GROUP = {"name": "all", "config": "kind: CredentialProviderConfig"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"image": {}}, "at '/image/repository': '' does not match pattern"),
        ({"image": {"repository": "https://r.example.com/p"}}, "at '/image/repository'"),
        ({"image": {"repository": "r.example.com/p:v1"}}, "at '/image/repository'"),
        ({"image": {"repository": "r", "digest": "sha256:0"}}, "at '/image/digest'"),
        ({"image": {"repository": "r", "pullPolicy": "Sometimes"}}, "at '/image/pullPolicy'"),
        ({"nodeGroups": []}, "at '/nodeGroups': minItems: got 0, want 1"),
        ({"nodeGroups": [{"name": "all"}]}, "missing property 'config'"),
        ({"nodeGroups": [{"name": "All", "config": "CredentialProviderConfig"}]}, "/0/name'"),
        ({"nodeGroups": [{"name": "all", "config": "providers: []"}]}, "/0/config'"),
        ({"nodeGroups": [{**GROUP, "profile": "k3"}]}, "/0/profile': value must be one of"),
        ({"nodeGroups": [{**GROUP, "profile": "talos"}]}, "/0/profile': value must be one of"),
        ({"nodeSelector": {}}, "additional properties 'nodeSelector' not allowed"),
        ({"rollout": {"parallel": 0}}, "at '/rollout/parallel': minimum: got 0, want 1"),
        ({"rollout": {"parallel": "two"}}, "at '/rollout/parallel': got string, want integer"),
        ({"audience": "my-provider"}, "at '/audience': 'my-provider' does not match pattern"),
        ({"audienceRbac": {"clusterWide": True}}, "at '/audience'"),
        ({"uninstall": {"timeoutSeconds": 5}}, "at '/uninstall/timeoutSeconds': minimum"),
        ({"fullnameOverride": "a" * 40}, "at '/fullnameOverride'"),
    ],
)
def test_values_that_are_refused(tmp_path: Path, change: dict[str, Any], said: str) -> None:
    """By the schema, which says where and what."""
    values = tmp_path / "values.yaml"
    values.write_text(yaml.safe_dump(yaml.safe_load(GOOD) | change))
    done = template(values, check=False)
    assert done.returncode != 0
    assert done.stdout == ""
    assert said in done.stderr


def test_profiles_are_those_of_the_installer() -> None:
    """All that it knows, and no other."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    group = schema["properties"]["nodeGroups"]["items"]["properties"]
    assert group["profile"]["enum"] == sorted({*profile._known(), *profile._ALIASES})


def test_groups_of_one_name(tmp_path: Path) -> None:
    """Which no schema can see."""
    values = tmp_path / "values.yaml"
    good = yaml.safe_load(GOOD)
    values.write_text(yaml.safe_dump(good | {"nodeGroups": good["nodeGroups"] * 2}))
    done = template(values, check=False)
    assert done.returncode != 0
    assert 'nodeGroups: two are named "all". Fix: a name of its own for each' in done.stderr


def test_kubernetes_that_is_too_old(tmp_path: Path) -> None:
    """Its kubelets give providers no ServiceAccount tokens."""
    values = tmp_path / "values.yaml"
    values.write_text(GOOD)
    done = template(values, "--kube-version=1.32.0", check=False)
    assert done.returncode != 0
    assert "requires kubeVersion: >=1.33.0-0" in done.stderr


def test_names_of_long_releases(tmp_path: Path) -> None:
    """Are cut, and stay different and valid."""
    values = tmp_path / "values.yaml"
    values.write_text(GOOD)
    named = {}
    for release in ("a" * 52 + "1", "a" * 52 + "2"):
        said = helm("template", release, CHART, f"--values={values}").stdout
        names = [one["metadata"] for one in documents(said)]
        assert max(len(one["name"]) for one in names) <= 63
        named[release] = {one["name"] for one in names if "namespace" in one}
    first, second = named.values()
    assert not first & second


def test_cluster_has_one_release(tmp_path: Path) -> None:
    """Two would take each other's entries away: an object of one name, and Helm refuses another."""
    values = tmp_path / "values.yaml"
    values.write_text(GOOD)
    shared = []
    for release, namespace in (("one", "here"), ("two", "there")):
        where = (f"--namespace={namespace}", "--set=hostNetwork=false")
        said = helm("template", release, CHART, f"--values={values}", *where).stdout
        shared.append(
            {
                (one["kind"], one["metadata"]["name"])
                for one in documents(said)
                if "namespace" not in one["metadata"]
            }
        )
    assert shared[0] & shared[1] == {("ClusterRole", "gcp-sa-credential-provider-metrics")}


@pytest.mark.parametrize("shared", [True, False])
def test_right_to_metrics_is_for_whom_it_helps(tmp_path: Path, *, shared: bool) -> None:
    """Outside the host's network nobody asks for them."""
    values = tmp_path / "values.yaml"
    values.write_text(GOOD)
    said = template(values, f"--set=hostNetwork={str(shared).lower()}").stdout
    given = [one for one in documents(said) if one["kind"] == "ClusterRoleBinding"]
    assert len(given) == shared

"""Valid names that YAML takes for numbers and the like, rendered by the real Helm."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from clients import charts
from clients.charts import CHART, helm
from kubelet.build import go_problem

AUDIENCE = (
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool"
    "/providers/one"
)
NAMED = ("name", "namespace", "serviceAccountName", "policyName", "key")
LISTED = ("labels", "matchLabels", "resourceNames", "args")


class Loader(yaml.SafeLoader):
    """Takes for a number what the API server's and Helm's YAML takes for one."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[0-9]+e[-+]?[0-9]+$"), list("0123456789")
)


@pytest.fixture(autouse=True, scope="module")
def built() -> None:
    """Helm."""
    if problem := go_problem():
        pytest.skip(problem)
    charts.HELM.build()


def not_texts(value: Any, place: str) -> Iterator[str]:
    """Names, labels and words of a command that are something other than text."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from not_texts(item, f"{place}[{number}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            here = f"{place}.{key}"
            if key in LISTED and item is not None:
                listed = item.values() if isinstance(item, dict) else item
            else:
                listed = [item] if key in NAMED else []
            yield from (f"{here}: {one!r}" for one in listed if not isinstance(one, str))
            yield from not_texts(item, here)


def rendered(values: Path, name: str) -> list[dict[str, Any]]:
    """The objects of a release where everything that may be named has this name."""
    group = {"config": "kind: CredentialProviderConfig"}
    told = {
        "image": {"repository": "registry.example.com/p", "pullSecrets": [name]},
        "nodeGroups": [{"name": name, **group}, {"name": "5", **group}],
        "audience": AUDIENCE,
        "audienceRbac": {"namespaces": [{"name": name, "serviceAccounts": [name]}]},
        "controlPlaneLabels": [name],
        "startupTaint": {"enabled": True},
    }
    values.write_text(json.dumps(told))
    said = helm("template", name, CHART, f"--namespace={name}", f"--values={values}").stdout
    return [one for one in yaml.load_all(said, Loader) if one]


@pytest.mark.parametrize("name", ["101", "1e3", "0x10", "on", "no", "true", "null", "1e"])
def test_names_are_text(tmp_path: Path, name: str) -> None:
    """The API server takes nothing else. Of 1e, 1e-0 is made: a number again."""
    objects = rendered(tmp_path / "values.yaml", name)
    assert [what for one in objects for what in not_texts(one, one["kind"])] == []
    leases = {one["metadata"]["name"] for one in objects if one["kind"] == "Lease"}
    assert leases == {f"{name}-0", f"{name}-control-plane"}
    groups = {
        one["metadata"]["labels"]["gcp-sa-credential-provider/group"]
        for one in objects
        if one["kind"] == "DaemonSet"
    }
    assert groups == {name, "5"}

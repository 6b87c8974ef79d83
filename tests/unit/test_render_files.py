"""render/files.py: every file of a fleet once, whatever the distribution and the minor."""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from gcp_sa_credential_provider.fleet.model import Distribution
from gcp_sa_credential_provider.fleet.plan import Plan
from gcp_sa_credential_provider.render import files
from unit import plans

DISTRIBUTIONS: tuple[str, ...] = get_args(Distribution)
MINORS = ("1.33", "1.34", "1.37")
CONFIG, NEXT = "credential-provider-config.yaml", "credential-provider-config-1.34.yaml"
DROP_IN = "50-gcp-sa-credential-provider.yaml"
# Where the configuration is a file of its own; Talos and OpenShift have it in theirs.
OWN_FILE = sorted({*DISTRIBUTIONS} - {"talos", "openshift", "bottlerocket"})
# Where the files lie when a node is upgraded, or a new one of the next minor is made by them.
STAYS = sorted({*OWN_FILE} - {"aks", "kind", "minikube"})


def every(minor: str, folder: Path, **more: Any) -> Plan:
    """A fleet with a cluster that has a group of every distribution, of one minor."""
    described = plans.fleet("own")
    described["clusters"][0] |= {
        "kubernetes": minor,
        "nodes": [
            {"name": name, "distribution": name, "kubernetes": minor, **more}
            for name in DISTRIBUTIONS
        ],
    }
    return plans.plan_from(described, folder)


@pytest.mark.parametrize("minor", MINORS)
def test_every_distribution_and_minor(minor: str, tmp_path: Path) -> None:
    """It renders, and everything parses that is read by a program."""
    made = files.files_of(every(minor, tmp_path))
    assert list(made) == sorted(made)
    assert {path.split("/")[1] for path in made if path.startswith("prod-eu/")} == {
        *DISTRIBUTIONS,
        "helm-values.yaml",
        "kubernetes.yaml",
    }
    for path, text in made.items():
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert "\r" not in text, path
        _parse(path, text)


def _parse(path: str, text: str) -> None:
    if path.endswith((".yaml", ".yml")):
        assert all(document for document in yaml.safe_load_all(text)), path
    elif path.endswith(".json"):
        json.loads(text)
    elif text.startswith("#!"):
        shell = re.fullmatch(r"#!(?:/usr/bin/env |/bin/)(\w+)", text.partition("\n")[0])
        assert shell, path
        checked = subprocess.run(
            [shell[1], "-n"], input=text.encode(), capture_output=True, check=False
        )
        assert (checked.returncode, checked.stderr) == (0, b""), path


def test_each_group_has_its_readme_and_configuration(tmp_path: Path) -> None:
    """Under the cluster's and the group's names."""
    made = files.files_of(every("1.34", tmp_path))
    for name in DISTRIBUTIONS:
        assert f"prod-eu/{name}/README.md" in made
    assert _with(CONFIG, made) == OWN_FILE
    assert _with(NEXT, made) == _with(DROP_IN, made) == []


def _with(name: str, made: Mapping[str, str]) -> list[str]:
    """The distributions whose folders have a file of that name."""
    return sorted(one for one in DISTRIBUTIONS if f"prod-eu/{one}/{name}" in made)


def _provider(text: str) -> dict[str, Any]:
    """Our entry."""
    providers = yaml.safe_load(text)["providers"]
    [ours] = [one for one in providers if one["name"] == "gcp-sa-credential-provider"]
    return dict(ours["tokenAttributes"])


@pytest.mark.parametrize("name", STAYS)
def test_a_group_of_1_33_is_ready_for_1_34(name: str, tmp_path: Path) -> None:
    """Both configurations are there: a kubelet of one does not start with that of the other."""
    made = files.files_of(every("1.33", tmp_path))
    folder = f"prod-eu/{name}"
    assert "cacheType" not in _provider(made[f"{folder}/{CONFIG}"])
    assert _provider(made[f"{folder}/{NEXT}"])["cacheType"] == "ServiceAccount"
    chooser = f"{folder}/select-config.sh"
    inline = [path for path in made if path.startswith(folder) and "select-config" in made[path]]
    assert chooser in made or len(inline) > 1, "nothing chooses between the two"


@pytest.mark.parametrize("minor", ["1.34", "1.37"])
def test_the_directory_form_is_one_file(minor: str, tmp_path: Path) -> None:
    """Beside those of others."""
    made = files.files_of(every(minor, tmp_path, directory=True))
    assert {*_with(DROP_IN, made)} >= {*OWN_FILE}
    assert _with(CONFIG, made) == _with(NEXT, made) == []


@pytest.mark.parametrize("name", plans.FLEETS)
def test_the_same_plan_gives_the_same_files(name: str, tmp_path: Path) -> None:
    """Whoever made the plan."""
    first, second = (files.files_of(plans.plan(name, tmp_path)) for _ in range(2))
    assert first == second
    assert {path.split("/")[0] for path in first} == {
        "README.md",
        "google",
        *(cluster["name"] for cluster in plans.FLEETS[name]["clusters"]),
    }


@pytest.mark.parametrize("name", plans.FLEETS)
def test_no_secret_is_in_it(name: str, tmp_path: Path) -> None:
    """Neither private keys nor anything of a token's form."""
    for path, text in files.files_of(plans.plan(name, tmp_path)).items():
        assert "PRIVATE" not in text, path
        assert not re.search(r"eyJ[\w-]+\.[\w-]+\.", text), path
        if path.endswith(".json"):
            for key in json.loads(text)["keys"]:
                assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & {*key}, path


def test_two_files_do_not_share_a_path() -> None:
    """Nor does a file lie where a folder is."""
    with pytest.raises(files.Clash, match=r"^a/b: two files want this place$"):
        files.merged(iter([{"a/b": "1\n"}, {"a/c": "\n", "a/b": "1\n"}]))
    with pytest.raises(files.Clash, match=r"^a: a file and a folder want this place"):
        files.merged(iter([{"a/b/c": "1\n"}, {"a": "\n"}]))
    assert list(files.merged(iter([{"b": "\n"}, {"a/b": "\n", "a-b": "\n"}]))) == [
        "a-b",
        "a/b",
        "b",
    ]


def test_groups_of_one_name_clash(tmp_path: Path) -> None:
    """No file is silently lost, should a description with such ever come so far."""
    described = plans.fleet("own")
    described["clusters"][0]["nodes"] *= 2
    with pytest.raises(files.Clash, match=r"^prod-eu/workers/.*: two files"):
        files.files_of(plans.plan_from(described, tmp_path))

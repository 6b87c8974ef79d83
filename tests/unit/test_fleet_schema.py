"""The published JSON Schema, and what people copy: examples and documentation."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from gcp_sa_credential_provider.fleet.decide import plan_of
from gcp_sa_credential_provider.fleet.load import load
from unit import plans
from unit.fleet_samples import GOOD, changed

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "docs" / "fleet.schema.json"
PAGE = ROOT / "docs" / "fleet.md"
EXAMPLES = sorted((ROOT / "examples").glob("fleet*.yaml"))
SCHEMA = json.loads(PUBLISHED.read_text())
# By shape alone: what is wrong between values no schema can say.
SHAPES = [
    "a project's number for its id",
    "a project's id for its number",
    "a shared pool that begins with gcp-",
    "a shared pool that is too long",
    "a universe with a scheme",
    "a word for keys that is none",
    "a cluster with an underscore",
    "a minor that is a number",
    "a minor with v and patch level",
    "a cacheType that is none",
    "yes for true",
    "an architecture that is none",
    "no architecture",
    "a distribution with a slip",
    "a repository by its path",
    "a zone for the location",
    "no repositories",
    "a wildcard for namespaces",
    "a subject for a ServiceAccount",
    "a field that is not there",
    "a field by Python's name",
    "a version that is not there yet",
    "true for the version",
    "an empty field",
    "no pull",
    "a list for fields",
    "a number for a namespace",
]


def errors(text: str) -> list[str]:
    """What the published schema says of a text."""
    validator = Draft202012Validator(SCHEMA)
    return [error.message for error in validator.iter_errors(yaml.safe_load(text))]


def test_what_is_published_is_current() -> None:
    """`python -m gcp_sa_credential_provider.fleet.schema > docs/fleet.schema.json` makes it so."""
    made = subprocess.run(
        [sys.executable, "-m", "gcp_sa_credential_provider.fleet.schema"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == PUBLISHED.read_text()


def test_it_is_a_schema() -> None:
    """By its own standard, with a name, and a description for every field."""
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"] == "urn:gcp-sa-credential-provider:fleet:1"
    parts = [SCHEMA, *SCHEMA["$defs"].values()]
    assert all(field["description"] for part in parts for field in part["properties"].values())


@pytest.mark.parametrize("name", SHAPES)
def test_it_refuses_slips(name: str) -> None:
    """Those that an editor can underline."""
    cases = yaml.safe_load(Path(__file__).with_name("fleet_bad.yaml").read_text())
    [case] = [case for case in cases if case["case"] == name]
    assert errors(changed(case["changes"]))


@pytest.mark.parametrize("name", sorted(plans.FLEETS))
def test_it_takes_what_is_taken(name: str) -> None:
    """Everything that tests render, and the sample."""
    assert errors(json.dumps(plans.fleet(name))) == errors(GOOD) == []


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_good(path: Path, tmp_path: Path) -> None:
    """By the schema, by every check, and up to the plan."""
    assert errors(path.read_text()) == []
    (tmp_path / "fleet.yaml").write_text(path.read_text())
    raw = yaml.safe_load(path.read_text())
    for cluster in raw["clusters"]:
        if "jwks" in cluster:
            (tmp_path / cluster["jwks"]).write_text(plans.issuer(cluster["name"]).jwks)
    fleet = load(tmp_path / "fleet.yaml")
    assert len(plan_of(fleet, tmp_path).clusters) == len(raw["clusters"])


def test_there_are_examples() -> None:
    """The parameters above are not empty."""
    assert {path.name for path in EXAMPLES} >= {"fleet.yaml", "fleet-small.yaml"}


def blocks(language: str) -> list[str]:
    """The code of the page, by language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


def test_the_page_shows_the_example() -> None:
    """The whole of it, as it is in examples/."""
    assert (ROOT / "examples" / "fleet.yaml").read_text() in blocks("yaml")


@pytest.mark.parametrize("text", blocks("yaml"))
def test_what_the_page_shows_is_good(text: str) -> None:
    """Parts are put into the example, in place of what has their names."""
    whole = yaml.safe_load((ROOT / "examples" / "fleet.yaml").read_text())
    assert errors(json.dumps(whole | yaml.safe_load(text))) == []


def test_every_field_is_on_the_page() -> None:
    """In a table's first column."""
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE))
    parts = [SCHEMA, *SCHEMA["$defs"].values()]
    assert told == {name for part in parts for name in part["properties"]}


def test_defaults_on_the_page_are_true() -> None:
    """The third column of a field that has one."""
    told = dict(re.findall(r"^\| `(\w+)` \|.*\| `([^`]+)` \|$", PAGE.read_text(), re.MULTILINE))
    parts = [SCHEMA, *SCHEMA["$defs"].values()]
    known = {
        name: field["default"]
        for part in parts
        for name, field in part["properties"].items()
        if field.get("default") not in (None, [])
    }
    shown = {name: yaml.safe_load(text) for name, text in told.items()}
    assert shown == {name: value for name, value in known.items() if name != "endpoints"}

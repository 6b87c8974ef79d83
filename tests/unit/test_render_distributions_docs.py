"""docs/distributions: a page for each, which names what is rendered and nothing else."""

import re
from pathlib import Path

import pytest

from gcp_sa_credential_provider.fleet.load import parse
from gcp_sa_credential_provider.fleet.model import Distribution
from unit.node_groups import DISTRIBUTIONS, FORMS, cluster, files

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted((DOCS / "distributions").glob("*.md"))
_CODE = re.compile(r"`([^`\n]+)`")
_OURS = re.compile(
    r"(?:config\.yaml\.d/)?5[01]-gcp-sa-credential-provider[\w.-]+|credential-provider-config[\w.-]*"
    r"\.yaml|machine-config-[\w.-]+\.yaml|k(?:ubeadm|ind|ops|0s|0sctl)-[\w-]+\.yaml|butane\.yaml"
    r"|args-[\w-]+|minikube-start\.sh|user-data\.mime|Containerfile"
    r"|(?:extension|patches)/[\w.+-]+"
)


def page(distribution: str) -> str:
    """Its text."""
    return (DOCS / "distributions" / f"{distribution}.md").read_text()


def rendered(distribution: Distribution) -> set[str]:
    """All files of all forms, but the README."""
    made = {
        name
        for minor, directory in FORMS
        for gate in {False, minor == "1.33"}
        for name in files(cluster(distribution, minor, directory=directory, gate=gate))
    }
    return made - {"README.md"}


def test_there_is_a_page_for_each() -> None:
    """And no other but the index."""
    assert {one.stem for one in PAGES} == {*DISTRIBUTIONS, "README"}
    index = page("README")
    assert [one for one in DISTRIBUTIONS if f"]({one}.md)" not in index] == []


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_page_names_what_is_rendered(distribution: Distribution) -> None:
    """Every file, and no file that is not."""
    named = {text for text in _CODE.findall(page(distribution)) if _OURS.fullmatch(text)}
    # Not a file of its own everywhere: in the machines' own specification it is one of theirs.
    assert named == rendered(distribution) - {"select-config.sh"}
    assert "`select-config.sh`" in page(distribution) or "select-config.sh" not in rendered(
        distribution
    )


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_a_page_says_what_was_run(distribution: Distribution) -> None:
    """With a link to what the tests do."""
    text = page(distribution)
    if distribution == "bottlerocket":
        assert "not tried on a node" in text
    else:
        link = "[what was run](README.md#what-was-run-and-what-was-not)"
        assert link in " ".join(text.partition("**What was run**: ")[2].split())


@pytest.mark.parametrize("name", ["private-endpoints", "universes"])
def test_descriptions_on_pages_are_whole(name: str) -> None:
    """fleet.yaml as a reader would copy it."""
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / f"{name}.md").read_text(), re.DOTALL)
    made = parse(text, "fleet.yaml", None)
    assert made.google.project_number == "123456789012"
    if name == "universes":
        assert made.google.universe_domain == "apis.example.org"
    else:
        assert made.google.endpoints.sts == "https://sts-nodes.p.googleapis.com"

"""README and docs/by-hand.md: their commands run, their files are what program and kubelet take."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from gcp_sa_credential_provider.cli.main import COMMANDS
from gcp_sa_credential_provider.plugin.images import parse_pattern
from gcp_sa_credential_provider.plugin.settings import from_environment
from scene import AUDIENCE

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "gcp-sa-credential-provider"


def blocks(page: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```$", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL
    )


def commands(page: str) -> list[str]:
    """The lines of the shell blocks of a page."""
    return [line for block in blocks(page, "sh") for line in block.splitlines()]


MAKE = sorted(
    {
        line
        for page in ("README.md", "CONTRIBUTING.md", "docs/by-hand.md")
        for line in commands(page)
        if line.startswith("make ")
    }
)
OURS = [line for line in commands("README.md") if line.startswith(PROGRAM)]


def test_the_readme_has_commands() -> None:
    """Both kinds: the tests below are not empty."""
    assert "make demo" in MAKE
    assert "make test" in MAKE
    assert len(OURS) >= 2


@pytest.mark.parametrize("line", MAKE)
def test_make_knows_the_target(line: str) -> None:
    """What it would run is what the page says."""
    done = subprocess.run(
        [*shlex.split(line), "--dry-run"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if line == "make demo":
        assert f"bin/{PROGRAM} demo" in done.stdout
    if line == "make test":
        assert "-m pytest" in done.stdout


@pytest.mark.parametrize("line", OURS)
def test_a_command_of_the_readme_runs(line: str) -> None:
    """As written, with the installed program."""
    words = shlex.split(line)
    program = Path(sys.executable).with_name(words[0])
    done = subprocess.run(
        [program, *words[1:]], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "\n  fix " in done.stdout


def test_the_readme_names_only_commands_that_are_there() -> None:
    """In running text as well."""
    named = set(re.findall(rf"{PROGRAM} ([a-z]+)", (ROOT / "README.md").read_text()))
    assert named <= set(COMMANDS)


def documents(page: str) -> list[dict[str, Any]]:
    """Every YAML document of a page."""
    return [
        document
        for block in blocks(page, "yaml")
        for document in yaml.safe_load_all(block.replace("AUDIENCE", AUDIENCE))
    ]


def test_the_config_of_the_page_by_hand_is_one_that_we_take() -> None:
    """Its variables are settings, and matchImages stays inside GCP_REGISTRIES."""
    [config] = [d for d in documents("docs/by-hand.md") if d["kind"] == "CredentialProviderConfig"]
    [provider] = config["providers"]
    # GCP_AUDIENCE is itself a name with AUDIENCE in it.
    environment = {
        entry["name"].replace(AUDIENCE, "AUDIENCE"): entry["value"] for entry in provider["env"]
    }
    settings = from_environment(environment)
    assert settings.audience == provider["tokenAttributes"]["serviceAccountTokenAudience"]
    own = {pattern.text for pattern in settings.registries}
    assert {parse_pattern(text).text for text in provider["matchImages"]} <= own
    assert provider["name"] == PROGRAM


def test_the_rbac_of_the_page_by_hand_names_the_audience_whole() -> None:
    """RBAC compares the whole string."""
    [role] = [d for d in documents("docs/by-hand.md") if d["kind"] == "Role"]
    assert role["rules"][0]["resources"] == [AUDIENCE]

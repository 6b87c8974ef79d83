"""What the file says of itself, and what stands beside it."""

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from gcp_sa_credential_provider.version import VERSION
from process.launch import Launcher

ROOT = Path(__file__).parents[2]
PINS = tomllib.loads((ROOT / "packaging/sources.toml").read_text())
COMPONENTS = ["CPython", "OpenSSL", "musl", "zig compiler-rt", "Mozilla CA bundle", "pyyaml"]


@pytest.fixture(scope="session")
def bill(static_file: Path) -> dict[str, object]:
    """The SBOM."""
    text = static_file.with_name(static_file.name + ".cdx.json").read_text()
    document: dict[str, object] = json.loads(text)
    return document


def components(bill: dict[str, object]) -> dict[str, dict[str, Any]]:
    """Its components by name."""
    listed = bill["components"]
    assert isinstance(listed, list)
    return {component["name"]: component for component in listed}


def test_version(static_plugin: Launcher) -> None:
    """Own version first, then all that is linked in with its origin, then the source tree."""
    ended = static_plugin.run({}, arguments=["--version"])
    lines = ended.stdout.decode().splitlines()
    assert lines[0] == f"gcp-sa-credential-provider {VERSION}"
    assert (
        lines[1] == f"CPython {PINS['cpython']['version']} (Debian {PINS['cpython']['revision']})"
    )
    assert (
        lines[2] == f"OpenSSL {PINS['openssl']['version']} (Debian {PINS['openssl']['revision']})"
    )
    assert [line.rsplit(" ", 1)[0] for line in lines[-1:]] == ["source"]


def test_licenses_and_sbom_agree(static_plugin: Launcher, bill: dict[str, object]) -> None:
    """Every component's text is in the file."""
    text = static_plugin.run({}, arguments=["--licenses"]).stdout.decode()
    assert list(components(bill)) == COMPONENTS
    for name, component in components(bill).items():
        [entry] = component["licenses"]
        assert f"\n{name} {component['version']} ({entry['license']['id']})\n" in text


@pytest.mark.parametrize(
    "words",
    [
        "PYTHON SOFTWARE FOUNDATION LICENSE VERSION 2",
        "Apache License",
        "musl as a whole is licensed under the following standard MIT license",
        "Mozilla Public License",
    ],
)
def test_license_texts(static_plugin: Launcher, words: str) -> None:
    """The texts themselves, not their names only."""
    assert words in static_plugin.run({}, arguments=["--licenses"]).stdout.decode()


def test_sbom_names_the_file(static_file: Path, bill: dict[str, object]) -> None:
    """By the same hash as the checksum file."""
    digest = hashlib.sha256(static_file.read_bytes()).hexdigest()
    checksum = static_file.with_name(static_file.name + ".sha256").read_text()
    assert checksum == f"{digest}  {static_file.name}\n"
    metadata = bill["metadata"]
    assert isinstance(metadata, dict)
    assert metadata["component"]["hashes"] == [{"alg": "SHA-256", "content": digest}]


def test_sbom_tells_the_security_patches(bill: dict[str, object]) -> None:
    """Those of Debian's series; what is skipped is not among them."""
    properties = components(bill)["CPython"]["properties"]
    assert isinstance(properties, list)
    patches = {entry["value"] for entry in properties if entry["name"] == "patch"}
    assert "CVE-2026-11972.patch" in patches
    assert patches & set(PINS["cpython"]["skip"]) == set()


def test_no_folder_of_the_build_is_in_it(static_file: Path) -> None:
    """Reproducible means: it does not tell where it was built."""
    data = static_file.read_bytes()
    assert str(Path.home()).encode() + b"/" not in data
    assert str(ROOT).encode() not in data


def test_commands_that_need_packages_say_so(static_plugin: Launcher) -> None:
    """The emulator is not for nodes."""
    ended = static_plugin.run({}, arguments=["emulate"])
    assert (ended.code, ended.stdout) == (2, b"")
    assert b"Traceback" not in ended.stderr


def test_help_names_what_is_in_it(static_plugin: Launcher) -> None:
    """And a command that is for another machine says where it is."""
    told = static_plugin.run({}, arguments=["--help"]).stdout.decode()
    listed = set(re.findall(r"^    (\w+) ", told, re.MULTILINE))
    assert listed == {"explain", "node"}
    ended = static_plugin.run({}, arguments=["setup", "--help"])
    assert (ended.code, ended.stdout) == (2, b"")
    assert ended.stderr == (
        b"gcp-sa-credential-provider setup: this form of the program does not have it."
        b" Fix: install the Python package on your own machine, in a checkout of this project:"
        b" pip install '.[setup]'\n"
    )


def test_explain(static_plugin: Launcher) -> None:
    """A command of the whole interpreter."""
    ended = static_plugin.run({}, arguments=["explain", "STS-AUDIENCE"])
    assert (ended.code, ended.stderr) == (0, b"")
    assert b"STS-AUDIENCE" in ended.stdout

"""Where the static build gets its pinned files, and what it says where they are not to be had.

apt-get and pip are the real ones; a server on loopback is their proxy, or their index.
"""

import hashlib
import importlib
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raw_server import RawServer, answering

STATIC = Path(__file__).parents[2] / "packaging/static"
EMPTY = hashlib.sha256().hexdigest()
NOT_THERE = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
ARCHIVES = {
    # What a machine has packages from: URI, suite, component, and what its Release file says.
    "https://download.docker.example/linux/debian": ("bookworm", "stable", "Docker", "Docker CE"),
    "http://mirror.example/pub/debian": ("bookworm", "main", "Debian", "Debian"),
    "http://other.example/security": ("bookworm-security", "main", "Debian", "Debian-Security"),
}
needs_apt = pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt-get")


@pytest.fixture
def server() -> Iterator[RawServer]:
    """Has nothing."""
    with answering(NOT_THERE) as serving:
        yield serving


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: RawServer) -> Any:
    """A way to the build's modules, with a cache of their own; pip asks the server."""
    monkeypatch.syspath_prepend(str(STATIC))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_INDEX_URL", server.url)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("GCP_SA_SOURCES", raising=False)
    return importlib


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: RawServer) -> Path:
    """A machine with apt of its own: a proxy, a hook, archives. Gives the folder of its lists."""
    lists = tmp_path / "lists"
    lists.mkdir()
    stanzas = []
    for uri, (suite, component, origin, label) in ARCHIVES.items():
        stanzas.append(f"Types: deb\nURIs: {uri}\nSuites: {suite}\nComponents: {component}\n")
        name = f"{uri.split('//')[1]}_dists_{suite}".replace("/", "_")
        (lists / f"{name}_Release").write_text(
            f"Origin: {origin}\nLabel: {label}\nCodename: bookworm\n"
            f"Date: Sat, 01 Aug 2026 00:00:00 UTC\nSHA256:\n {'0' * 64} 0 none\n"
        )
        (lists / f"{name}_{component}_binary-amd64_Packages").touch()
    (tmp_path / "machine.sources").write_text("\n".join(stanzas))
    (tmp_path / "apt.conf").write_text(
        f'APT::Architecture "amd64";\nDir::Etc::sourcelist "{tmp_path}/machine.sources";\n'
        f'Dir::Etc::sourceparts "/dev/null";\nDir::State::lists "{lists}";\n'
        f'Acquire::http::Proxy "{server.url}";\n'
        f'APT::Update::Post-Invoke {{ "touch {tmp_path}/hook"; }};\n'
    )
    monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
    return lists


def refusal(build: Any, pin: Any) -> str:
    """What is said of a pin's files."""
    with pytest.raises(build.import_module("steps").BuildError) as raised:
        build.import_module("sources").fetch(pin)
    return str(raised.value)


def debian(build: Any) -> Any:
    return build.import_module("pins").pins()["cpython"]


def asked(server: RawServer) -> set[str]:
    """The URLs that a proxy was asked for."""
    return {request.split()[1].decode() for request in server.received}


@needs_apt
def test_debians_files_come_from_the_machines_own_archives(
    build: Any, machine: Path, server: RawServer
) -> None:
    """By its proxy. Another's archive for Debian is none; its lists and hooks are left alone."""
    before = sorted(path.name for path in machine.iterdir())
    refusal(build, debian(build))
    assert {url.rpartition("/")[0] for url in asked(server)} == {
        "http://mirror.example/pub/debian/dists/trixie",
        "http://mirror.example/pub/debian/dists/trixie-updates",
        "http://other.example/security/dists/trixie-security",
    }
    assert sorted(path.name for path in machine.iterdir()) == before
    assert not (machine.parent / "hook").exists()


@needs_apt
def test_a_machine_that_has_read_no_lists(build: Any, machine: Path, server: RawServer) -> None:
    """As a new container: its archives are known by their names."""
    shutil.rmtree(machine)
    stanza = "Types: deb\nURIs: http://mirror.example/{}\nSuites: x\nComponents: main\n"
    (machine.parent / "machine.sources").write_text(
        "\n".join(map(stanza.format, ("other", "debian", "debian-security/")))
    )
    refusal(build, debian(build))
    assert {url.partition("/dists/")[0] for url in asked(server)} == {
        "http://mirror.example/debian",
        "http://mirror.example/debian-security",
    }


@needs_apt
def test_a_machine_of_another_distribution(build: Any, machine: Path, server: RawServer) -> None:
    """It has no archive of Debian's, and none is made up."""
    (machine.parent / "machine.sources").write_text("")
    assert "apt-get has no archive of Debian here\nFix: put it under" in refusal(
        build, debian(build)
    )
    assert asked(server) == set()


@needs_apt
def test_what_apt_says_is_told(build: Any, machine: Path) -> None:
    """With its log; then where the tarball is elsewhere, and by which name it is looked for."""
    pin = debian(build)
    said = refusal(build, pin)
    head, _, fix = said.rpartition("\n")
    assert head.startswith(f"{pin.source.file}: not to be had from debian: apt-get: exit 100;")
    assert str(build.import_module("pins").cache() / "apt/log") in head
    assert "The repository 'http://mirror.example/pub/debian trixie Release'" in head
    assert fix == (
        f"Fix: put it under this name (SHA-256 {pin.source.sha256}) into a folder, and set"
        " GCP_SA_SOURCES to that. Debian's snapshot archive has it, under python3.13"
        f" {pin.revision}; it is {pin.upstream} too"
    )


def test_debians_patches_are_not_looked_for_upstream(
    build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """There is no apt-get here, and the tarball is at hand."""
    (tmp_path / "tarball").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("GCP_SA_SOURCES", str(tmp_path))
    pin, tarball = debian(build), build.import_module("pins").File(file="tarball", sha256=EMPTY)
    said = refusal(build, replace(pin, source=tarball))
    assert said.startswith(f"{pin.patches.file}: not to be had from debian: no apt-get on PATH\n")
    assert said.endswith(f"snapshot archive has it, under python3.13 {pin.revision}")


def test_what_pip_says_is_told(build: Any, server: RawServer) -> None:
    """It asks the index that the machine is set to."""
    pin = build.import_module("pins").pins()["ca-bundle"]
    said = refusal(build, pin)
    assert server.received[0].startswith(b"GET /certifi/ ")
    assert f"ERROR: No matching distribution found for certifi=={pin.version}" in said
    assert said.endswith(f"It is {pin.upstream}")


def test_the_folder_comes_first(
    build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: RawServer
) -> None:
    """For the libraries in Python too: pip is not asked."""
    libraries, pins = build.import_module("libraries"), build.import_module("pins")
    given = tmp_path / "given"
    given.mkdir()
    with zipfile.ZipFile(given / "a.whl", "w") as wheel:
        wheel.writestr("yaml/parser.py", "pass\n")
    digest = hashlib.sha256((given / "a.whl").read_bytes()).hexdigest()
    pin = replace(libraries.libraries()["pyyaml"], source=pins.File(file="a.whl", sha256=digest))
    monkeypatch.setattr(libraries, "libraries", lambda: {"pyyaml": pin})
    monkeypatch.setenv("GCP_SA_SOURCES", str(given))
    libraries.write(tmp_path / "out")
    assert (tmp_path / "out/yaml/parser.py").read_text() == "pass\n"
    assert server.received == []


def test_a_file_with_another_content_is_refused(
    build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whoever gives it."""
    pin = build.import_module("pins").pins()["zig"]
    (tmp_path / pin.source.file).write_bytes(b"other")
    monkeypatch.setenv("GCP_SA_SOURCES", str(tmp_path))
    said = refusal(build, pin)
    assert f"pinned is {pin.source.sha256}" in said

"""`render` as a process: what it writes, compares and refuses."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from gcp_sa_credential_provider.fleet.model import Distribution
from process import launch
from unit import plans

# How coverage finds its way into child processes, where it is at work.
MEASURED = {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
PROGRAM = "gcp-sa-credential-provider render: "
EXPLAINED = re.compile(r"\S+:[1-9]\d*:[1-9]\d*: \S.*\. Fix: \S.*")


class Render:
    """The command in a folder of its own, and a description there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "rendered"

    def describe(self, fleet: dict[str, Any]) -> None:
        """Write fleet.yaml, and the keys of its clusters."""
        plans.plan_from(fleet, self.folder)
        (self.folder / "fleet.yaml").write_text(yaml.safe_dump(fleet, sort_keys=False))

    def __call__(self, *words: str, **environment: str) -> launch.Ended:
        """Run it."""
        command, handed = launch.console().command, launch.console().environment
        done = subprocess.run(
            [*command, "render", *words],
            cwd=self.folder,
            env={**handed, **MEASURED, "PATH": os.environ["PATH"], **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert b"Traceback" not in done.stderr
        return launch.Ended(done.returncode, done.stdout, done.stderr)

    def refusal(self, *words: str) -> str:
        """What is said by a run that changes nothing."""
        before = self.everything()
        ended = self(*words)
        assert (ended.code, ended.stdout) == (2, b"")
        assert self.everything() == before
        return ended.stderr.decode()

    def everything(self) -> dict[str, bytes]:
        """All files of the folder."""
        found = sorted(self.folder.rglob("*"))
        return {str(path): path.read_bytes() for path in found if path.is_file()}


@pytest.fixture
def render(tmp_path: Path) -> Render:
    """With the description of two clusters."""
    made = Render(tmp_path)
    made.describe(plans.fleet("own"))
    return made


def bytes_of(out: Path) -> dict[str, tuple[bytes, int]]:
    """Contents and modes by path."""
    return {
        str(path.relative_to(out)): (path.read_bytes(), path.stat().st_mode & 0o7777)
        for path in out.rglob("*")
        if path.is_file()
    }


def test_whole(render: Render) -> None:
    """Every file, and what to do next."""
    ended = render()
    assert (ended.code, ended.stderr) == (0, b"")
    assert sorted(bytes_of(render.out)) == [
        ".rendered",
        "README.md",
        "google/gcloud.sh",
        "google/jwks/prod-eu.json",
        "google/terraform/main.tf",
        "google/terraform/outputs.tf",
        "google/terraform/versions.tf",
        "prod-aws/helm-values.yaml",
        "prod-aws/kubernetes.yaml",
        "prod-aws/workers/README.md",
        "prod-aws/workers/credential-provider-config.yaml",
        "prod-aws/workers/user-data.mime",
        "prod-eu/helm-values.yaml",
        "prod-eu/kubernetes.yaml",
        "prod-eu/workers/README.md",
        "prod-eu/workers/credential-provider-config.yaml",
    ]
    lines = ended.stdout.decode().splitlines()
    assert lines == [
        *(f"wrote rendered/{path}" for path in sorted(bytes_of(render.out))),
        lines[-1],
    ]
    assert lines[-1] == "next: rendered/README.md"


def test_modes(render: Render) -> None:
    """The script runs as it lies there; bash reads it."""
    render()
    modes = {path: mode for path, (_, mode) in bytes_of(render.out).items()}
    assert modes.pop("google/gcloud.sh") == 0o755
    assert {*modes.values()} == {0o644}
    script = render.out / "google/gcloud.sh"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    told = subprocess.run([script, "--help"], capture_output=True, check=False)
    assert b"usage: gcloud.sh" in told.stdout + told.stderr


def test_the_same_bytes_whoever_renders(render: Render) -> None:
    """In any place, with any seed of hashes, umask and language; and the manifest with them."""
    render.describe(whole_fleet("1.33"))
    assert render().code == 0
    first = bytes_of(render.out)
    for number, seed in enumerate(("0", "1", "4294967295")):
        other = render.folder / f"other-{number}"
        ended = render("--out", str(other), PYTHONHASHSEED=seed, LC_ALL="C", PYTHONUTF8="0")
        assert ended.code == 0
        assert bytes_of(other) == first
    assert all(content.endswith(b"\n") for content, _ in first.values())


def whole_fleet(minor: str) -> dict[str, Any]:
    """A cluster with a node group of every distribution."""
    fleet = plans.fleet("own")
    fleet["clusters"][0] |= {
        "kubernetes": minor,
        "nodes": [
            {"name": name, "distribution": name, "kubernetes": minor}
            for name in get_args(Distribution)
        ],
    }
    return fleet


@pytest.mark.parametrize("minor", ["1.33", "1.34", "1.37"])
def test_every_distribution(render: Render, minor: str) -> None:
    """Each renders; what is YAML parses, what is a script is one, and no secret is in anything."""
    render.describe(whole_fleet(minor))
    ended = render()
    assert ended.code == 0
    told = re.findall(rb"note: the nodes prod-eu/(\w+) cannot be set up", ended.stderr)
    assert len(told) == ended.stderr.count(b"\n") == (3 if minor == "1.33" else 1)
    for name in get_args(Distribution):
        assert (render.out / f"prod-eu/{name}/README.md").is_file()
    for path, (content, mode) in bytes_of(render.out).items():
        text = content.decode()
        if path.endswith(".yaml"):
            assert all(yaml.safe_load_all(text)), path
        if text.startswith("#!"):
            assert mode == 0o755, path
        assert not re.search(r"PRIVATE KEY|eyJ[\w-]+\.eyJ|\bya29\.", text), path
    assert render("--check").code == 0


def test_again_writes_nothing(render: Render) -> None:
    render()
    before = untouched(render)
    ended = render()
    assert (ended.code, ended.stdout) == (0, b"rendered says all this already\n")
    assert untouched(render) == before


def untouched(render: Render) -> dict[Path, tuple[int, int]]:
    """Which files there are, and when they were last changed in any way."""
    stats = {path: path.stat() for path in render.out.rglob("*")}
    return {path: (one.st_ino, one.st_ctime_ns) for path, one in stats.items()}


def test_check_of_what_is_the_same(render: Render) -> None:
    render()
    before = render.everything()
    assert render("--check") == launch.Ended(0, b"", b"")
    assert render.everything() == before


def drifted(render: Render) -> str:
    """The diff; nothing was changed."""
    before = render.everything()
    ended = render("--check")
    assert ended.code == 1
    assert ended.stderr.decode().endswith("rendered differs. Fix: run it without --check\n")
    assert render.everything() == before
    return ended.stdout.decode()


def test_check_of_an_edit(render: Render) -> None:
    render()
    file = render.out / "prod-eu/kubernetes.yaml"
    file.write_text(file.read_text().replace("system:nodes", "system:everybody"))
    difference = drifted(render)
    assert difference.startswith(
        "--- rendered/prod-eu/kubernetes.yaml\n+++ rendered/prod-eu/kubernetes.yaml\n@@ "
    )
    assert re.findall(r'^[-+] .*name: "(.*)"$', difference, re.MULTILINE) == [
        *["system:everybody", "system:nodes"] * 2
    ]
    assert render().stdout == b"wrote rendered/prod-eu/kubernetes.yaml\nnext: rendered/README.md\n"
    assert render("--check").code == 0


def test_check_in_a_locale_that_has_ascii_only(render: Render) -> None:
    """What cannot be shown is spelled out."""
    render()
    (render.out / "README.md").write_text("\u2026\n")
    ended = render("--check", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert ended.code == 1
    assert b"\n-\\u2026\n" in ended.stdout


def test_check_of_a_missing_file(render: Render) -> None:
    render()
    (render.out / "google/jwks/prod-eu.json").unlink()
    assert "--- /dev/null\n+++ rendered/google/jwks/prod-eu.json\n" in drifted(render)


def test_check_of_nothing(render: Render) -> None:
    """Everything is missing, and not even the directory is made."""
    assert drifted(render).count("--- /dev/null\n+++ rendered/") == 16
    assert not render.out.exists()


def test_check_of_a_changed_description(render: Render) -> None:
    """What would be removed stands there too; then it is."""
    render()
    fleet = plans.fleet("own")
    del fleet["clusters"][1]
    del fleet["pull"][2]
    render.describe(fleet)
    gone = [path for path in bytes_of(render.out) if path.startswith("prod-aws/")]
    difference = drifted(render)
    for path in gone:
        assert f"--- rendered/{path}\n+++ /dev/null\n" in difference
    lines = render().stdout.decode().splitlines()
    assert {*lines} >= {f"removed rendered/{path}" for path in gone}
    assert not (render.out / "prod-aws").exists()
    assert render("--check").code == 0


def test_files_of_others(render: Render) -> None:
    """They are told, are no drift, and stay."""
    render()
    theirs = render.out / "google/terraform/backend.tf"
    theirs.write_text("terraform {}\n")
    (render.out / "google/terraform/.terraform").mkdir()
    ended = render("--check")
    assert (ended.code, ended.stdout) == (0, b"")
    assert ended.stderr.decode().splitlines() == [
        f"{PROGRAM}note: rendered/google/terraform/{name} is not of render, left alone"
        for name in (".terraform/", "backend.tf")
    ]
    fleet = plans.fleet("own")
    fleet["google"]["projectId"] = "your-project"
    render.describe(fleet)
    assert render().code == 0
    assert theirs.read_text() == "terraform {}\n"


def test_a_wrong_description_changes_nothing(render: Render) -> None:
    """All that is wrong, one on a line, with its place; with --check as well."""
    render()
    text = (render.folder / "fleet.yaml").read_text()
    wrong = text.replace("my-project", "123").replace("distribution: k3s", "distribution: k3z")
    (render.folder / "fleet.yaml").write_text(wrong)
    for words in ([], ["--check"]):
        lines = render.refusal(*words).splitlines()
        assert len(lines) == 2
        assert all(EXPLAINED.fullmatch(line) for line in lines), lines
        number, line = next(
            (number, line)
            for number, line in enumerate(wrong.splitlines(), 1)
            if "distribution: k3z" in line
        )
        column = line.index("distribution") + 1
        assert lines[1].startswith(
            f"fleet.yaml:{number}:{column}: clusters[0].nodes[0].distribution: 'k3z'"
        )


def test_names_that_would_meet_in_the_directory(render: Render) -> None:
    """Clusters, and groups of a cluster; and the folder of Google's side."""
    for wrong in ("cluster", "group", "google"):
        fleet = plans.fleet("own")
        if wrong == "group":
            fleet["clusters"][0]["nodes"] *= 2
        else:
            fleet["clusters"][1]["name"] = "google" if wrong == "google" else "prod-eu"
        (render.folder / "fleet.yaml").write_text(json.dumps(fleet))
        assert all(EXPLAINED.fullmatch(line) for line in render.refusal().splitlines())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "fleet.yaml:1:1: cannot be read (No such file or directory). Fix: "),
        (b"", "fleet.yaml:1:1: the file is empty. Fix: "),
        (b"version: [\n", "fleet.yaml:2:1: this is not YAML: "),
        (b"\xff\n", "fleet.yaml:1:1: byte 0xff is not UTF-8. Fix: "),
    ],
)
def test_no_description(render: Render, content: bytes | None, said: str) -> None:
    file = render.folder / "fleet.yaml"
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    text = render.refusal()
    assert text.startswith(said)
    assert EXPLAINED.fullmatch(text.removesuffix("\n"))


def test_keys_stand_beside_the_description(render: Render) -> None:
    """Wherever the command is run; what is missing there is told with its place."""
    elsewhere = render.folder / "fleets"
    elsewhere.mkdir()
    (render.folder / "fleet.yaml").rename(elsewhere / "eu.yaml")
    text = render.refusal("--fleet", "fleets/eu.yaml")
    assert text.startswith("fleets/eu.yaml:")
    assert "clusters[0].jwks: prod-eu.jwks.json: it cannot be read" in text
    (render.folder / "prod-eu.jwks.json").rename(elsewhere / "prod-eu.jwks.json")
    assert render("--fleet", "fleets/eu.yaml").code == 0


def test_a_private_key_is_refused(render: Render) -> None:
    """And neither rendered nor quoted."""
    key = plans.issuer("prod-eu")
    private = {**key.key.as_dict(private=True), "kid": key.kid}
    (render.folder / "prod-eu.jwks.json").write_text(json.dumps({"keys": [private]}))
    text = render.refusal()
    assert "it holds a PRIVATE key" in text
    assert not any(str(private[name]) in text for name in ("d", "p", "q", "n"))


def test_a_directory_of_somebody_else(render: Render) -> None:
    """The folder of the description itself, for one."""
    assert render.refusal("--out", ".") == (
        f"{PROGRAM}.: holds files, and no .rendered: they were not written by render. Fix: name a"
        " new or an empty directory\n"
    )
    assert render.refusal("--out", "fleet.yaml").startswith(f"{PROGRAM}fleet.yaml: is not a dir")
    assert render.refusal("--out", "fleet.yaml", "--check").startswith(f"{PROGRAM}fleet.yaml: ")


def test_a_link_out_of_the_directory(render: Render) -> None:
    """A repository that brings one does not get files of ours written elsewhere."""
    render()
    shutil.rmtree(render.out / "google")
    (render.folder / "elsewhere").mkdir()
    (render.out / "google").symlink_to("../elsewhere")
    assert render.refusal() == (
        f"{PROGRAM}rendered/google: is a symbolic link. Fix: put a file or folder in its place\n"
    )


def test_wrong_usage(render: Render) -> None:
    assert "unrecognized arguments: --force" in render.refusal("--force")


def test_help_is_enough(render: Render) -> None:
    """Files, defaults and exit codes; and it needs none of the libraries of the rest."""
    ended = render("--help")
    assert (ended.code, ended.stderr) == (0, b"")
    text = ended.stdout.decode()
    for word in ("README.md", "google/gcloud.sh", "google/terraform/", "CLUSTER/kubernetes.yaml"):
        assert word in text
    for word in ("(default: fleet.yaml)", "--check", ".rendered", "exit codes: 0 written"):
        assert word in text
    assert "(default: rendered)" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 100


def test_nodes_that_cannot_be_set_up_are_told(tmp_path: Path) -> None:
    """At once, and no error: the other groups of the fleet are rendered."""
    fleet = plans.fleet("own")
    rocket = {"name": "rocket", "distribution": "bottlerocket", "kubernetes": "1.34"}
    fleet["clusters"][0]["nodes"].append(rocket)
    render = Render(tmp_path)
    render.describe(fleet)
    ended = render()
    assert ended.code == 0
    assert ended.stderr.decode().startswith(
        f"{PROGRAM}note: the nodes prod-eu/rocket cannot be set up: Bottlerocket's folder of"
    )
    assert render("--check").stderr == b""

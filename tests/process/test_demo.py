"""The demo as a process, and what it says when a step goes wrong."""

import contextlib
import hashlib
import json
import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from io import FileIO
from pathlib import Path
from typing import Any

import pytest

import gcp_sa_credential_provider
from gcp_sa_credential_provider.cli.main import main
from gcp_sa_credential_provider.demo import chain, mistakes, render, scene, story
from gcp_sa_credential_provider.demo.stage import Scene, Stage
from gcp_sa_credential_provider.demo.step import Explanation, Outcome, Step
from gcp_sa_credential_provider.emulator.image import built_in

pytestmark = pytest.mark.xdist_group("demo")
SECRET = re.compile(r"(?<![\w-])eyJ|ya29|\bar\.[\w-]{8}|PRIVATE KEY")
NAMES = [
    "google",
    "issuer",
    "trust",
    "grant",
    "exchange",
    "response",
    "pull",
    "wrong-key",
    "condition-false",
    "no-grant",
    "image-elsewhere",
]


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gcp_sa_credential_provider", "demo", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def plain() -> subprocess.CompletedProcess[str]:
    return demo()


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    process = demo("--json")
    assert (process.returncode, process.stderr) == (0, "")
    assert SECRET.findall(process.stdout) == []
    loaded: dict[str, Any] = json.loads(process.stdout)
    return loaded


def step(document: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [each for each in document["steps"] if each["name"] == name]
    return dict(found)


def test_plain_output_tells_all_steps(plain: subprocess.CompletedProcess[str]) -> None:
    """Exit 0; every title in order, and what to do next at the end."""
    assert (plain.returncode, plain.stderr) == (0, "")
    titles = re.findall(r"^(\d+)\. (.+) \.\.\. (.+)$", plain.stdout, re.MULTILINE)
    verdicts = ["ok"] * 7 + ["refused, as it should be"] * 4
    assert titles == [
        (str(number), played.title, verdict)
        for number, (played, verdict) in enumerate(zip(story.SCENES, verdicts, strict=True), 1)
    ]
    assert plain.stdout.splitlines()[-4] == ("All 11 steps went as expected. What to do next:")


def test_plain_output_names_the_codes(plain: subprocess.CompletedProcess[str]) -> None:
    """Each of the four mistakes is explained under its code."""
    assert re.findall(r"What it means: \[(.+?)\]", plain.stdout) == [
        "STS-ISSUER-KEYS",
        "STS-CONDITION",
        "REGISTRY-DENIED",
        "IMAGE-OUTSIDE",
    ]


def test_plain_output_is_plain_and_holds_no_secret(
    plain: subprocess.CompletedProcess[str],
) -> None:
    """Printable ASCII only, and no part of a token."""
    assert re.findall(r"[^\n -~]", plain.stdout) == []
    assert SECRET.findall(plain.stdout) == []


def test_json_has_all_steps(document: dict[str, Any]) -> None:
    assert document["ok"] is True
    assert [each["name"] for each in document["steps"]] == NAMES
    assert {each["ok"] for each in document["steps"]} == {True}
    assert {each["problem"] for each in document["steps"]} == {None}


def test_json_digests_are_those_of_the_image(document: dict[str, Any]) -> None:
    """Manifest, config and layers, by the bytes that the emulator serves."""
    image = built_in()
    config, *layers = (
        f"{digest} ({len(blob)} bytes, verified)" for digest, blob in image.blobs.items()
    )
    evidence = step(document, "pull")["evidence"]
    expected = f"sha256:{hashlib.sha256(image.manifest).hexdigest()}"
    assert evidence["manifest"] == f"{expected} ({len(image.manifest)} bytes, verified)"
    assert (evidence["config"], evidence["layers"]) == (config, layers)
    assert evidence["registry token from"] == "https://us-docker.pkg.dev/v2/token"


def test_json_shows_the_exchange(document: dict[str, Any]) -> None:
    """The key that signed is the key that was uploaded; Google saw the principal of the grant."""
    exchange = step(document, "exchange")["evidence"]
    assert exchange["token kid"] == step(document, "trust")["evidence"]["uploaded kid"]
    assert exchange["token audience"] == scene.AUDIENCE
    assert exchange["Google saw"] == step(document, "grant")["evidence"]["member"]
    assert [entry.partition("=")[0] for entry in exchange["environment"]] == [
        "GCP_AUDIENCE",
        "GCP_STS_ENDPOINT",
        "SSL_CERT_FILE",
        "GCP_LOG",
    ]
    seconds = int(step(document, "response")["evidence"]["cacheDuration"].removesuffix("s"))
    assert 2900 < seconds <= 3000


def test_json_explains_a_stale_key(document: dict[str, Any]) -> None:
    """The line names the kid that Google lacks."""
    found = step(document, "wrong-key")
    assert found["evidence"]["token kid"] != found["evidence"]["uploaded kid"]
    assert f"kid {found['evidence']['token kid']}" in found["explanation"]["says"]
    assert found["explanation"]["fix"] in found["explanation"]["says"]


def test_json_names_the_principal_to_grant(document: dict[str, Any]) -> None:
    """The registry's own text, and the member and command that would help."""
    found = step(document, "no-grant")
    member = scene.principal("system:serviceaccount:demo:default")
    assert found["evidence"]["to grant"] == member
    assert found["evidence"]["command"].endswith(f"--member={member}")
    assert found["explanation"]["says"] == (
        '403 DENIED: Permission "artifactregistry.repositories.downloadArtifacts" denied on'
        f' resource "{scene.REPOSITORY}" (or it may not exist)'
    )


def test_without_the_extra(tmp_path: Path) -> None:
    """A Python without the libraries: a sentence with the fix, exit 2, nothing on stdout."""
    package = Path(gcp_sa_credential_provider.__file__).parent
    shutil.copytree(package, tmp_path / package.name)
    process = subprocess.run(
        [sys.executable, "-S", "-m", package.name, "demo"],
        env={"PYTHONPATH": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (process.returncode, process.stdout) == (2, "")
    assert re.fullmatch(
        r"gcp-sa-credential-provider demo: the Python module \w+ is not installed\."
        r" Fix: in a checkout of this project: pip install '\.\[emulator\]'\n",
        process.stderr,
    )


def test_nothing_is_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In this process: exit code 0, and the temporary directory is gone."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert main(["demo"]) == 0
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().err == ""


def test_a_failed_step_is_the_last(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Text mode: FAILED with the reason, stderr names the step, exit code 1."""

    def revoke(stage: Stage) -> Outcome:
        stage.google.revoke(scene.REPOSITORY, scene.READER, scene.MEMBER)
        return Outcome()

    sabotage = Scene("sabotage", "The grant is taken away", "", revoke)
    pull = chain.SCENES[-1]
    monkeypatch.setattr(story, "SCENES", (*chain.SCENES[:-1], sabotage, pull, *mistakes.SCENES))
    assert main(["demo"]) == 1
    out, err = capsys.readouterr()
    assert "\n8. The image comes down ... FAILED\n" in out
    assert "\n9. " not in out
    assert err.startswith("gcp-sa-credential-provider demo: step pull: registry: 403 DENIED: ")
    assert err.endswith("Fix: report it with this output and the version (--version)\n")


def test_no_place_to_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """JSON mode: the document says so too, and exit code 1."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    assert main(["demo", "--json"]) == 1
    out, err = capsys.readouterr()
    [only] = json.loads(out)["steps"]
    assert (only["name"], only["ok"]) == ("google", False)
    assert only["problem"].startswith("emulator: cannot start ([Errno 2] No such file")
    assert err == f"gcp-sa-credential-provider demo: step google: {only['problem']}\n"


def _all_of(screen: FileIO) -> bytes:
    """What a pseudo-terminal still holds, its other side closed: one read gives any part of it."""
    shown = b""
    with contextlib.suppress(OSError):  # EIO is the end
        while part := screen.read(65536):
            shown += part
    return shown


def test_a_terminal_gets_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same lines, with escape codes, on a pseudo-terminal."""
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    explained = Outcome({"kid": "abc"}, Explanation("IMAGE-OUTSIDE", "link", "line", "why", "do"))
    steps = [
        Step("one", "First [title]", "What happens.", explained),
        Step("two", "Second", "", problem="broken. Fix: mend it"),
    ]
    master, slave = pty.openpty()
    with os.fdopen(master, "rb", buffering=0) as screen:
        with os.fdopen(slave, "w") as out:
            assert render.as_text(steps, out) == steps[1]
        shown = _all_of(screen).decode()
    assert "\x1b[1m1. First [title]\x1b[0m ... \x1b[32mrefused, as it should be\x1b[0m\r\n" in shown
    assert re.sub(r"\x1b\[[\d;]*m", "", shown).splitlines()[-13:] == [
        "",
        "1. First [title] ... refused, as it should be",
        "   What happens.",
        "     kid:                  abc",
        "   What one sees:",
        "     line",
        "   What it means: [IMAGE-OUTSIDE] link",
        "     why",
        "   What to do:",
        "     do",
        "",
        "2. Second ... FAILED",
        "   broken. Fix: mend it",
    ]

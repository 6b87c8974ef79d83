"""Descriptions that are refused: each with place, reason and remedy, and all at once."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from gcp_sa_credential_provider.fleet.decide import plan_of
from gcp_sa_credential_provider.fleet.load import BadFleet, load, parse
from unit.fleet_samples import GOOD, changed, write_keys

CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("fleet_bad.yaml").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with all files of keys."""
    path = tmp_path_factory.mktemp("fleet")
    write_keys(path)
    return path


def said(text: str, folder: Path | None) -> str:
    """All that is wrong, one line each, without the file's name."""
    with pytest.raises(BadFleet) as caught:
        parse(text, "fleet.yaml", folder)
    lines = str(caught.value).splitlines()
    assert all(line.startswith("fleet.yaml:") for line in lines)
    return "".join(line.removeprefix("fleet.yaml:") + "\n" for line in lines)


def test_the_sample_is_good(folder: Path) -> None:
    """Nothing is said of what the cases change."""
    assert len(parse(GOOD, "fleet.yaml", folder).clusters) == 2


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["case"]))
def test_a_slip_is_named(case: dict[str, Any], folder: Path) -> None:
    """Exactly these lines."""
    assert said(changed(case["changes"]), folder) == case["says"]


def test_keys_that_are_not_there_yet() -> None:
    """Without a folder the files are left alone, and all else is checked."""
    assert parse(GOOD, "fleet.yaml", None).clusters[0].jwks == "prod.json"
    assert said(changed([("namespace: web", "namespace: Web")]), None).startswith("29:5: pull[1]")


def test_no_key_and_no_password_is_quoted(folder: Path) -> None:
    """Not of private keys, not of endpoints."""
    text = changed([("prod.json", "private.json")])
    secret = (folder / "private.json").read_text()
    private = secret.partition('"d": "')[2].partition('"')[0]
    assert len(private) > 300
    assert private[:20] not in said(text, folder)
    secrets = re.compile("s[eé]cret(?=@)")
    holding = [case for case in CASES if secrets.search(str(case["changes"]))]
    assert len(holding) == 14
    assert not any(secrets.search(case["says"]) for case in holding)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "1:1: the file is empty. Fix: begin with `version: 1`; see docs/fleet.md"),
        (
            b"- 1\n",
            "1:1: the file holds no fields. Fix: begin with `version: 1`; see docs/fleet.md",
        ),
        (GOOD.encode("utf-16"), "1:1: the file is UTF-16. Fix: save it as UTF-8"),
        (b"a: \xc3\xa9\nb: x\xe9", "2:5: byte 0xe9 is not UTF-8. Fix: save it as UTF-8"),
        (
            b"a: b\nc: \x01",
            "2:4: the character U+0001 has no place in YAML. Fix: take it out",
        ),
        (
            b" " * (4 * 1024 * 1024 + 1),
            "1:1: the file is longer than 4194304 bytes. Fix: name another one",
        ),
        (
            b"a: 2026-13-45\n",
            "1:1: this is not YAML that can be read. Fix: see docs/fleet.md",
        ),
        (
            b"[" * 100_000,
            "1:17: lists or mappings stand too deep in one another here. Fix: see docs/fleet.md",
        ),
    ],
    ids=["empty", "list", "utf-16", "latin-1", "control", "long", "date", "deep"],
)
def test_a_file_that_is_no_description(content: bytes, message: str, tmp_path: Path) -> None:
    """With the place where reading ended."""
    path = tmp_path / "fleet.yaml"
    path.write_bytes(content)
    with pytest.raises(BadFleet) as caught:
        load(path)
    assert str(caught.value) == f"{path}:{message}"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The reason is the system's."""
    path = tmp_path / "fleet.yaml"
    with pytest.raises(BadFleet) as caught:
        load(path)
    message = "cannot be read (No such file or directory). Fix: name the file"
    assert str(caught.value) == f"{path}:1:1: {message}"


def test_keys_that_go_between_check_and_plan(tmp_path: Path) -> None:
    """A plan is never made of less than the description says."""
    write_keys(tmp_path)
    path = tmp_path / "fleet.yaml"
    path.write_text(GOOD)
    fleet = load(path)
    (tmp_path / "prod.json").unlink()
    with pytest.raises(BadFleet, match=r"clusters\[0\]\.jwks: prod\.json: it cannot be read"):
        plan_of(fleet, tmp_path)

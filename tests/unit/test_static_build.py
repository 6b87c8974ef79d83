"""The static build's own rules: OpenSSL's table, what a step knows of the caller, one at a time."""

import fcntl
import importlib
import os
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

STATIC = Path(__file__).parents[2] / "packaging/static"


@pytest.fixture
def build(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A way to the build's modules, which stand in no package."""
    monkeypatch.syspath_prepend(str(STATIC))
    return importlib


TABLE = """static const OSSL_ALGORITHM some[] = {
%s    { PROV_NAMES_OTHER, "provider=default", ossl_other_functions },
    ALGC(PROV_NAMES_TWO_LINES, ossl_two_lines_functions,
        ossl_capable),
    { NULL, NULL, NULL }
};
"""
DECODERS = """DECODER("DER", pem, der, yes),
DECODER_w_structure("EC", der, SubjectPublicKeyInfo, ec, yes),
DECODER_w_structure("EC", der, PrivateKeyInfo, ec, yes),
DECODER_w_structure("DH", der, SubjectPublicKeyInfo, dh, yes),
"""


def providers(folder: Path, names: set[str]) -> Path:
    """OpenSSL's files, with a row for each of `names`."""
    rows = "".join(f'    {{ N, "provider=default", ossl_{name}_functions }},\n' for name in names)
    (folder / "defltprov.c").write_text(TABLE % rows)
    (folder / "decoders.inc").write_text(DECODERS)
    return folder


def test_rows_that_tls_asks_for_stay(build: Any, tmp_path: Path) -> None:
    """All others go, those of two lines too."""
    table = build.import_module("provider_table")
    (tmp_path / "out").mkdir()
    written = table.write(providers(tmp_path, table.KEEP), tmp_path / "out").read_text()
    assert written.count("_functions }") == len(table.KEEP)
    assert "other" not in written
    assert "two_lines" not in written
    assert "{ NULL, NULL, NULL }" in written
    kept = (tmp_path / "out/decoders.inc").read_text()
    assert kept == 'DECODER_w_structure("EC", der, SubjectPublicKeyInfo, ec, yes),\n'


def test_a_row_that_is_gone_ends_the_build(build: Any, tmp_path: Path) -> None:
    """What OpenSSL renames is not lost in silence."""
    table, steps = build.import_module("provider_table"), build.import_module("steps")
    (tmp_path / "out").mkdir()
    with pytest.raises(steps.BuildError, match="no row of sha256"):
        table.write(providers(tmp_path, table.KEEP - {"sha256"}), tmp_path / "out")


def test_a_step_knows_nothing_of_the_callers_flags(
    build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """They would end in a library that is kept. What fetches is given all: proxies, logins."""
    steps = build.import_module("steps")
    kept = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "TMPDIR": str(tmp_path)}
    for name, value in {**kept, "LC_ALL": "C.UTF-8"}.items():
        monkeypatch.setenv(name, value)
    for name in ("CFLAGS", "CPPFLAGS", "LDFLAGS", "MAKEFLAGS", "PYTHONPATH", "CC"):
        monkeypatch.setenv(name, "-march=native")

    def told(log: str, **given: Any) -> dict[str, str]:
        steps.run(["env", "--null"], log=tmp_path / log, **given)
        _, _, listed = (tmp_path / log).read_text().partition("\n")
        return dict(line.split("=", 1) for line in listed.split("\0")[:-1])

    assert told("bare") == {**kept, "LC_ALL": "C", "TZ": "UTC"}
    assert told("own", env={"CC": "cc"}) == {**kept, "LC_ALL": "C", "TZ": "UTC", "CC": "cc"}
    assert told("all", env=os.environ) == {**os.environ, "LC_ALL": "C", "TZ": "UTC"}


@pytest.mark.parametrize("name", ["build", "sanitize"])
def test_builds_do_not_share_the_cache_at_one_time(
    build: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    """Whatever is built, and of whatever pins: the second says that it waits."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [name])
    module, steps = build.import_module(name), build.import_module("steps")
    waits = threading.Event()
    said, order = [], []

    def say(text: str) -> None:
        said.append(text)
        waits.set()

    monkeypatch.setattr(steps, "say", say)
    monkeypatch.setattr(module, "build", lambda *_, **__: order.append("second"))
    lock = build.import_module("pins").cache() / "lock"
    lock.parent.mkdir(parents=True)
    other = threading.Thread(target=module.main)
    with lock.open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        other.start()
        assert waits.wait(30)
        order.append("first")
    other.join()
    assert order == ["first", "second"]
    assert said == [f"another build is under way, which this one waits for ({lock})"]


def test_a_module_that_the_static_file_has_not(
    build: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its fix is one that can be done: there is no release to install."""

    def door() -> None:
        raise ModuleNotFoundError("No module named 'kubernetes'", name="kubernetes")

    monkeypatch.setitem(sys.modules, "linked", ModuleType("linked"))
    entry = build.import_module("entry")
    monkeypatch.setattr(entry, "door", door)
    monkeypatch.setattr(sys, "argv", ["gcp-sa-credential-provider", "setup"])
    with pytest.raises(SystemExit) as ended:
        entry.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        "gcp-sa-credential-provider: the module kubernetes is not in the static file. Fix: run this"
        " command on your own machine; in a checkout of this project: pip install"
        " '.[setup,emulator]'\n"
    )

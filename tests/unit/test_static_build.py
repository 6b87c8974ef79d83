"""The static build's own rules: what is taken out of OpenSSL's table of algorithms."""

import importlib
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

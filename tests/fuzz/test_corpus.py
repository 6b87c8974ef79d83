"""The kept corpus: what the fuzz targets promise, for every input that is known to matter."""

from pathlib import Path

import pytest

from fuzz.targets import TARGETS

CORPUS = Path(__file__).parent / "corpus"
INPUTS = sorted(path.relative_to(CORPUS) for path in CORPUS.glob("*/*"))


@pytest.mark.parametrize("name", INPUTS, ids=str)
def test_promises_hold(name: Path) -> None:
    """The same code as under the fuzzer, which need not be there."""
    TARGETS[name.parent.name]((CORPUS / name).read_bytes())


def test_every_target_has_its_corpus() -> None:
    """An empty folder would prove nothing."""
    assert {name.parent.name for name in INPUTS} == set(TARGETS)

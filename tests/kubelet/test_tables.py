"""The tables that unit tests compare our own matching and durations with."""

from pathlib import Path

import pytest

from kubelet import tables as generated


@pytest.mark.parametrize("name", ["images.json", "durations.json"])
def test_table_is_what_the_newest_kubernetes_answers(tables: Path, name: str) -> None:
    """After a change of the pins or the inputs: PYTHONPATH=tests python -m kubelet.tables."""
    assert generated.current()[name] == (generated.TABLES / name).read_text()

"""The pins, the edit of the kubelet's clock, and our own Go sources."""

import re

import pytest

from kubelet import build


@pytest.mark.parametrize("pinned", build.MINORS)
def test_go_mod_requires_the_pinned_release(pinned: str) -> None:
    """go/minors/ is what `build.py pin` writes from pins.toml."""
    release = build.RELEASES[pinned]
    text = (build.MODULE / "minors" / f"{pinned}.mod").read_text()
    assert re.findall(r"k8s\.io/kubernetes (\S+)", text) == [f"v{release}"]
    staging = f"v0.{release.removeprefix('1.')}"
    replaced = re.findall(r"k8s\.io/\S+ => k8s\.io/\S+ (\S+)", text)
    assert set(replaced) == {staging}


def test_minors_are_in_the_order_of_their_numbers() -> None:
    """1.100 would come after 1.99; the last is the newest."""
    assert (build.MINORS[0], build.MINORS[-1]) == ("1.33", build.NEWEST)


def test_settable_clock_changes_one_line() -> None:
    """The edit replaces the choice of the clock and nothing else."""
    source = f"func newPluginProvider() {{\n\t{build.KUBELET_CLOCK}\n\treturn clock\n}}\n"
    expected = f"func newPluginProvider() {{\n\t{build.TEST_CLOCK}\n\treturn clock\n}}\n"
    assert build.settable_clock(source) == expected


@pytest.mark.parametrize("times", [0, 2])
def test_settable_clock_refuses_a_source_it_does_not_know(times: int) -> None:
    """A kubelet that chooses its clock otherwise stops the build instead of keeping real time."""
    with pytest.raises(build.BuildError, match=f"stands there {times} times, not once"):
        build.settable_clock(f"{build.KUBELET_CLOCK}\n" * times)


def test_go_sources() -> None:
    """Neither gofmt nor go vet has anything to say."""
    if problem := build.go_problem():
        pytest.skip(problem)
    build.vet()

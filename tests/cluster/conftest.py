"""One cluster for all tests of this tier, and a team in it for each."""

import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import systemd_host
from cluster.cluster import Cluster
from cluster.cluster import cluster as running_cluster
from cluster.machine import groups_of
from cluster.needs import missing, plugin_file
from cluster.team import Team
from kubelet import build

SHOWN_LINES = 20


def pytest_sessionstart() -> None:
    """End the run where a cluster cannot be, rather than skip what this tier is for."""
    if problems := missing():
        pytest.exit("\n".join(["a cluster cannot run here:", *problems]), returncode=2)


@pytest.fixture(scope="session")
def plugin(pytestconfig: pytest.Config) -> Path:
    """The program that the nodes run: --plugin, else the static file in dist/, else the zipapp."""
    return plugin_file(pytestconfig.getoption("--plugin"))


@pytest.fixture(scope="session")
def cluster(plugin: Path, pytestconfig: pytest.Config) -> Iterator[Cluster]:
    """A cluster of two nodes."""
    # What takes long, and how long it took, is for the screen.
    shown = pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled
    with shown():
        for program in build.cluster_programs():
            program.build()
    with running_cluster(plugin) as made:
        laps = ", ".join(f"{part} {seconds} s" for part, seconds in made.seconds.items())
        with shown():
            print(f"\ncluster up, with {plugin.name}: {laps}", file=sys.stderr)
        yield made
        groups = groups_of(made.machine.folder) + systemd_host.groups(made.machine.folder)
        ending = time.monotonic()
    with shown():
        print(f"\ncluster down: {time.monotonic() - ending:.1f} s", file=sys.stderr)
    assert left_behind(made.machine.folder, groups) == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Function, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failure what the kubelets said last; the cluster is gone when it is read."""
    report = yield
    made = item.funcargs.get("cluster")
    if report.failed and isinstance(made, Cluster):
        for node in made.nodes.values():
            said = "\n".join(node.log.all[-SHOWN_LINES:])
            report.sections.append((f"kubelet of {node.name}", said))
    site: Any = item.funcargs.get("site")
    for host in site.hosts.values() if report.failed and site else ():
        said = "\n".join(host.said().splitlines()[-2 * SHOWN_LINES :])
        report.sections.append((f"kubelet of {host.name}", said))
        report.sections.append((f"plugin on {host.name}", host.said_by_plugin()))
    return report


def left_behind(folder: Path, groups: list[Path]) -> list[str]:
    """What there still is of a machine whose folder and control groups these were."""
    mounts = Path("/proc/mounts").read_text().splitlines()
    return [
        *(mount for mount in mounts if str(folder) in mount),
        *(
            str(process)
            for process in Path("/proc").glob("[0-9]*/cmdline")
            if _names(process, folder)
        ),
        *(str(group) for group in groups if group.exists()),
        *([str(folder)] if folder.exists() else []),
    ]


def _names(process: Path, folder: Path) -> bool:
    try:
        return str(folder).encode() in process.read_bytes()
    except OSError:
        return False  # it has ended meanwhile


@pytest.fixture
def new_team(cluster: Cluster) -> Iterator[Callable[..., Team]]:
    """Makes teams, with `Team`'s arguments; Google has an empty log, and no faults afterwards."""
    cluster.google.log.clear()
    with ExitStack() as stack:
        stack.callback(cluster.google.faults.clear)

        def make(**arguments: Any) -> Team:
            made = Team(cluster, **arguments)
            stack.callback(made.delete)
            return made

        yield make


@pytest.fixture
def team(new_team: Callable[..., Team]) -> Team:
    """A team with a ServiceAccount that may pull."""
    made = new_team()
    made.service_account()
    return made

"""Fixtures of the kubelet's tier: a node of each Kubernetes minor, and Google next to it."""

import sysconfig
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from kubelet import build
from kubelet.cluster import Namespace
from kubelet.control_plane import ControlPlane, control_plane
from kubelet.google import Google, configuration
from kubelet.node import PLUGIN, Node

# The README of the program that this one replaces calls a cluster's provider so.
PROVIDER = "k8s-cluster-1"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options of this tier."""
    group = parser.getgroup("kubelet")
    group.addoption(
        "--kubelet-minors",
        choices=("newest", "all"),
        default="newest",
        help="the Kubernetes minors whose kubelet is to judge the plugin (tests/kubelet/pins.toml)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `minor` once for each chosen minor, newest first.

    A module that sets MINORS has chosen for itself.
    """
    if "minor" in metafunc.fixturenames:
        every = metafunc.config.getoption("--kubelet-minors") == "all"
        chosen = build.MINORS[::-1] if every else [build.NEWEST]
        minors = getattr(metafunc.module, "MINORS", chosen)
        metafunc.parametrize("minor", minors, scope="session")


def _built(program: build.Program, config: pytest.Config) -> Path:
    """The executable; the first build takes minutes, so its progress passes pytest's capture."""
    if problem := build.go_problem():
        pytest.skip(problem)
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        return program.build()


@pytest.fixture(scope="session")
def harness(minor: str, pytestconfig: pytest.Config) -> Path:
    """The harness of the minor."""
    return _built(build.harness(minor), pytestconfig)


@pytest.fixture(scope="session")
def tables(pytestconfig: pytest.Config) -> Path:
    """The program that prints what Kubernetes makes of given texts."""
    return _built(build.tables(), pytestconfig)


@pytest.fixture(scope="session")
def api(pytestconfig: pytest.Config) -> Iterator[ControlPlane]:
    """A kube-apiserver of the newest minor, with the identities of two nodes."""
    etcd = _built(build.etcd(), pytestconfig)
    kube_apiserver = _built(build.kube_apiserver(), pytestconfig)
    nodes = ["node-1", "node-2"]
    with control_plane(etcd, kube_apiserver, issuer=ISSUER, nodes=nodes) as running:
        for name in nodes:
            running.create("/api/v1/nodes", metadata={"name": name})
        yield running


@pytest.fixture
def namespace(api: ControlPlane) -> Iterator[Namespace]:
    """A namespace with one ServiceAccount and one pod; what it was allowed ends with the test."""
    with ExitStack() as stack:
        made = Namespace(api, stack)
        made.service_account("puller")
        made.pod("pod-1", "puller")
        yield made


@pytest.fixture(scope="session")
def plugin(pytestconfig: pytest.Config) -> Path:
    """The program under judgement."""
    given: Path | None = pytestconfig.getoption("--plugin")
    program = (given or Path(sysconfig.get_path("scripts")) / PLUGIN).resolve()
    if not program.is_file():
        pytest.fail(f"{program}: no such file. Fix: `make venv`, or --plugin FILE")
    return program


@pytest.fixture(scope="session")
def emulator(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Google, trusting the cluster."""
    config = configuration(issuer.jwks, PROVIDER, Google.second_provider)
    with Emulator(tmp_path_factory.mktemp("google"), config) as running:
        yield running


@pytest.fixture
def google(emulator: Emulator, issuer: Issuer) -> Google:
    """Google without faults, and with nothing in its log."""
    emulator.faults.clear()
    emulator.log.clear()
    return Google(emulator, issuer, PROVIDER)


@pytest.fixture
def node(minor: str, harness: Path, plugin: Path, tmp_path: Path, google: Google) -> Iterator[Node]:
    """A node with the plugin installed; its kubelets are stopped at the end."""
    made = Node(minor=minor, harness=harness, plugin=plugin, folder=tmp_path, google=google)
    with made.stack:
        yield made

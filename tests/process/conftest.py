"""Fixtures of the process tier: the plugin in its forms, as a program to start."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from process.api_server import ApiServer

# Before their import: failed assertions in them are then explained like those of a test.
pytest.register_assert_rewrite("process.launch", "process.setup_command")

from process import launch  # noqa: E402 -- as said above
from process.launch import Launcher  # noqa: E402 -- as said above
from process.setup_command import Setup  # noqa: E402 -- as said above

HERE = Path(__file__).parent


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that asks for `each_plugin` over every form of the program."""
    if "each_plugin" in metafunc.fixturenames:
        metafunc.parametrize("each_plugin", _names(metafunc.config), indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out, where one form is judged, what is the operator's tool's and has no part in it."""
    if not config.getoption("--plugin"):
        return
    forms = {"plugin", "each_plugin", "every_plugin"}
    apart = [
        item
        for item in items
        if item.path.parent == HERE and not forms.intersection(getattr(item, "fixturenames", ()))
    ]
    config.hook.pytest_deselected(items=apart)
    items[:] = [item for item in items if item not in apart]


@pytest.fixture(scope="session")
def plugin(pytestconfig: pytest.Config) -> Launcher:
    """The form over which most tests run: the console script, or the option's program."""
    given: Path | None = pytestconfig.getoption("--plugin")
    return Launcher("given", (str(given.absolute()),)) if given else launch.console()


@pytest.fixture(scope="session")
def _pycache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pycache")


@pytest.fixture
def each_plugin(request: pytest.FixtureRequest, plugin: Launcher, _pycache: Path) -> Launcher:
    """Every form of the program in turn."""
    return _form(request.param, plugin, _pycache)


@pytest.fixture
def every_plugin(pytestconfig: pytest.Config, plugin: Launcher, _pycache: Path) -> list[Launcher]:
    """Every form of the program at once."""
    return [_form(name, plugin, _pycache) for name in _names(pytestconfig)]


@pytest.fixture
def cluster(tmp_path: Path, issuer: Issuer) -> Iterator[ApiServer]:
    """A small k3s cluster."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    with ApiServer(folder, json.loads(issuer.jwks)) as running:
        yield running


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    """`setup`, in an empty folder."""
    return Setup(tmp_path / "here")


def _names(config: pytest.Config) -> list[str]:
    return ["given"] if config.getoption("--plugin") else list(launch.everyone(Path()))


def _form(name: str, plugin: Launcher, pycache: Path) -> Launcher:
    if name == "given":
        return plugin
    if name.startswith("zipapp") and not launch.ZIPAPP.exists():
        pytest.skip(f"{launch.ZIPAPP} is not there; make zipapp builds it")
    return launch.everyone(pycache)[name]

"""The emulator of Google and a cluster's issuer, for every tier."""

import os
import pwd
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from scene import AUDIENCE, google_config


def pytest_addoption(parser: pytest.Parser) -> None:
    """The one option that the tiers share."""
    parser.addoption(
        "--plugin",
        type=Path,
        help="the program to judge (zipapp, static file), in place of what this checkout has",
    )


def pytest_configure() -> None:
    """Undo what `nohup` or a shell's `&` have set: every program started here would inherit it."""
    for number, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """See that pytest-xdist has told groups apart, in each of its processes."""
    if not config.getoption("loadgroup", default=False):
        return
    for item in items:
        if item.get_closest_marker("xdist_group") and "@" not in item.nodeid:
            raise pytest.UsageError(f"{item.nodeid}: its xdist_group is not kept together")


# Everywhere the same cases; what chance would find is for `make fuzz`, and for whoever sets a seed.
settings.register_profile("same", derandomize=True, database=None)
settings.load_profile("same")


@pytest.fixture(scope="session")
def issuer() -> Issuer:
    """The signing key of the cluster."""
    return Issuer()


@pytest.fixture(scope="session")
def _emulator(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    directory: Path = tmp_path_factory.mktemp("emulator")
    with Emulator(directory, google_config(issuer), proxy={}) as google:
        yield google


@pytest.fixture
def google(_emulator: Emulator, issuer: Issuer) -> Emulator:
    """Google in a box, as new: resources of `scene`, no faults, an empty log, the true time."""
    _emulator.load(google_config(issuer))
    _emulator.faults.clear()
    _emulator.clock.reset()
    _emulator.log.clear()
    _emulator.proxy.refuse_with = None
    _emulator.proxy.tunnels.clear()
    return _emulator


@pytest.fixture
def environment(google: Emulator) -> dict[str, str]:
    """What the CredentialProviderConfig would set, with the emulator in Google's place."""
    return {
        "GCP_AUDIENCE": AUDIENCE,
        "GCP_STS_ENDPOINT": google.endpoints["sts"],
        "GCP_IAM_CREDENTIALS_ENDPOINT": google.endpoints["iam_credentials"],
        "SSL_CERT_FILE": str(google.ca_pem),
        "GCP_LOG": "off",
    }


def _is_ours(directory: Path) -> bool:
    """Whether nobody else may write there, nor in any directory above it."""
    every = (directory, *directory.parents)
    return directory.is_dir() and all(
        path.stat().st_uid in (0, os.geteuid()) and not path.stat().st_mode & 0o022
        for path in every
    )


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that nobody else may write, nor any directory above it: for log files."""
    user = pwd.getpwuid(os.geteuid())
    places = (Path.home(), Path(user.pw_dir), Path(f"/run/user/{user.pw_uid}"), Path("/run"))
    place = next((path for path in places if _is_ours(path) and os.access(path, os.W_OK)), None)
    if place is None:
        pytest.skip("no directory of this user's own, which a log file needs: set HOME to one")
    with tempfile.TemporaryDirectory(dir=place, prefix=".gcp-sa-test-") as directory:
        yield Path(directory)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Where everything is installed (CI=true), a skip is a failure: it would prove nothing."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") == "true" and reporter is not None and exitstatus == 0:
        skipped = reporter.stats.get("skipped", [])
        if skipped:
            reporter.write_line(f"{len(skipped)} skipped, which CI does not allow", red=True)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

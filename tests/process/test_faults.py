"""Whatever happens on the way to Google ends in one line, in time, by the process itself.

All chosen cases run at once on a few threads, each on a stage of its own; a test then looks at its
own case. None waits for longer than its budget, and a stall costs three seconds.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Ended, Launcher, credentials, outcome
from process.matrix_answers import CHUNKS, HTTP, IMPERSONATION, STATUSES, TOKENS
from process.matrix_connections import CONNECTIONS, PROXIES, TLS
from process.stage import Case, Stage
from scene import AUDIENCE, google_config, request

CASES = [*STATUSES, *TOKENS, *HTTP, *CHUNKS, *IMPERSONATION, *CONNECTIONS, *TLS, *PROXIES]
AT_ONCE = 8
BUDGET = 10  # seconds: the default of GCP_TIMEOUT

# Whichever process has one of the tests plays all cases.
pytestmark = pytest.mark.xdist_group("faults")


def play(case: Case, plugin: Launcher, issuer: Issuer, folder: Path) -> tuple[Ended, int, int]:
    """One case, whole: what the process left, how often it tried, unwanted connections."""
    with ExitStack() as stack:
        google = stack.enter_context(Emulator(folder, google_config(issuer), proxy={}))
        stage = Stage(
            google=google,
            environment={
                "GCP_AUDIENCE": AUDIENCE,
                "GCP_STS_ENDPOINT": google.endpoints["sts"],
                "GCP_IAM_CREDENTIALS_ENDPOINT": google.endpoints["iam_credentials"],
                "SSL_CERT_FILE": str(google.ca_pem),
                "GCP_LOG": "off",
            },
            stack=stack,
            tries=lambda: len(google.log.exchanges()),
        )
        for arrange in case.arrange:
            arrange(stage)
        ended = plugin.run(stage.environment, request(issuer.token(AUDIENCE)))
        return ended, stage.tries(), sum(server.connections for server in stage.unwanted)


@pytest.fixture(scope="module")
def played(
    request: pytest.FixtureRequest,
    plugin: Launcher,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[dict[str, "Future[tuple[Ended, int, int]]"]]:
    """The chosen cases by name, all under way."""
    chosen = [
        case
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.path == request.path
        and isinstance(case := item.callspec.params["case"], Case)
    ]
    folder = tmp_path_factory.mktemp("faults")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield {
            case.name: pool.submit(play, case, plugin, issuer, folder / str(number))
            for number, case in enumerate(chosen)
        }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_fault(case: Case, played: dict[str, "Future[tuple[Ended, int, int]]"]) -> None:
    """Exit code, error code, one printable line or one document, and the number of tries."""
    ended, tries, unwanted = played[case.name].result()
    assert outcome(ended) == case.expected
    if case.tries is not None:
        assert tries == case.tries
    if case.cached is not None:
        seconds = int(credentials(ended)["cacheDuration"].removesuffix("s"))
        assert max(0, case.cached - BUDGET) <= seconds <= case.cached
    assert unwanted == 0

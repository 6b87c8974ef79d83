"""The arm64 file, under qemu-user: that it is no other program. Real hardware was not at hand."""

import shutil

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Launcher, credentials, outcome, refusal
from raw_server import answering
from scene import ACCOUNT, AUDIENCE, request
from static.files import built

Environment = dict[str, str]


@pytest.fixture(scope="session", params=["max", "cortex-a53"])
def arm(request: pytest.FixtureRequest) -> Launcher:
    """It on a new processor, and on one without the extensions that OpenSSL looks for."""
    qemu = shutil.which("qemu-aarch64-static")
    if qemu is None:
        pytest.skip("needs qemu-aarch64-static (Debian: qemu-user-static)")
    path = built("arm64")
    if not path.exists():
        pytest.skip(f"{path} is not there; make static ARCH=arm64 builds it")
    return Launcher("arm64", (qemu, "-cpu", request.param, str(path)))


def test_exchange(arm: Launcher, environment: Environment, asked: bytes) -> None:
    """Over TLS."""
    credentials(arm.run(environment, asked))


def test_impersonation(arm: Launcher, environment: Environment, asked: bytes) -> None:
    """Two requests."""
    credentials(arm.run(environment | {"GCP_SERVICE_ACCOUNT": ACCOUNT}, asked))


def test_proxy(arm: Launcher, environment: Environment, google: Emulator, asked: bytes) -> None:
    """A tunnel to Google's own name."""
    environment["HTTPS_PROXY"] = google.endpoints["proxy"]
    environment["GCP_STS_ENDPOINT"] = "https://sts.googleapis.com"
    credentials(arm.run(environment, asked))
    assert google.proxy.tunnels == ["sts.googleapis.com:443"]


def test_refusal_of_google(arm: Launcher, environment: Environment) -> None:
    """A token of another issuer's key."""
    other = request(Issuer().token(AUDIENCE))
    assert refusal(arm.run(environment, other))[0] == 1


def test_untrusted(arm: Launcher, environment: Environment, asked: bytes, google: Emulator) -> None:
    """A certificate of another authority."""
    environment["GCP_STS_ENDPOINT"] = google.endpoints["wrong_certificate"]["untrusted"]
    assert refusal(arm.run(environment, asked)) == (1, "TLS-UNTRUSTED")


def test_watchdog(arm: Launcher, environment: Environment, asked: bytes, google: Emulator) -> None:
    """The thread ends the process."""
    google.faults.set("stall", path="/v1/token")
    environment["GCP_TIMEOUT"] = "2"
    assert refusal(arm.run(environment, asked))[0] == 1


@pytest.mark.parametrize(
    "body",
    [b"\xff\xfe", b'"\\ud800"', b"[" * 60000, b"1" * 5000, b"\0" * 100, b'{"access_token": 1}'],
    ids=["not UTF-8", "lone surrogate", "nested", "huge number", "NUL", "wrong type"],
)
def test_hostile_answer(arm: Launcher, environment: Environment, asked: bytes, body: bytes) -> None:
    """A line, never a signal."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    with answering(head % len(body) + body) as server:
        ended = arm.run(environment | {"GCP_STS_ENDPOINT": server.url}, asked)
    assert refusal(ended)[0] == 1


@pytest.mark.parametrize("stdin", [b"", b"{}", b"\xff", b"[" * 60000, b"1" * 5000])
def test_hostile_request(arm: Launcher, environment: Environment, stdin: bytes) -> None:
    """The same of what the kubelet is believed to send."""
    assert outcome(arm.run(environment, stdin))[0] == 2


def test_whole_interpreter(arm: Launcher) -> None:
    """--version."""
    ended = arm.run({}, arguments=["--version"])
    assert (ended.code, ended.stderr) == (0, b"")

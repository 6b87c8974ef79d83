"""The emulator as a context manager, and its clock, log and tokens."""

import json
import socket
import threading
from pathlib import Path

import httpx
import pytest

from emulator.world import AUDIENCE, world
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.clock import Clock
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.emulator.log import RequestLog
from gcp_sa_credential_provider.emulator.rejection import ConfigError
from gcp_sa_credential_provider.emulator.tokens import Issued, Tokens


def test_files_and_threads_come_and_go(tmp_path: Path, issuer: Issuer) -> None:
    """endpoints.json says what `endpoints` says; afterwards nothing is left."""
    directory = tmp_path / "made" / "here"
    before = threading.active_count()
    with Emulator(directory, world(issuer.jwks)) as google:
        assert json.loads((directory / "endpoints.json").read_text()) == google.endpoints
        assert google.ca_pem.read_bytes().startswith(b"-----BEGIN CERTIFICATE-----")
        assert b"PRIVATE" not in google.ca_pem.read_bytes()
        assert sorted(path.name for path in directory.iterdir()) == ["ca.pem", "endpoints.json"]
        assert google.endpoints["ca"] == str(google.ca_pem)
        port = int(google.endpoints["sts"].rpartition(":")[2])
    assert list(directory.iterdir()) == []
    assert threading.active_count() == before
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=10)


def test_an_empty_world_serves(tmp_path: Path) -> None:
    """No configuration at all."""
    with Emulator(tmp_path) as google:
        answer = httpx.get(f"{google.endpoints['http']['registry']}/v2/", trust_env=False)
        assert answer.status_code == 401
        with pytest.raises(RuntimeError, match="without a proxy"):
            _ = google.proxy


def test_configuration_from_a_file(tmp_path: Path, issuer: Issuer) -> None:
    """JSON is YAML."""
    path = tmp_path / "c.json"
    path.write_text(json.dumps(world(issuer.jwks)))
    google = Emulator(tmp_path, path)
    with pytest.raises(RuntimeError, match="inside its with block"):
        _ = google.endpoints


def test_a_wrong_configuration_touches_nothing(tmp_path: Path) -> None:
    """Not even the directory."""
    with pytest.raises(ConfigError):
        Emulator(tmp_path / "new", {"pools": []})
    assert list(tmp_path.iterdir()) == []


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    """The error names it; nothing is left behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with (
            pytest.raises(OSError, match=f"127.0.0.1:{port}"),
            Emulator(tmp_path / "new", port=port),
        ):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_none(tmp_path: Path) -> None:
    """The servers that had started are stopped."""
    path = tmp_path / "file"
    path.touch()
    before = threading.active_count()
    with pytest.raises(FileExistsError), Emulator(path):
        pass
    assert threading.active_count() == before


def test_clock() -> None:
    """Shifted while it runs and while it stands."""
    clock = Clock()
    clock.freeze(at=100.0)
    clock.shift(5)
    assert clock.now() == 105
    clock.reset()
    clock.shift(-1000)
    assert -1001 < clock.describe()["offset"] < -999


def test_waiting_for_the_log() -> None:
    """Woken by the entry; a time-out when none comes."""
    log = RequestLog()
    with pytest.raises(TimeoutError):
        log.wait_for(lambda entries: len(entries) == 1, timeout=0.01)
    thread = threading.Thread(target=log.add, args=[{"service": "sts"}])
    thread.start()
    assert log.wait_for(lambda entries: len(entries) == 1) == [{"service": "sts"}]
    thread.join()
    log.clear()
    assert log.entries() == []


def test_expired_tokens_are_dropped() -> None:
    """Memory does not grow with dead tokens."""
    tokens = Tokens("t.")
    dead = tokens.issue(Issued(None, frozenset(), 10), now=0)
    for _ in range(1100):
        live = tokens.issue(Issued(None, frozenset(), 1000), now=20)
    assert tokens.find(live, 20)
    assert tokens.find(dead, 0) is None


def test_token_lengths(issuer: Issuer) -> None:
    """About as long as Google's, well below its limit of 12288 bytes."""
    token = Tokens("ya29.d.").issue(Issued(None, frozenset(), 1), now=0)
    assert 900 < len(token) < 1100
    assert issuer.token(AUDIENCE) != token


@pytest.mark.parametrize(
    "body", [b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n5\r\nabc"]
)
@pytest.mark.parametrize("path", ["/v1/token", "/v1/projects/my-project:getIamPolicy"])
def test_a_client_that_goes_away(
    google: Emulator, caplog: pytest.LogCaptureFixture, path: str, body: bytes
) -> None:
    """In the middle of its request: a line of the log, and no traceback."""
    host, _, port = google.endpoints["http"]["sts"].removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as client:
        client.sendall(b"POST %s HTTP/1.1\r\nHost: x\r\n%s" % (path.encode(), body))
    [entry] = google.log.wait_for(bool)
    assert entry["reason"] == "the client went away in the middle of its request"
    assert caplog.records == []

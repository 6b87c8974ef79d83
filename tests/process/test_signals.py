"""Signals in the middle of an exchange: no half document, no traceback, no waiting."""

import signal

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Ended, Launcher, refusal
from process.raw_server import RawServer, then_waits
from scene import ACCOUNT, AUDIENCE, request

Environment = dict[str, str]


def interrupted(
    plugin: Launcher, environment: Environment, google: Emulator, asked: bytes, number: int
) -> Ended:
    """What is left after a signal while Google is silent."""
    google.faults.set("stall", path="/v1/token")
    with plugin.started(environment, asked) as process:
        google.log.wait_for(lambda entries: any(entry["service"] == "sts" for entry in entries))
        process.send_signal(number)
        return plugin.ended(process)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_without_a_word(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer, number: int
) -> None:
    """The kubelet's own end, or systemd's: the default action, at once."""
    environment["GCP_TIMEOUT"] = "55"
    asked = request(issuer.token(AUDIENCE))
    ended = interrupted(plugin, environment, google, asked, number)
    assert ended == Ended(-number, b"", b"")


def test_an_interrupt_is_one_line(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Ctrl-C of whoever tries it by hand; no word at all where Python's own handler is not set."""
    asked = request(issuer.token(AUDIENCE))
    ended = interrupted(plugin, environment, google, asked, signal.SIGINT)
    if ended.code != -signal.SIGINT:
        assert refusal(ended)[0] == 1
        assert b"KeyboardInterrupt" in ended.stderr
    else:
        assert ended == Ended(-signal.SIGINT, b"", b"")


def test_a_signal_between_the_two_requests(
    plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """The federated token is there, the account's is not: nothing of either gets out."""
    environment |= {"GCP_SERVICE_ACCOUNT": ACCOUNT, "GCP_TIMEOUT": "55"}
    with RawServer(then_waits(b"")) as silent:
        environment["GCP_IAM_CREDENTIALS_ENDPOINT"] = silent.url
        with plugin.started(environment, request(issuer.token(AUDIENCE))) as process:
            assert silent.arrived.wait(10)
            process.send_signal(signal.SIGTERM)
            ended = plugin.ended(process)
    assert ended == Ended(-signal.SIGTERM, b"", b"")

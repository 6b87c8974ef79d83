"""Names by the resolver that is linked in: search lists, TCP, dead servers, IPv6 before IPv4."""

import os
import resource
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.relay import relay, within
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Launcher, credentials, refusal
from process.resolver import NXDOMAIN, SILENT
from static.certificates import STS
from static.name_server import FullNameServer

Environment = dict[str, str]

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: port 53 and a mount namespace"
)


@pytest.fixture
def port(google: Emulator) -> int:
    """Where Google listens."""
    return int(google.endpoints["sts"].rpartition(":")[2])


@pytest.fixture
def named(environment: Environment, port: int) -> Environment:
    """Google's own name, on the emulator's port."""
    environment |= {"PATH": os.defpath, "GCP_STS_ENDPOINT": f"https://{STS}:{port}"}
    return environment


def test_search_list(
    static_plugin: Launcher, named: Environment, asked: bytes, tmp_path: Path, port: int
) -> None:
    """A short name is completed; that the certificate is for another one is then the end of it."""
    named["GCP_STS_ENDPOINT"] = f"https://sts:{port}"
    search = "search example.invalid googleapis.com\n"
    with FullNameServer({STS: ["127.0.0.1"]}, tmp_path, configuration=search) as names:
        ended = static_plugin.run(named, asked, wrapper=names.wrapper)
        assert names.asked[-1] == STS
    assert refusal(ended) == (1, "TLS-HOSTNAME")


def test_ndots_of_a_pod(
    static_plugin: Launcher, named: Environment, asked: bytes, tmp_path: Path
) -> None:
    """As kubelet writes it (ndots:5): the search list comes first, and costs no more than time."""
    pods = "search demo.svc.cluster.local cluster.local\noptions ndots:5\n"
    with FullNameServer({STS: ["127.0.0.1"]}, tmp_path, configuration=pods) as names:
        credentials(static_plugin.run(named, asked, wrapper=names.wrapper))
        order = list(dict.fromkeys(names.asked))
    assert order == [f"{STS}.demo.svc.cluster.local", f"{STS}.cluster.local", STS]


def test_truncated_answer(
    static_plugin: Launcher, named: Environment, asked: bytes, tmp_path: Path
) -> None:
    """Asked again over TCP."""
    with FullNameServer({STS: ["127.0.0.1"]}, tmp_path, truncated=True) as names:
        credentials(static_plugin.run(named, asked, wrapper=names.wrapper))
        assert names.over_tcp > 0


@pytest.mark.parametrize("dead", ["silent", "closed"])
def test_first_of_two_name_servers_is_dead(
    static_plugin: Launcher, named: Environment, asked: bytes, tmp_path: Path, dead: str
) -> None:
    """The other one answers, within a budget that no time-out of the resolver's would fit into."""
    named["GCP_TIMEOUT"] = "3"
    address = "127.53.0.1"
    with ExitStack() as stack:
        if dead == "silent":
            silent = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            silent.bind((address, 53))
        names = FullNameServer({STS: ["127.0.0.1"]}, tmp_path, first=address)
        stack.enter_context(names)
        credentials(static_plugin.run(named, asked, wrapper=names.wrapper))


def test_no_such_name(
    static_plugin: Launcher, named: Environment, asked: bytes, tmp_path: Path
) -> None:
    """Final: one look-up, A and AAAA."""
    with FullNameServer({STS: NXDOMAIN}, tmp_path) as names:
        ended = static_plugin.run(named, asked, wrapper=names.wrapper)
        assert names.asked == [STS, STS]
    assert refusal(ended) == (1, "DNS-FAILED")


@pytest.fixture
def deaf(port: int) -> Iterator[None]:
    """::1 takes no more connections on Google's port: who asks for one waits for an answer."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
        listener.bind(("::1", port))
        listener.listen(0)
        for _ in range(4):
            waiting = stack.enter_context(socket.socket(socket.AF_INET6, socket.SOCK_STREAM))
            waiting.settimeout(0)
            waiting.connect_ex(("::1", port))
        yield


BOTH = {STS: ["::1", "127.0.0.1"]}


def test_ipv6_is_deaf(
    static_plugin: Launcher, named: Environment, asked: bytes, tmp_path: Path, deaf: None
) -> None:
    """It gets its share of the budget, and IPv4 the rest."""
    named["GCP_TIMEOUT"] = "4"
    with FullNameServer(BOTH, tmp_path) as names:
        credentials(static_plugin.run(named, asked, wrapper=names.wrapper))


def test_ipv6_refuses(
    static_plugin: Launcher, named: Environment, asked: bytes, tmp_path: Path
) -> None:
    """IPv4 at once."""
    with FullNameServer(BOTH, tmp_path) as names:
        credentials(static_plugin.run(named, asked, wrapper=names.wrapper))


@pytest.fixture
def island(port: int) -> Iterator[str]:
    """A network that is nothing but a loopback, from which Google's port leads to the emulator."""
    name = f"gcp-sa-test-{os.getpid()}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-netns", name, "link", "set", "lo", "up"], check=True)
        here = {"host": "127.0.0.1", "port": port}
        relay({**here, "network": name}, {**here, "network": ""})
        yield name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


def test_ipv6_without_a_route(
    static_plugin: Launcher, named: Environment, asked: bytes, tmp_path: Path, island: str
) -> None:
    """The kernel says so at once, and IPv4 has the whole budget."""
    named["GCP_TIMEOUT"] = "2"
    far = {STS: ["2001:db8::1", "127.0.0.1"]}
    with ExitStack() as stack:
        # A socket stays in the network it was made in, so the server is started and ended there.
        names = within(island, lambda: FullNameServer(far, tmp_path).__enter__())
        stack.callback(within, island, lambda: names.__exit__(None, None, None))
        wrapper = ["nsenter", f"--net=/run/netns/{island}", *names.wrapper]
        credentials(static_plugin.run(named, asked, wrapper=wrapper))
    assert names.asked == [STS, STS]


def test_watchdog_in_32_mib_of_address_space(
    static_plugin: Launcher, named: Environment, asked: bytes, tmp_path: Path
) -> None:
    """Name servers that never answer: the budget ends it."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (32 << 20, 32 << 20))

    named["GCP_TIMEOUT"] = "1"
    with FullNameServer({STS: SILENT}, tmp_path) as names:
        ended = static_plugin.run(named, asked, wrapper=names.wrapper, prepare=limit)
        assert STS in names.asked
    assert refusal(ended) == (1, "DNS-TIMEOUT")

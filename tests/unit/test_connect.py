"""connect: names, addresses and who did not answer."""

import _socket
import errno
import socket

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.plugin import connect
from gcp_sa_credential_provider.plugin.connect import (
    Socket,
    is_loopback,
    open_socket,
    parse_authority,
)
from gcp_sa_credential_provider.plugin.deadline import Deadline, Progress
from gcp_sa_credential_provider.plugin.failure import Failure
from raw_server import answering, http
from scene import AUDIENCE, request, run_plugin

Environment = dict[str, str]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.255.0.9", True),
        ("::1", True),
        ("0:0::1", True),
        ("128.0.0.1", False),
        ("::2", False),
        ("localhost", False),
        ("127.1", False),
    ],
)
def test_loopback_is_a_literal_address(host: str, *, expected: bool) -> None:
    """A name could be resolved to anything."""
    assert is_loopback(host) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("a", "a:7"), ("a:1", "a:1"), ("[::1]", "[::1]:7"), ("[::1]:65535", "[::1]:65535")],
)
def test_authorities(text: str, expected: str) -> None:
    """Brackets are for IPv6."""
    assert str(parse_authority(text, 7)) == expected


@pytest.mark.parametrize("name", ["no-such-name.invalid", "a" * 70 + ".example"])
def test_a_name_that_does_not_exist(environment: Environment, issuer: Issuer, name: str) -> None:
    """RFC 6761 keeps .invalid free; here no name server answers at all, or says so."""
    environment["GCP_STS_ENDPOINT"] = f"https://{name}"
    environment["GCP_TIMEOUT"] = "1"
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error in ("DNS-FAILED", "DNS-AGAIN", "DNS-TIMEOUT")
    assert name in outcome.stderr


@pytest.mark.parametrize(
    ("number", "code"), [(socket.EAI_AGAIN, "DNS-AGAIN"), (socket.EAI_NONAME, "DNS-FAILED")]
)
def test_what_the_resolver_says(monkeypatch: pytest.MonkeyPatch, number: int, code: str) -> None:
    """A name server that is silent is asked again; a name that is not there is not."""

    def getaddrinfo(*_: object) -> None:
        raise socket.gaierror(number, "as the resolver says it")

    monkeypatch.setattr(_socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(Failure) as caught:
        open_socket(parse_authority("a.example", 443), Progress(Deadline(1)))
    assert caught.value.code == code
    assert caught.value.evidence == {"host": "a.example", "error": "as the resolver says it"}


def test_a_resolver_that_this_machine_does_not_let_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """EAI_SYSTEM (no socket, no resolv.conf that can be read) comes as a plain OSError."""

    def getaddrinfo(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(_socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(Failure) as caught:
        open_socket(parse_authority("a.example", 443), Progress(Deadline(1)))
    assert caught.value.code == "DNS-AGAIN"
    assert caught.value.evidence == {"host": "a.example", "error": "Permission denied"}


def test_nobody_listens(environment: Environment, issuer: Issuer) -> None:
    """Tried four times, in case it is just starting."""
    environment["GCP_STS_ENDPOINT"] = "https://127.0.0.1:1"
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.error == "CONNECT-REFUSED"
    assert "127.0.0.1:1 refused the connection (4 tries)" in outcome.stderr


def test_ipv6_is_spoken(environment: Environment, issuer: Issuer) -> None:
    """A literal address in brackets."""
    body = b'{"access_token": "t", "expires_in": 3600}'
    with answering(http("200 OK", body), family=socket.AF_INET6) as server:
        environment["GCP_STS_ENDPOINT"] = f"http://[::1]:{server.port}"
        outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0
    assert f"\r\nHost: [::1]:{server.port}\r\n".encode() in server.received[0]


def _addresses(monkeypatch: pytest.MonkeyPatch, *rows: tuple[int, tuple[str, int]]) -> None:
    """Let a name have these addresses; the connections to them are real."""
    found = [(family, socket.SOCK_STREAM, 6, "", target) for family, target in rows]
    monkeypatch.setattr(_socket, "getaddrinfo", lambda *_: found)


def test_every_address_of_a_name_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A family that the kernel lacks, a refusal, then the one that answers."""
    with answering(b"") as server:
        _addresses(
            monkeypatch,
            (9999, ("127.0.0.1", server.port)),
            (socket.AF_INET, ("127.0.0.1", 1)),
            (socket.AF_INET, ("127.0.0.1", server.port)),
        )
        sock = open_socket(parse_authority("a.example", server.port), Progress(Deadline(5)))
        assert sock.getpeername() == ("127.0.0.1", server.port)
        sock.close()


def test_the_last_addresss_error_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """No route: what the operating system says at once."""
    _addresses(monkeypatch, (socket.AF_INET, ("255.255.255.255", 443)))
    with pytest.raises(Failure) as caught:
        open_socket(parse_authority("a.example", 443), Progress(Deadline(5)))
    assert caught.value.code == "CONNECT-FAILED"
    assert str(caught.value.evidence["address"]) == "a.example:443"


@pytest.mark.parametrize("there", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize(
    ("error", "code"),
    [(TimeoutError(), "CONNECT-TIMEOUT"), (ConnectionRefusedError(), "CONNECT-REFUSED")],
)
def test_a_family_that_is_not_there_hides_no_cause(
    monkeypatch: pytest.MonkeyPatch, there: int, error: OSError, code: str
) -> None:
    """What swallows or refuses is told, and not that the other family has no route."""

    class Half(Socket):
        def connect(self, _: object, /) -> None:
            if self.family == there:
                raise error
            raise OSError(errno.ENETUNREACH, "Network is unreachable")

    monkeypatch.setattr(connect, "Socket", Half)
    rows = [(socket.AF_INET, ("192.0.2.1", 443)), (socket.AF_INET6, ("2001:db8::1", 443))]
    _addresses(monkeypatch, *rows)
    with pytest.raises(Failure) as caught:
        open_socket(parse_authority("a.example", 443), Progress(Deadline(5)))
    assert caught.value.code == code


def test_an_address_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener whose queue is full drops what knocks, as a firewall does."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        target = listener.getsockname()
        knocking = [socket.socket() for _ in range(4)]
        for sock in knocking:
            sock.setblocking(False)  # noqa: FBT003 -- the API of socket
            sock.connect_ex(target)
        _addresses(monkeypatch, (socket.AF_INET, target))
        with pytest.raises(Failure) as caught:
            open_socket(parse_authority("a.example", 443), Progress(Deadline(0.3)))
        for sock in knocking:
            sock.close()
    assert caught.value.code == "CONNECT-TIMEOUT"
    assert caught.value.evidence["addresses"] == 1


@pytest.mark.parametrize(
    ("addresses", "budget", "seconds"),
    [(1, 55, 5.0), (2, 4, 2.0), (8, 0.4, 0.25), (20, 10, 2.5)],
)
def test_the_share_of_an_address(
    monkeypatch: pytest.MonkeyPatch, addresses: int, budget: float, seconds: float
) -> None:
    """What is left by the number of addresses, or by four; at least 0.25 seconds, at most five."""
    shares: list[float] = []

    class Deaf(Socket):
        def settimeout(self, value: float | None, /) -> None:
            shares.append(value or 0.0)

        def connect(self, _: object, /) -> None:
            raise TimeoutError

    monkeypatch.setattr(connect, "Socket", Deaf)
    _addresses(monkeypatch, *[(socket.AF_INET, ("192.0.2.1", 443))] * addresses)
    with pytest.raises(Failure):
        open_socket(parse_authority("a.example", 443), Progress(Deadline(budget)))
    assert shares[0] == pytest.approx(seconds, rel=0.05)


def test_the_families_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever the resolver prefers comes first, and the other one second."""
    tried: list[str] = []

    class Deaf(Socket):
        def connect(self, target: object, /) -> None:
            assert isinstance(target, tuple)
            tried.append(target[0])
            raise TimeoutError

    monkeypatch.setattr(connect, "Socket", Deaf)
    six = [(socket.AF_INET6, (f"2001:db8::{number}", 443)) for number in (1, 2, 3)]
    four = [(socket.AF_INET, (f"192.0.2.{number}", 443)) for number in (1, 2)]
    for rows, expected in (
        ([*six, *four], [six[0], four[0], six[1], four[1], six[2]]),
        ([*four, *six], [four[0], six[0], four[1], six[1], six[2]]),
        (six, six),
    ):
        tried.clear()
        _addresses(monkeypatch, *rows)
        with pytest.raises(Failure):
            open_socket(parse_authority("a.example", 443), Progress(Deadline(5)))
        assert tried == [target[0] for _, target in expected]


def test_a_name_without_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """No resolver should say so, and none shall make us silent."""
    _addresses(monkeypatch)
    with pytest.raises(Failure) as caught:
        open_socket(parse_authority("a.example", 443), Progress(Deadline(1)))
    assert caught.value.evidence["error"] == "no address"

"""Where to connect to, and a connected TCP socket: every address of a name tried in turn.

Host names go to the resolver as ASCII bytes: a `str` would load the idna codec and, with it, `re`.
"""

import _socket

from gcp_sa_credential_provider.plugin.deadline import Deadline, Progress
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.names import only
from gcp_sa_credential_provider.plugin.value import Value

CONNECT_SECONDS = 5.0  # for one address at most
_LEAST_SECONDS = 0.25  # for one address, however many there are
_FEW = 4  # addresses that the time is shared among: both families twice

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    _Row = tuple[Any, Any, int, str, Any]

_HOST = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_"


class BadAddress(ValueError):  # noqa: N818 -- the address is bad, not the program
    """A URL that cannot be connected to; `str()` says why and quotes no password."""


class Address(Value):
    """Host (a name or a literal address, without brackets) and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Endpoint(Value):
    """The base of a Google API: plain http for loopback addresses only."""

    tls: bool
    address: Address

    @property
    def authority(self) -> str:
        """The Host header: the port only where it is not the scheme's own (RFC 9110, 7.2)."""
        own = ":443" if self.tls else ":80"
        return str(self.address).removesuffix(own)


class Socket(_socket.socket):
    """A socket that `_ssl` can hold: it keeps only a weak reference to it."""

    __slots__ = ("__weakref__",)

    def end_by(self, until: Deadline) -> None:
        """Let the next operation take no longer than `until`. Zero would mean non-blocking."""
        self.settimeout(max(until.left(), 0.001))


class Stream:
    """A connected byte stream; every operation raises TimeoutError when `until` has passed."""

    def __init__(self, sock: Socket, until: Deadline) -> None:
        self._sock = sock
        self._until = until

    def send(self, data: bytes) -> None:
        """Send all of `data`."""
        self._sock.end_by(self._until)
        self._sock.sendall(data)

    def receive(self) -> bytes:
        """Receive some bytes; none when the peer has closed."""
        self._sock.end_by(self._until)
        return self._sock.recv(16384)


def packed(host: str) -> "bytes | None":
    """A literal IPv4 or IPv6 address as 4 or 16 bytes; None for a name."""
    for family in (_socket.AF_INET, _socket.AF_INET6):
        try:
            return _socket.inet_pton(family, host)
        except (OSError, ValueError):  # ValueError: a NUL, or bytes that are no text
            continue
    return None


def is_loopback(host: str) -> bool:
    """Whether `host` is a literal address of 127.0.0.0/8 or ::1."""
    address = packed(host)
    return address is not None and (
        address[0] == 127 if len(address) == 4 else address == bytes(15) + b"\1"
    )


def parse_authority(text: str, default_port: int) -> Address:
    """Parse `host`, `host:port`, `[::1]` or `[::1]:port`."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or len(packed(host) or b"") != 16:
            raise BadAddress("what stands in brackets is no IPv6 address")
        colon, port = rest[:1], rest[1:]
    else:
        host, colon, port = text.partition(":")
        rest = colon
        if not only(_HOST, host):
            raise BadAddress("its host is not a host name")
    if rest and colon != ":":
        raise BadAddress("something other than a port follows the host")
    if not colon:
        return Address(host=host, port=default_port)
    if not (only("0123456789", port) and len(port) <= 5 and 0 < int(port) < 65536):
        raise BadAddress("its port is not a number from 1 to 65535")
    return Address(host=host, port=int(port))


def parse_endpoint(text: str) -> Endpoint:
    """Parse the base URL of an API: `https://host[:port]`, without user, path or query."""
    scheme, mark, rest = text.partition("://")
    if not mark or scheme not in ("https", "http"):
        raise BadAddress("it does not begin with https://")
    rest = rest.removesuffix("/")
    if "@" in rest:
        raise BadAddress("a user or password has no place in it")
    if "/" in rest or "?" in rest or "#" in rest:
        raise BadAddress("it is a base URL, without a path or query")
    address = parse_authority(rest, 443 if scheme == "https" else 80)
    if scheme == "http" and not is_loopback(address.host):
        raise BadAddress("plain http is for a literal 127.0.0.0/8 or ::1 address only; use https")
    return Endpoint(tls=scheme == "https", address=address)


def open_socket(address: Address, progress: Progress, late: "Failure | None" = None) -> Socket:
    """Resolve and connect, each address for its fair share of the time that is left.

    IPv6 and IPv4 take turns, so that a network that swallows one of them costs one share.
    `late`: what to say if all time runs out while connecting, instead of CONNECT-TIMEOUT.

    Raises Failure DNS-FAILED, DNS-AGAIN, CONNECT-REFUSED, CONNECT-TIMEOUT or CONNECT-FAILED; the
    last only where no address did as much as refuse or swallow: it is what a family says that this
    node does not have.
    """
    host = address.host
    progress.enter("resolve", "DNS-TIMEOUT", host=host)
    try:
        found = _socket.getaddrinfo(
            host.encode("ascii"), address.port, 0, _socket.SOCK_STREAM, _socket.IPPROTO_TCP
        )
    except OSError as error:
        # A gaierror, or for EAI_SYSTEM what the operating system did not let the resolver do.
        final = isinstance(error, _socket.gaierror) and error.errno != _socket.EAI_AGAIN
        raise Failure(
            "DNS-FAILED" if final else "DNS-AGAIN", host=host, error=error.strerror
        ) from None
    timeout = Failure("CONNECT-TIMEOUT", address=address, addresses=len(found))
    late = late or timeout
    failure = Failure("CONNECT-FAILED", address=address, error="no address")
    for position, (family, kind, protocol, _, target) in enumerate(_in_turn(found)):
        progress.enter("connect", late.code, **late.evidence)
        share = progress.deadline.left() / min(len(found) - position, _FEW)
        seconds = min(CONNECT_SECONDS, max(_LEAST_SECONDS, share))
        try:
            sock = Socket(family, kind, protocol)
        except OSError as error:  # the kernel may lack IPv6
            failure = _unless_told(failure, address, error)
            continue
        try:
            sock.settimeout(seconds)
            sock.connect(target)
            sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        except TimeoutError:
            failure = timeout
        except ConnectionRefusedError:
            failure = Failure("CONNECT-REFUSED", address=address)
        except OSError as error:
            failure = _unless_told(failure, address, error)
        else:
            return sock
        sock.close()
    raise failure


def _unless_told(failure: Failure, address: Address, error: OSError) -> Failure:
    if failure.code != "CONNECT-FAILED":
        return failure
    return Failure("CONNECT-FAILED", address=address, error=error.strerror)


def _in_turn(found: "list[_Row]") -> "list[_Row]":
    """Both families' addresses in turn, that of the first one first (RFC 8305, section 4)."""
    first = [row for row in found if row[0] == found[0][0]]
    other = [row for row in found if row[0] != found[0][0]]
    turns = []
    for position in range(len(found)):
        turns += first[position : position + 1] + other[position : position + 1]
    return turns

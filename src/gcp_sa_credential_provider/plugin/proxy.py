"""HTTPS_PROXY and NO_PROXY, and the CONNECT that opens a tunnel (RFC 9110, 9.3.6).

NO_PROXY is read as Go reads it (golang.org/x/net/http/httpproxy), since every other program on a
Kubernetes node does: `*`; names that match themselves and what is below them; `.name` for what is
below only; literal addresses and CIDR blocks; each with an optional port.
"""

import binascii

from gcp_sa_credential_provider.plugin.connect import (
    Address,
    BadAddress,
    Stream,
    is_loopback,
    packed,
    parse_authority,
)
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.names import only
from gcp_sa_credential_provider.plugin.value import Value

_LARGEST_ANSWER = 16384  # bytes
_HEX = "0123456789abcdefABCDEF"


class Proxy(Value):
    """An http proxy; `authorization` is the Proxy-Authorization header's value, or empty."""

    address: Address
    authorization: str


def _unescape(text: str) -> bytes:
    """Undo percent-encoding (RFC 3986, 2.1)."""
    first, *rest = text.split("%")
    out = first.encode("utf-8", "surrogateescape")
    for part in rest:
        if len(part) < 2 or part[0] not in _HEX or part[1] not in _HEX:
            raise BadAddress("its user or password has a % that begins no escape; write it as %25")
        out += bytes([int(part[:2], 16)]) + part[2:].encode("utf-8", "surrogateescape")
    return out


def parse_proxy(text: str) -> Proxy:
    """Parse `[http://][user:password@]host[:port][/]`. Raises BadAddress without the password."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        scheme, rest = "http", text
    if scheme.lower() != "http":
        kind = "an https" if scheme.lower() == "https" else "no http"
        raise BadAddress(f"it is {kind} proxy; only http:// proxies are supported")
    user, at, authority = rest.removesuffix("/").rpartition("@")
    address = parse_authority(authority, 80)
    if not at:
        return Proxy(address=address, authorization="")
    name, _, password = user.partition(":")
    secret = _unescape(name) + b":" + _unescape(password)
    encoded = binascii.b2a_base64(secret, newline=False).decode("ascii")
    return Proxy(address=address, authorization=f"Basic {encoded}")


def secrets_of(text: str) -> "list[str]":
    """What of a proxy URL must not be told: user:password as written, decoded and encoded."""
    user, at, _ = text.partition("://")[2].rpartition("@")
    if not at:
        user, at, _ = text.rpartition("@")
    if not at:
        return []
    password = user.partition(":")[2]
    try:
        decoded = [
            _unescape(password).decode("utf-8", "replace"),
            parse_proxy(text).authorization[6:],
        ]
    except BadAddress:
        decoded = []
    return [secret for secret in (user, password, *decoded) if secret]


def _in_block(address: bytes, block: str) -> bool:
    network, _, bits = block.partition("/")
    prefix = packed(network)
    if prefix is None or len(prefix) != len(address):
        return False
    if not (only("0123456789", bits) and len(bits) <= 3 and int(bits) <= len(address) * 8):
        return False
    shift = len(address) * 8 - int(bits)
    return int.from_bytes(address, "big") >> shift == int.from_bytes(prefix, "big") >> shift


def is_exempt(address: Address, no_proxy: str) -> bool:
    """Whether NO_PROXY names `address`; loopback is never proxied."""
    host = address.host.lower().removesuffix(".")
    if host == "localhost" or is_loopback(host):
        return True
    items = no_proxy.lower().replace(",", " ").split()
    return any(_names(item, host, address.port) for item in items)


def _names(item: str, host: str, port: int) -> bool:
    """Whether one item of NO_PROXY names host and port. What cannot be read names nothing."""
    literal = packed(host)
    if item == "*":
        return True
    if "/" in item:
        return literal is not None and _in_block(literal, item)
    if (alone := packed(item)) is not None:  # IPv6 without brackets, too
        return alone == literal
    try:
        named = parse_authority(item.removeprefix("*"), port)
    except BadAddress:
        return False
    if named.port != port:
        return False
    if literal is not None:
        return packed(named.host) == literal
    if named.host.startswith("."):
        return host.endswith(named.host)
    return host == named.host or host.endswith(f".{named.host}")


def open_tunnel(stream: Stream, proxy: Proxy, target: Address) -> None:
    """Ask the proxy for a tunnel to `target`.

    Raises Failure PROXY-AUTH, -DENIED, -ANSWER, or -UNAVAILABLE for what may pass by itself.
    """
    lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
    if proxy.authorization:
        lines.append(f"Proxy-Authorization: {proxy.authorization}")
    answer, cut = b"", ""
    try:
        stream.send("\r\n".join([*lines, "", ""]).encode("ascii"))
        while b"\r\n\r\n" not in answer and len(answer) <= _LARGEST_ANSWER:
            received = stream.receive()
            if not received:
                cut = "the connection was closed"
                break
            answer += received
    except ConnectionError as error:
        cut = str(error.strerror)
    if cut and b"HTTP/1.".startswith(answer[:7]):
        raise Failure("PROXY-UNAVAILABLE", proxy=proxy.address, target=target, error=cut)
    line, _, _ = answer.partition(b"\r\n")
    version, _, status = line.decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1.") or b"\r\n\r\n" not in answer:
        raise Failure("PROXY-ANSWER", proxy=proxy.address, target=target, answer=answer[:64])
    if status.startswith("407"):
        sent = "a user and password were sent" if proxy.authorization else "none was sent"
        raise Failure("PROXY-AUTH", proxy=proxy.address, sent=sent)
    if status.startswith("5"):
        raise Failure("PROXY-UNAVAILABLE", proxy=proxy.address, target=target, error=status)
    if not status.startswith("2"):
        raise Failure("PROXY-DENIED", proxy=proxy.address, target=target, status=status)

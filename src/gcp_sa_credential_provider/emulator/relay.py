"""The relay in front of the server: terminates TLS, carries bytes, and breaks them on demand.

Imports the connections, their streams and the fault rules. It serves the public sockets and
connects to the HTTP server's private one. The application finds its own connection by the source
port that it sees (`Relay.wires`) and may set a byte fault on it; faults of connections and
certificates are decided here, before there is a request.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from gcp_sa_credential_provider.emulator.connections import Connections
from gcp_sa_credential_provider.emulator.faults import CERTIFICATE, CONNECTION, FaultRules, Rule
from gcp_sa_credential_provider.emulator.streams import (
    READ,
    Reader,
    Tls,
    Writer,
    copy,
    end,
    first_done,
    streams,
)

_ENDLESS_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
    b'{"access_token":"'
)


@dataclass
class Wire:
    """One client connection, as the application sees it."""

    scheme: str
    fault: Rule | None = None
    """The byte fault for the answer that comes next."""


class Relay:
    """Listeners, and the connections through them."""

    def __init__(
        self,
        upstream: tuple[str, int],
        contexts: Mapping[str, ssl.SSLContext],
        faults: FaultRules,
    ) -> None:
        """`contexts`: `valid` and the wrong certificates by name (tls.Authority.contexts)."""
        self._upstream = upstream
        self._contexts = contexts
        self._faults = faults
        self._connections = Connections()
        self.wires: dict[int, Wire] = {}
        """By source port towards the HTTP server."""
        contexts["valid"].sni_callback = self._choose_certificate

    def listen(self, listener: socket.socket, certificate: str | None) -> None:
        """Serve a bound, listening, non-blocking socket; `certificate` None is plain http."""
        self._connections.listen(listener, lambda client: self._carry(client, certificate))

    async def close(self) -> None:
        """Cut every connection and stop. The listening sockets are the caller's to close."""
        await self._connections.close()

    def _choose_certificate(
        self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext
    ) -> None:
        if rule := self._faults.for_connection(CERTIFICATE, name or ""):
            connection.context = self._contexts[rule.which]

    async def _carry(self, client: socket.socket, certificate: str | None) -> None:
        if rule := self._faults.for_connection(CONNECTION):
            await _break_connection(client, rule)
            return
        reader: Reader
        writer: Writer
        reader, writer = await streams(client)
        try:
            if certificate:
                tls = Tls(reader, writer, self._contexts[certificate])
                await tls.handshake()
                reader = writer = tls
            up_reader, up_writer = await asyncio.open_connection(*self._upstream)
            port = up_writer.get_extra_info("sockname")[1]
            wire = self.wires[port] = Wire("https" if certificate else "http")
            try:
                await first_done(copy(reader, up_writer), _answer(up_reader, writer, wire))
            finally:
                del self.wires[port]
                up_writer.transport.abort()
        finally:
            await end(writer)


async def _answer(reader: asyncio.StreamReader, writer: Writer, wire: Wire) -> None:
    while data := await reader.read(READ):
        if wire.fault is None:
            writer.write(data)
            await writer.drain()
        elif wire.fault.kind == "drip":
            await _drip(data, writer, wire.fault)
        else:
            await _break_answer(data, reader, writer, wire.fault)
            return


async def _break_answer(
    data: bytes, reader: asyncio.StreamReader, writer: Writer, rule: Rule
) -> None:
    """Deliver the answer that begins with `data` as the rule says; then the connection ends."""
    match rule.kind:
        case "garbage":
            writer.write(rule.data.encode())
            await writer.drain()
        case "endless":
            writer.write(_ENDLESS_HEAD)
            while True:
                writer.write(b"a" * READ)
                await writer.drain()
                # drain() alone may never give way to the loop, which has to see the peer's end.
                await asyncio.sleep(0)
        case _:
            if rule.after is not None:
                await _pass(data, reader, writer, rule.after)
            if rule.kind == "stall":
                await asyncio.get_running_loop().create_future()
            if rule.kind == "reset":
                _reset_on_close(writer.transport.get_extra_info("socket"))
                writer.transport.abort()


async def _pass(data: bytes, reader: asyncio.StreamReader, writer: Writer, body_bytes: int) -> None:
    """Let the head and the first bytes of the body through."""
    while b"\r\n\r\n" not in data and (more := await reader.read(READ)):
        data += more
    left = data.find(b"\r\n\r\n") + 4 + body_bytes
    while data:
        writer.write(data[:left])
        await writer.drain()
        left -= len(data)
        data = await reader.read(READ) if left > 0 else b""


async def _drip(data: bytes, writer: Writer, rule: Rule) -> None:
    for start in range(0, len(data), rule.chunk):
        writer.write(data[start : start + rule.chunk])
        await writer.drain()
        await asyncio.sleep(rule.interval)


async def _break_connection(client: socket.socket, rule: Rule) -> None:
    """Faults before TLS and HTTP; returning closes the socket."""
    loop = asyncio.get_running_loop()
    match rule.kind:
        case "connect_reset":
            _reset_on_close(client)
        case "connect_garbage":
            await loop.sock_sendall(client, rule.data.encode())
            await _until_closed(client)
        case "connect_stall":
            await _until_closed(client)
        case _:
            pass


async def _until_closed(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, READ):
        pass


def _reset_on_close(client: socket.socket) -> None:
    """SO_LINGER of zero makes close() send RST (socket(7))."""
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

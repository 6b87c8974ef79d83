"""A CONNECT proxy (RFC 9110 section 9.3.6) that leads Google's names to the emulator.

Imports the connections and their streams. For clients that are configured by HTTPS_PROXY: no name
is ever resolved, and nothing but Google's names and the emulator itself is reached.
"""

import asyncio
import base64
import hmac
import re
import socket
from collections.abc import Mapping

from gcp_sa_credential_provider.emulator.connections import Connections
from gcp_sa_credential_provider.emulator.streams import copy, end, first_done, streams

_TARGET = re.compile(
    r"CONNECT (?P<host>[\w.-]+|\[[\da-fA-F:]+\]):(?P<port>\d{1,5}) HTTP/1\.[01]", re.ASCII
)
_GOOGLE = re.compile(r"(([\w-]+\.)+(googleapis\.com|gcr\.io|pkg\.dev)|gcr\.io)", re.ASCII)
_LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Proxy:
    """One proxy listener. `tunnels` and `refuse_with` may be used from other threads."""

    def __init__(self, settings: Mapping[str, str], port: int) -> None:
        """`settings`: {} or {username, password}. `port`: the emulator's https port."""
        self._port = port
        self._expected = (
            b"Basic " + base64.b64encode(f"{settings['username']}:{settings['password']}".encode())
            if settings
            else None
        )
        self.tunnels: list[str] = []
        """`host:port` of each tunnel that was opened."""
        self.refuse_with: int | None = None
        """An HTTP status to refuse every CONNECT with."""
        self._connections = Connections()

    def listen(self, listener: socket.socket) -> None:
        """Serve a bound, listening, non-blocking socket."""
        self._connections.listen(listener, self._serve)

    async def close(self) -> None:
        """Cut every tunnel and stop. The listening socket is the caller's to close."""
        await self._connections.close()

    async def _serve(self, client: socket.socket) -> None:
        reader, writer = await streams(client)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            refusal = self._refusal(head)
            if refusal is not None:
                writer.write(refusal)
                return
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port)
            try:
                writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
                await first_done(copy(reader, up_writer), copy(up_reader, writer))
            finally:
                up_writer.transport.abort()
        except asyncio.LimitOverrunError:
            pass  # the client never spoke HTTP
        finally:
            await end(writer)

    def _refusal(self, head: bytes) -> bytes | None:
        """The answer that refuses this CONNECT, or None (and the tunnel is counted)."""
        request, *lines = head.decode("latin-1").split("\r\n")
        if self.refuse_with is not None:
            return _response(self.refuse_with, "Refused")
        headers = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines)
        }
        given = headers.get("proxy-authorization", "").encode("latin-1")
        if self._expected is not None and not hmac.compare_digest(given, self._expected):
            return _response(
                407,
                "Proxy Authentication Required",
                'Proxy-Authenticate: Basic realm="emulator"\r\n',
            )
        target = _TARGET.fullmatch(request)
        if target is None:
            return _response(400, "Bad Request")
        host, port = target["host"].lower(), int(target["port"])
        known = _GOOGLE.fullmatch(host) and port == 443
        if not known and not (host in _LOOPBACK and port == self._port):
            return _response(403, "Forbidden")
        self.tunnels.append(f"{host}:{port}")
        return None


def _response(status: int, phrase: str, headers: str = "") -> bytes:
    return (
        f"HTTP/1.1 {status} {phrase}\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n"
    ).encode()

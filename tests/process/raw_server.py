r"""A server that says bytes: for answers which no HTTP library would let one give.

Imports the standard library. Plain or TLS, on loopback, one thread a connection. What it says is a
function of the connection, so that a case reads as one line:

    with RawServer(says(b"SSH-2.0-OpenSSH\r\n")) as server:
        environment["GCP_STS_ENDPOINT"] = server.url
"""

import itertools
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Self

Connection = socket.socket
Answer = Callable[["RawServer", Connection, bytes], None]
"""What to do on a connection, given the request that came (head and body)."""


class RawServer:
    """A context manager: serves in threads while the block runs."""

    def __init__(
        self,
        answer: Answer,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
        listen_first: bool = True,
    ) -> None:
        """`listen_first` False: the server speaks without waiting for a request."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=64)
        self._answer = answer
        self._tls = tls
        self._listen_first = listen_first
        self._open: set[Connection] = set()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self.stopping = threading.Event()
        self.arrived = threading.Event()
        """Set once a request has come in whole."""
        self.requests: list[bytes] = []
        self.connections = 0
        name = f"[{host}]" if ":" in host else host
        self.address = f"{name}:{self._listener.getsockname()[1]}"
        self.url = f"{'https' if tls else 'http'}://{self.address}"

    def __enter__(self) -> Self:
        """Start accepting."""
        self._threads[0].start()
        return self

    def __exit__(self, *_: object) -> None:
        """Cut every connection and wait for the threads."""
        self.stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: Connection) -> None:
        with self._lock:
            self._open.add(connection)
        try:
            # The client may go whenever it likes: that is what these tests are about.
            with suppress(OSError), self._secured(connection) as stream:
                request = received(stream) if self._listen_first else b""
                self.requests.append(request)
                self.arrived.set()
                self._answer(self, stream, request)
        finally:
            with self._lock:
                self._open.discard(connection)
            connection.close()

    def _secured(self, connection: Connection) -> Connection:
        if self._tls is None:
            return connection
        return self._tls.wrap_socket(connection, server_side=True)


def received(connection: Connection) -> bytes:
    """One request: its head, and as many bytes of body as it announces."""
    data = b""
    while b"\r\n\r\n" not in data and (more := connection.recv(65536)):
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


def says(*answers: bytes) -> Answer:
    """Connection by connection one answer, the last for all that follow; then it closes."""
    turns: Iterator[bytes] = itertools.chain(answers, itertools.repeat(answers[-1]))

    def answer(_: RawServer, connection: Connection, __: bytes) -> None:
        connection.sendall(next(turns))

    return answer


def then_waits(data: bytes) -> Answer:
    """Say `data` and keep the connection until the client goes."""

    def answer(_: RawServer, connection: Connection, __: bytes) -> None:
        connection.sendall(data)
        while connection.recv(65536):
            pass

    return answer


def endlessly(data: bytes, more: bytes) -> Answer:
    """Say `data`, then `more` again and again until the client goes."""

    def answer(server: RawServer, connection: Connection, _: bytes) -> None:
        connection.sendall(data)
        while not server.stopping.is_set():
            connection.sendall(more)

    return answer


def slowly(data: bytes, seconds: float) -> Answer:
    """Say `data` byte by byte, `seconds` between two."""

    def answer(server: RawServer, connection: Connection, _: bytes) -> None:
        for byte in data:
            connection.sendall(bytes([byte]))
            server.stopping.wait(seconds)

    return answer


def resets(data: bytes = b"") -> Answer:
    """Say `data`, then send RST: SO_LINGER of zero makes close() do so (socket(7))."""

    def answer(_: RawServer, connection: Connection, __: bytes) -> None:
        if data:
            connection.sendall(data)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def http(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with its Content-Length."""
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def json_answer(document: Any, *headers: str, status: str = "200 OK") -> bytes:
    """A whole answer with a JSON document."""
    return http(
        json.dumps(document).encode(), "Content-Type: application/json", *headers, status=status
    )


def chunked(*chunks: bytes) -> bytes:
    """A whole 200 in chunks (RFC 9112, 7.1)."""
    body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body


def exchanged(token: str = "ya29.raw-server", **fields: Any) -> bytes:
    """What STS answers to a good exchange, as a JSON body."""
    answer = {
        "access_token": token,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
        "token_type": "Bearer",
        "expires_in": 3598,
    }
    return json.dumps({**answer, **fields}).encode()

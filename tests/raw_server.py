"""A server that answers with given bytes, whatever is asked: for answers that no real one gives."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

RESET = b"(reset)"  # as an answer: the connection is reset


@dataclass
class RawServer:
    """Where it listens, and what it was sent."""

    port: int
    received: list[bytes] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"


@contextlib.contextmanager
def answering(*answers: bytes, family: int = socket.AF_INET) -> Iterator[RawServer]:
    """Serve one connection after another; the last answer is repeated, b"" only closes."""
    host = "127.0.0.1" if family == socket.AF_INET else "::1"
    with socket.create_server((host, 0), family=family) as listener:
        server = RawServer(port=listener.getsockname()[1])

        def serve() -> None:
            queue = list(answers)
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return  # closed by the one who serves
                answer = queue.pop(0) if len(queue) > 1 else queue[0]
                with connection, contextlib.suppress(OSError):
                    server.received.append(_request(connection))
                    if answer is RESET:  # close() sends RST with a linger of 0 (socket(7))
                        linger = struct.pack("ii", 1, 0)
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                    else:
                        connection.sendall(answer)

        thread = threading.Thread(target=serve, name="raw server")
        thread.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
            thread.join()


def _request(connection: socket.socket) -> bytes:
    """Head, and body by Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    while len(body) < length and (more := connection.recv(65536)):
        body += more
    return head + b"\r\n\r\n" + body


def http(status: str, body: bytes, *headers: str) -> bytes:
    """A well-formed answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body

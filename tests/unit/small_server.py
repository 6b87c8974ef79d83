"""A server of a few paths, with TLS and certificates of clients, or without."""

import contextlib
import ssl
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import trustme

from loopback import served

Answers = Sequence[tuple[int, str]]


class SmallServer(ThreadingHTTPServer):
    """Answers each path in the order given, the last one for ever."""

    def __init__(self, answers: Mapping[str, Answers]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers = {path: list(listed) for path, listed in answers.items()}
        self.asked: list[tuple[str, str | None, str | None]] = []
        """Path, Authorization, and the common name of the client's certificate."""

    def handle_error(self, *_: object) -> None:
        """Nothing: a client may leave."""


class _Handler(BaseHTTPRequestHandler):
    server: SmallServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Answer."""
        name = None
        if isinstance(self.connection, ssl.SSLSocket):
            certificate: dict[str, Any] = dict(self.connection.getpeercert() or {})
            pairs = [pair for part in certificate.get("subject", ()) for pair in part]
            name = dict(pairs).get("commonName")
        self.server.asked.append((self.path, self.headers.get("Authorization"), name))
        left = self.server.answers.get(self.path, [(404, "{}")])
        status, body = left.pop(0) if len(left) > 1 else left[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextlib.contextmanager
def serving(
    answers: Mapping[str, Answers],
    certificate: trustme.LeafCert | None = None,
    clients: trustme.CA | None = None,
) -> Iterator[SmallServer]:
    """Serve for the block. `clients`: the authority of certificates that clients present."""
    server = SmallServer(answers)
    with served(server, certificate, clients):
        yield server

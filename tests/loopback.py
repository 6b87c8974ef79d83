"""Loopback: servers of the tests' own, and ports for programs that must be told one."""

import contextlib
import random
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import HTTPServer

import trustme


@contextlib.contextmanager
def served(
    server: HTTPServer,
    certificate: trustme.LeafCert | None = None,
    clients: trustme.CA | None = None,
) -> Iterator[None]:
    """Serve in a thread, and close. `clients`: the authority of certificates that clients show."""
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(context)
        if clients is not None:
            clients.configure_trust(context)
            context.verify_mode = ssl.CERT_OPTIONAL
        # Handshakes happen in the threads of their connections: one that fails stops nobody.
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def free_port(row: int = 1) -> int:
    """The first of so many ports in a row that nobody has.

    Not one of those that Linux gives out by itself (ip_local_port_range, 32768 and more): anybody's
    connection could have it before the program that is told it.
    """
    while True:
        port = random.randrange(10_000, 32_768 - row)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for number in range(port, port + row):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", number))
            return port

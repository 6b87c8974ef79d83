"""Connections end with the emulator, whatever they are at: none is left open.

asyncio tells of one that is by a ResourceWarning, which fails the test (`filterwarnings`).
"""

import asyncio
import contextlib
import gc
import socket
import ssl
from collections.abc import Iterator

import pytest

from gcp_sa_credential_provider.emulator.connections import Connections, Serve, end, streams
from gcp_sa_credential_provider.emulator.tls import Authority

NAME = "localhost"
SECONDS = 10


@pytest.fixture(scope="module")
def authority() -> Authority:
    return Authority()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client, and its connection as accepted."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname(), timeout=SECONDS)
        accepted, _ = listener.accept()
    accepted.setblocking(False)  # noqa: FBT003  its only parameter
    with client, contextlib.closing(accepted):
        yield client, accepted
    gc.collect()


def reading(context: ssl.SSLContext | None) -> Serve:
    """What serves a connection by reading it to its end."""

    async def serve(connection: socket.socket) -> None:
        reader, writer = await streams(connection, context)
        try:
            await reader.read()
        finally:
            await end(writer)

    return serve


def is_over(client: socket.socket) -> bool:
    """Whether the peer has closed it, once all that it sent is read."""
    try:
        while client.recv(4096):
            pass
    except ConnectionResetError:
        pass
    except TimeoutError:
        return False
    return True


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("kind", ["valid", None])
def test_cut_as_it_begins(
    authority: Authority,
    pair: tuple[socket.socket, socket.socket],
    kind: str | None,
    steps: int,
) -> None:
    """Before its task has, and in the first steps of the handshake."""
    client, accepted = pair

    async def all_ends() -> None:
        connections = Connections()
        connections.carry(accepted, reading(authority.contexts()[kind] if kind else None))
        for _ in range(steps):
            await asyncio.sleep(0)
        await connections.close()

    asyncio.run(all_ends())
    assert accepted.fileno() == -1
    assert is_over(client)


@pytest.mark.parametrize("steps", range(5))
def test_cut_as_its_handshake_ends(
    authority: Authority, pair: tuple[socket.socket, socket.socket], steps: int
) -> None:
    """Around the step in which both sides are ready."""
    client, accepted = pair
    trusting = ssl.create_default_context(cadata=authority.ca_pem.decode())
    received, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = trusting.wrap_bio(received, sent, server_hostname=NAME)

    async def all_ends() -> None:
        connections = Connections()
        connections.carry(accepted, reading(authority.contexts()["valid"]))
        client.setblocking(False)  # noqa: FBT003  its only parameter
        while True:
            with contextlib.suppress(ssl.SSLWantReadError):
                peer.do_handshake()
                break
            client.send(sent.read())
            received.write(await asyncio.get_running_loop().sock_recv(client, 65536))
        client.send(sent.read())
        for _ in range(steps):
            await asyncio.sleep(0)
        await connections.close()

    asyncio.run(all_ends())
    assert accepted.fileno() == -1
    client.settimeout(SECONDS)
    assert is_over(client)


def test_cut_while_the_peer_is_asked_to_end(
    authority: Authority, pair: tuple[socket.socket, socket.socket]
) -> None:
    """It does not answer close_notify; nobody waits for that once all ends."""
    client, accepted = pair
    trusting = ssl.create_default_context(cadata=authority.ca_pem.decode())

    async def all_ends() -> None:
        shaking = asyncio.create_task(
            asyncio.to_thread(trusting.wrap_socket, client, server_hostname=NAME)
        )
        _, writer = await streams(accepted, authority.contexts()["valid"])
        with await shaking:
            ending = asyncio.create_task(end(writer))
            await asyncio.sleep(0)
            assert not ending.done()
            ending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ending
            await asyncio.sleep(0)  # it is closed soon, not at once
            assert accepted.fileno() == -1

    asyncio.run(all_ends())


def test_clients_that_come_as_all_ends() -> None:
    """Some are served, some wait: nobody is served any more, and each sees an end."""
    clients: list[socket.socket] = []
    served: list[socket.socket] = []

    async def serve(connection: socket.socket) -> None:
        served.append(connection)
        await reading(None)(connection)

    async def all_ends() -> None:
        connections = Connections()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.setblocking(False)  # noqa: FBT003  its only parameter
            connections.listen(listener, serve)
            clients.extend(
                socket.create_connection(listener.getsockname(), timeout=SECONDS) for _ in range(9)
            )
            for _ in range(3):
                await asyncio.sleep(0)
            await connections.close()
            before = len(served)
            for _ in range(3):
                await asyncio.sleep(0)
            assert len(served) == before < len(clients)

    asyncio.run(all_ends())
    try:
        assert all(map(is_over, clients))
    finally:
        for client in clients:
            client.close()
    gc.collect()

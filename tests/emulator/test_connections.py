"""Connections end with the emulator, whatever they are at: none is left open.

asyncio tells of a transport that is by a ResourceWarning, which fails the test (`filterwarnings`);
that the socket is closed says only that `carry` does it in any case.
"""

import asyncio
import contextlib
import errno
import gc
import socket
import ssl
from collections.abc import AsyncIterator, Iterator

import pytest

from gcp_sa_credential_provider.emulator import connections as module
from gcp_sa_credential_provider.emulator.connections import Connections, Serve
from gcp_sa_credential_provider.emulator.streams import (
    READ,
    Reader,
    Tls,
    Writer,
    copy,
    end,
    streams,
)
from gcp_sa_credential_provider.emulator.tls import Authority

NAME = "localhost"
SECONDS = 10
CONTENT = bytes(range(256)) * 128
"""More than fits into the small buffers of `talking`."""


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
    """What serves a connection by reading it to its end, as the relay does."""

    async def serve(connection: socket.socket) -> None:
        reader: Reader
        writer: Writer
        reader, writer = await streams(connection)
        try:
            if context:
                tls = Tls(reader, writer, context)
                await tls.handshake()
                reader = writer = tls
            while await reader.read(READ):
                pass
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


@contextlib.asynccontextmanager
async def talking(
    authority: Authority, client: socket.socket, accepted: socket.socket
) -> AsyncIterator[tuple[ssl.SSLSocket, Tls]]:
    """Both sides after the handshake; little fits between them."""
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    trusting = ssl.create_default_context(cadata=authority.ca_pem.decode())
    shaking = asyncio.create_task(
        asyncio.to_thread(
            trusting.wrap_socket, client, server_hostname=NAME, suppress_ragged_eofs=False
        )
    )
    tls = Tls(*await streams(accepted), authority.contexts()["valid"])
    await tls.handshake()
    with await shaking as peer:
        yield peer, tls


def all_of(peer: ssl.SSLSocket) -> bytes:
    """What it gets, up to close_notify."""
    received = bytearray()
    while part := peer.recv(READ):
        received += part
    return bytes(received)


def test_cut_while_the_peer_reads_nothing(
    authority: Authority, pair: tuple[socket.socket, socket.socket]
) -> None:
    """An end waits for it; nobody does once all ends."""

    async def all_ends() -> None:
        async with talking(authority, *pair) as (_, tls):
            tls.write(CONTENT)
            ending = asyncio.create_task(end(tls))
            await asyncio.sleep(0)
            assert not ending.done()
            ending.cancel()
            with pytest.raises(asyncio.CancelledError):
                await ending
            await asyncio.sleep(0)  # it is closed soon, not at once
            assert pair[1].fileno() == -1

    asyncio.run(all_ends())


def test_cut_while_it_sends(pair: tuple[socket.socket, socket.socket]) -> None:
    """To a client that reads nothing: what it has not taken is not waited for."""
    sending = asyncio.Event()

    async def serve(connection: socket.socket) -> None:
        _, writer = await streams(connection)
        try:
            writer.write(CONTENT * 512)
            sending.set()
            await writer.drain()
        finally:
            await end(writer)

    async def all_ends() -> None:
        connections = Connections()
        connections.carry(pair[1], serve)
        await sending.wait()
        await asyncio.wait_for(connections.close(), SECONDS)

    asyncio.run(all_ends())
    assert is_over(pair[0])


def test_an_end_behind_all_that_was_written(
    authority: Authority, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A peer that begins to read as the end is under way misses nothing, close_notify included."""

    async def late() -> bytes:
        async with talking(authority, *pair) as (peer, tls):
            tls.write(CONTENT)
            ending = asyncio.create_task(end(tls))
            await asyncio.sleep(0)
            received = await asyncio.to_thread(all_of, peer)
            await ending
            return received

    assert asyncio.run(late()) == CONTENT


def test_a_cut_behind_all_that_was_drained(
    authority: Authority, pair: tuple[socket.socket, socket.socket]
) -> None:
    """drain() has waited until all is with the kernel."""

    async def cut() -> bytes:
        received = bytearray()

        def gather(peer: ssl.SSLSocket) -> None:
            with contextlib.suppress(ssl.SSLEOFError):
                while part := peer.recv(READ):
                    received.extend(part)

        async with talking(authority, *pair) as (peer, tls):
            reading = asyncio.create_task(asyncio.to_thread(gather, peer))
            tls.write(CONTENT)
            await tls.drain()
            tls.transport.abort()
            await reading
        return bytes(received)

    assert asyncio.run(cut()) == CONTENT


def test_a_peer_that_never_answers_close_notify(
    authority: Authority, pair: tuple[socket.socket, socket.socket]
) -> None:
    """Nobody waits for that."""

    async def ends() -> None:
        async with talking(authority, *pair) as (_, tls):
            await asyncio.wait_for(end(tls), SECONDS)

    asyncio.run(ends())


def test_a_peer_that_goes_away(
    authority: Authority, pair: tuple[socket.socket, socket.socket]
) -> None:
    """In the middle of what it should read, without a word: an error for who sends, and an end."""

    async def goes() -> None:
        async with talking(authority, *pair) as (peer, tls):
            tls.write(CONTENT)
            peer.close()
            with pytest.raises(OSError, match=r"EOF|reset|lost"):
                await asyncio.gather(tls.drain(), copy(tls, tls))
            await end(tls)

    asyncio.run(goes())


def test_no_file_descriptor_is_left(
    pair: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener is asked again after a pause, not at once; a close ends the pause."""
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.05)
    served = asyncio.Event()
    asked: list[bool] = []

    class Full(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            asked.append(len(asked) < 3)
            if asked[-1]:
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    async def serve(connection: socket.socket) -> None:
        connection.close()
        served.set()

    async def all_ends() -> None:
        loop = asyncio.get_running_loop()
        connections = Connections()
        with Full() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)  # noqa: FBT003  its only parameter
            before = loop.time()
            connections.listen(listener, serve)
            with socket.create_connection(listener.getsockname(), timeout=SECONDS):
                await asyncio.wait_for(served.wait(), SECONDS)
            assert loop.time() - before >= 3 * 0.05
            assert asked == [True, True, True, False]
            await connections.close()

    asyncio.run(all_ends())


def test_a_close_in_that_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """The listener, closed by its owner, is not asked again."""
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)
    asked = asyncio.Event()
    wrong: list[object] = []

    class Full(socket.socket):
        def accept(self) -> tuple[socket.socket, object]:
            asked.set()
            raise OSError(errno.EMFILE, "Too many open files")

    async def all_ends() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        connections = Connections()
        with Full() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            listener.setblocking(False)  # noqa: FBT003  its only parameter
            connections.listen(listener, reading(None))
            with socket.create_connection(listener.getsockname(), timeout=SECONDS):
                await asyncio.wait_for(asked.wait(), SECONDS)
                await connections.close()
        # What was due before is called before.
        due = loop.create_future()
        loop.call_later(0.02, due.set_result, None)
        await due

    asyncio.run(all_ends())
    assert wrong == []


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
            assert 0 < before == len(served) < len(clients)

    asyncio.run(all_ends())
    try:
        assert all(map(is_over, clients))
    finally:
        for client in clients:
            client.close()
    gc.collect()

"""Listening sockets and the connections through them, none of which outlives `close`.

Imports asyncio. It accepts by itself: `loop.sock_accept` and `asyncio.start_server` lose a
connection that they have just accepted when they are stopped.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine

Serve = Callable[[socket.socket], Coroutine[None, None, None]]
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
READ = 65536
_END_SECONDS = 1


class Connections:
    """A task for each connection."""

    def __init__(self) -> None:
        self._listeners: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self, listener: socket.socket, serve: Serve) -> None:
        """Serve a bound, listening, non-blocking socket; `serve` gets each connection."""
        asyncio.get_running_loop().add_reader(listener, self._accept, listener, serve)
        self._listeners.append(listener)

    def carry(self, client: socket.socket, serve: Serve) -> None:
        """Serve a connection that was accepted; it is closed in any case."""
        task = asyncio.get_running_loop().create_task(_served(client, serve))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step runs none of its own clean-up.
        task.add_done_callback(lambda _: client.close())

    async def close(self) -> None:
        """Cut every connection and stop. The listening sockets are the caller's to close."""
        for listener in self._listeners:
            asyncio.get_running_loop().remove_reader(listener)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket, serve: Serve) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client went away again
        client.setblocking(False)  # noqa: FBT003  its only parameter
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.carry(client, serve)


async def _served(client: socket.socket, serve: Serve) -> None:
    # The client went away or did not like the certificate: its own business.
    with contextlib.suppress(OSError, EOFError):
        await serve(client)


async def streams(client: socket.socket, context: ssl.SSLContext | None) -> Streams:
    """Both directions of an accepted connection; `context`: after a TLS handshake.

    Raises OSError (ssl.SSLError among them): it did not come about, and is closed.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    setting_up = loop.create_task(
        loop.connect_accepted_socket(lambda: protocol, client, ssl=context)
    )
    try:
        transport, _ = await asyncio.shield(setting_up)
    except asyncio.CancelledError:
        # asyncio, cancelled as a handshake is done, would wait for the peer's close_notify.
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)  # ends a handshake, whatever the peer does
        with contextlib.suppress(OSError):
            transport, _ = await setting_up
            transport.abort()
        raise
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    # drain() is to wait until all is with the kernel, so that a cut comes exactly where asked.
    # (Not 0: the TLS transport pauses at `size >= high`, so an empty buffer would pause it.)
    transport.set_write_buffer_limits(high=1, low=0)
    return reader, writer


async def end(writer: asyncio.StreamWriter) -> None:
    """close_notify and FIN, without waiting long for a peer that does not answer them."""
    writer.close()
    try:
        async with asyncio.timeout(_END_SECONDS):
            await writer.wait_closed()
    except (OSError, TimeoutError):
        pass
    finally:
        writer.transport.abort()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry bytes one way until the reader's end."""
    while data := await reader.read(READ):
        writer.write(data)
        await writer.drain()


async def first_done(*ways: Coroutine[None, None, None]) -> None:
    """Run both directions until one ends; what either raises is the end of a connection."""
    tasks = [asyncio.create_task(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

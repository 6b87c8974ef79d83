"""Both directions of a connection, plain or TLS, and what becomes of them.

Imports asyncio and ssl. drain() waits until all is with the kernel, so that a cut comes exactly
where asked and an end loses nothing. asyncio's own TLS keeps up to 64 KiB out of its drain()'s
sight; so TLS is done here, over plain streams.
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from functools import partial
from typing import TypeVar

READ = 65536
_T = TypeVar("_T")


class Tls:
    """A server's side of TLS over plain streams: reader and writer in one."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, context: ssl.SSLContext
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)

    @property
    def transport(self) -> asyncio.WriteTransport:
        """The plain one."""
        return self._writer.transport

    async def handshake(self) -> None:
        """Before all else. Raises OSError (ssl.SSLError among them)."""
        await self._done(self._tls.do_handshake)

    async def read(self, size: int) -> bytes:
        """At most so many bytes; none: the peer sent close_notify. Raises OSError."""
        return await self._done(partial(self._tls.read, size))

    def write(self, data: bytes) -> None:
        """Send, as soon as the kernel takes it."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._tls.write(rest) :]
        self._pass_on()

    async def drain(self) -> None:
        """Wait until all is with the kernel."""
        await self._writer.drain()

    def close(self) -> None:
        """Send close_notify and FIN behind what was written."""
        with contextlib.suppress(ssl.SSLError):  # the peer's own close_notify is not there yet
            self._tls.unwrap()
        self._pass_on()
        self._writer.close()

    async def wait_closed(self) -> None:
        """Wait for `close`."""
        await self._writer.wait_closed()

    async def _done(self, step: Callable[[], _T]) -> _T:
        """The step's result, with as much from the peer as it needs."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                self._pass_on()  # whatever came of it: it may be an alert
            if data := await self._reader.read(READ):
                self._received.write(data)
            else:
                self._received.write_eof()

    def _pass_on(self) -> None:
        self._writer.write(self._to_send.read())


Reader = asyncio.StreamReader | Tls
Writer = asyncio.StreamWriter | Tls


async def streams(client: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Both directions of an accepted connection."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, client)
    transport.set_write_buffer_limits(0)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def end(writer: Writer) -> None:
    """Close behind the last byte; at once in a task that is cancelled, now or before."""
    task = asyncio.current_task()
    if task and task.cancelling():
        writer.transport.abort()
    writer.close()
    try:
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    finally:
        # Only then: asyncio cannot abort what has closed behind its last byte.
        if writer.transport.get_write_buffer_size():
            writer.transport.abort()


async def copy(reader: Reader, writer: Writer) -> None:
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

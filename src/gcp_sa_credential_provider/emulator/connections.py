"""Listening sockets and the connections through them, none of which outlives `close`.

Imports asyncio. It accepts by itself: `loop.sock_accept` and `asyncio.start_server` lose a
connection that they have just accepted when they are stopped.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine

Serve = Callable[[socket.socket], Coroutine[None, None, None]]
_PAUSE_SECONDS = 1
"""Before the next try, where a connection cannot be accepted: no file descriptor is left."""


class Connections:
    """A task for each connection."""

    def __init__(self) -> None:
        self._listeners: list[socket.socket] = []
        self._pauses: dict[socket.socket, asyncio.TimerHandle] = {}
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
        for pause in self._pauses.values():
            pause.cancel()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, listener: socket.socket, serve: Serve) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # the client went away again
        except OSError:
            self._pause(listener, serve)
            return
        client.setblocking(False)  # noqa: FBT003  its only parameter
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.carry(client, serve)

    def _pause(self, listener: socket.socket, serve: Serve) -> None:
        """Let the client wait in the kernel's queue; asking again at once would only spin."""
        loop = asyncio.get_running_loop()
        loop.remove_reader(listener)
        self._pauses[listener] = loop.call_later(
            _PAUSE_SECONDS, loop.add_reader, listener, self._accept, listener, serve
        )


async def _served(client: socket.socket, serve: Serve) -> None:
    # The client went away or did not like the certificate: its own business.
    with contextlib.suppress(OSError, EOFError):
        await serve(client)

"""TCP from one network namespace into another, as a cable between machines would carry it.

A socket belongs to the network in which it was made (network_namespaces(7)), wherever its process
goes; so the listening one is made in the one network, the outgoing ones in the other.
Imports the standard library only.
"""

import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

_NETWORKS = Path("/run/netns")
_CLONE_NEWNET = 0x40000000  # linux/sched.h
_BACKLOG = 128
_CHUNK = 1 << 16

_T = TypeVar("_T")


def relay(listen: dict[str, Any], target: dict[str, Any]) -> None:
    """Lead connections to `listen` to `target` (host, port, network) until the process ends."""
    server = within(listen["network"], lambda: _listening(listen["host"], listen["port"]))

    def serve() -> None:
        while True:
            client, _ = server.accept()
            threading.Thread(target=_serve, args=(client, target), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()


def _listening(host: str, port: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen(_BACKLOG)
    return server


def within(network: str, act: Callable[[], _T]) -> _T:
    """What `act` returns in that network; only the calling thread goes there, and comes back."""
    if not network:
        return act()
    libc = ctypes.CDLL(None, use_errno=True)
    with (
        open("/proc/thread-self/ns/net") as home,
        open(_NETWORKS / network) as there,
    ):
        if libc.setns(there.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns {network}")
        try:
            return act()
        finally:
            if libc.setns(home.fileno(), _CLONE_NEWNET):
                os.abort()  # the thread would do the rest of its work in the wrong network


def _serve(client: socket.socket, target: dict[str, Any]) -> None:
    with client:
        try:
            address = (target["host"], target["port"])
            server = within(target["network"], lambda: socket.create_connection(address))
        except OSError:
            return  # the client sees its connection end, as behind any relay
        with server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    """Copy until the source ends or either side breaks."""
    with contextlib.suppress(OSError):
        while data := source.recv(_CHUNK):
            sink.sendall(data)
    for side, how in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
        with contextlib.suppress(OSError):
            side.shutdown(how)

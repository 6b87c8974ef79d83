"""A name server of our own, and a mount namespace in which the node's resolver asks it.

Imports the standard library. Rules: RFC 1035, section 4 (messages). Needs root: port 53, mounts.
"""

import os
import socket
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

SILENT, NXDOMAIN, SERVFAIL = "silent", 3, 2
Answers = Mapping[str, Sequence[str] | int | str]
"""By name: IPv4 addresses, a response code, or SILENT."""


class NameServer:
    """A context manager: answers on port 53 of an address of its own, while the block runs."""

    def __init__(self, answers: Answers, folder: Path, *, seconds: int = 30) -> None:
        """`folder` gets the resolv.conf; a resolver waits for an answer for so many seconds."""
        self._answers = answers
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        process = os.getpid()
        self._address = f"127.53.{process >> 8 & 255}.{process & 255 or 1}"
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._file = folder / "resolv.conf"
        self._options = f"options timeout:{seconds} attempts:1"
        self.asked: list[str] = []
        """Names in the order of the questions."""

    def __enter__(self) -> Self:
        """Bind and serve. Raises OSError."""
        self._socket.bind((self._address, 53))
        self._file.write_text(f"nameserver {self._address}\n{self._options}\n")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", (self._address, 53))
        self._thread.join()
        self._socket.close()

    @property
    def wrapper(self) -> list[str]:
        """The command under which a program asks this server."""
        mount = f'mount --bind {self._file} /etc/resolv.conf && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", mount, "sh"]

    def _serve(self) -> None:
        while True:
            question, client = self._socket.recvfrom(512)
            if not question:
                return
            if answer := self._answer(question):
                self._socket.sendto(answer, client)

    def _answer(self, question: bytes) -> bytes:
        labels, at = [], 12
        while length := question[at]:
            labels.append(question[at + 1 : at + 1 + length].decode("ascii"))
            at += 1 + length
        name = ".".join(labels)
        self.asked.append(name)
        wants_ipv4 = question[at + 1 : at + 3] == b"\0\1"
        found = self._answers.get(name, NXDOMAIN)
        if found == SILENT:
            return b""
        code = found if isinstance(found, int) else 0
        addresses = found if isinstance(found, Sequence) and wants_ipv4 else ()
        records = b"".join(
            b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + socket.inet_aton(address) for address in addresses
        )
        head = question[:2] + bytes([0x81, 0x80 | code]) + b"\0\1"
        head += len(addresses).to_bytes(2, "big") + b"\0\0\0\0"
        return head + question[12 : at + 5] + records

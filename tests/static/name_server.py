"""A name server with more to say than the process tests' one: IPv6, truncation, TCP, search lists.

Rules: RFC 1035, sections 4.1 (messages) and 4.2.2 (TCP), RFC 3596 (AAAA), resolv.conf(5).
"""

import socket
import threading
from pathlib import Path
from typing import Self

from process.resolver import Answers, NameServer

TRUNCATED = 0x02  # in the third byte of a message


class FullNameServer(NameServer):
    """Answers A and AAAA; `truncated` answers are given over TCP alone."""

    def __init__(
        self,
        answers: Answers,
        folder: Path,
        *,
        configuration: str = "",
        first: str = "",
        truncated: bool = False,
    ) -> None:
        """`configuration` follows the name servers in resolv.conf; `first` is asked before us."""
        folder.mkdir(exist_ok=True)
        listed = {name: found for name, found in answers.items() if isinstance(found, list)}
        self._ipv6 = {name: [a for a in found if ":" in a] for name, found in listed.items()}
        ipv4 = {name: [a for a in found if ":" not in a] for name, found in listed.items()}
        super().__init__({**answers, **ipv4}, folder)
        self._configuration = configuration
        self._first = first
        self._truncated = truncated
        self._listener: socket.socket | None = None
        self.over_tcp = 0
        """Questions that came over TCP."""

    @property
    def address(self) -> str:
        """Where it listens."""
        return self._address

    def __enter__(self) -> Self:
        """Serve."""
        super().__enter__()
        servers = [server for server in (self._first, self._address) if server]
        text = "".join(f"nameserver {server}\n" for server in servers)
        self._file.write_text(text + self._configuration)
        if self._truncated:
            self._listener = socket.create_server((self._address, 53))
            threading.Thread(target=self._serve_tcp, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        super().__exit__()

    def _serve_tcp(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                question = stream.read(int.from_bytes(stream.read(2), "big"))
                self.over_tcp += 1
                answer = self._whole_answer(question)
                connection.sendall(len(answer).to_bytes(2, "big") + answer)

    def _answer(self, question: bytes) -> bytes:
        answer = self._whole_answer(question)
        if self._truncated and answer:
            head = question[:2] + bytes([answer[2] | TRUNCATED, answer[3]])
            return head + b"\0\1" + bytes(6) + question[12:]
        return answer

    def _whole_answer(self, question: bytes) -> bytes:
        plain = super()._answer(question)
        end = question.index(b"\0", 12) + 5
        addresses = self._ipv6.get(self.asked[-1])
        if not plain or question[end - 4 : end - 2] != b"\0\x1c" or not addresses:
            return plain
        records = b"".join(
            b"\xc0\x0c\0\x1c\0\1\0\0\0\0\0\x10" + socket.inet_pton(socket.AF_INET6, address)
            for address in addresses
        )
        return plain[:6] + len(addresses).to_bytes(2, "big") + bytes(4) + question[12:end] + records

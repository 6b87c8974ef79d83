"""The request log: what came in and what was decided, never a secret.

Imports the standard library. Thread-safe.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

Entry = dict[str, Any]

CAPACITY = 10_000
"""Entries kept; older ones are dropped."""


class RequestLog:
    """Requests in the order in which they were answered."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._entries: deque[Entry] = deque(maxlen=CAPACITY)

    def add(self, entry: Entry) -> None:
        """Append a finished request."""
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def entries(self, service: str | None = None) -> list[Entry]:
        """All entries, or those of one service (sts, iam, iam_credentials, registry)."""
        with self._changed:
            return [dict(entry) for entry in self._entries if service in (None, entry["service"])]

    def exchanges(self) -> list[Entry]:
        """The requests to STS."""
        return self.entries("sts")

    def wait_for(self, enough: Callable[[list[Entry]], bool], timeout: float = 10) -> list[Entry]:
        """Wait until the entries satisfy `enough`; raises TimeoutError after `timeout` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: enough(list(self._entries)), timeout):
                raise TimeoutError(f"the request log did not get there within {timeout} s")
            return [dict(entry) for entry in self._entries]

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._entries.clear()

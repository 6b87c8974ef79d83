"""Quotas: a token bucket for each kind of request and project.

Imports nothing of this package. A bucket holds one minute's worth and fills evenly (Google,
"Quotas and limits" of IAM: rates are per minute).
"""

import threading
from collections.abc import Mapping


class Quotas:
    """The buckets. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}

    def take(self, kind: str, project: str, per_minute: Mapping[str, int], now: float) -> bool:
        """Take one; whether there was one. A rate of 0 never runs out.

        `now`: seconds since the epoch.
        """
        rate = per_minute[kind]
        if rate == 0:
            return True
        with self._lock:
            level, seen = self._buckets.get((kind, project), (float(rate), now))
            level = min(float(rate), level + max(0.0, now - seen) * rate / 60)
            enough = level >= 1
            self._buckets[kind, project] = (level - 1 if enough else level, now)
        return enough

    def clear(self) -> None:
        """All buckets full again."""
        with self._lock:
            self._buckets.clear()

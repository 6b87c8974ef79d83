"""The one clock of the emulator: every lifetime, skew check and Date header reads it.

Imports nothing of this package.
"""

import time


class Clock:
    """Real time plus an offset, or frozen at an instant. Seconds since the epoch (float)."""

    def __init__(self) -> None:
        self._offset = 0.0
        self._frozen: float | None = None

    def now(self) -> float:
        """The emulator's time in seconds since the epoch."""
        return time.time() + self._offset if self._frozen is None else self._frozen

    def shift(self, seconds: float) -> None:
        """Move the clock forward (or back, when negative) from where it is."""
        if self._frozen is None:
            self._offset += seconds
        else:
            self._frozen += seconds

    def freeze(self, at: float | None = None) -> None:
        """Stop the clock `at` an instant (default: now)."""
        self._frozen = self.now() if at is None else at

    def reset(self) -> None:
        """Back to real time."""
        self._offset = 0.0
        self._frozen = None

    def describe(self) -> dict[str, float | bool]:
        """What the control API shows: now, offset from real time, frozen or not."""
        now = self.now()
        return {"now": now, "offset": now - time.time(), "frozen": self._frozen is not None}

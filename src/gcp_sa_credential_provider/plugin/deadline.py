"""The budget: how long everything may take, who ends it when something blocks, and the back-off.

The kubelet kills a provider after 60 seconds and logs nothing of it, so this process ends first,
with a line that says where it was.
"""

import _thread
import posix
import time

from gcp_sa_credential_provider.plugin.failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_FIRST_PAUSE = 0.2  # seconds
_LONGEST_PAUSE = 4.0  # seconds


class Deadline:
    """A point in time, in seconds of the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def within(self, seconds: float) -> "Deadline":
        """A deadline in `seconds`, but never later than this one."""
        return Deadline(min(seconds, self.left()))

    def left(self) -> float:
        """Seconds left, 0.0 when it has passed."""
        return max(0.0, self._end - time.monotonic())


class Progress:
    """Where the exchange stands: read by the watchdog when it must speak, and by the log record.

    `milliseconds` sums up by phase; `tries` counts all requests sent or attempted, `attempt` those
    of the request that is under way. `refusal` is what Google answered to an earlier try of it.
    """

    def __init__(self, deadline: Deadline) -> None:
        self.deadline = deadline
        self.milliseconds: dict[str, float] = {}
        self.tries = 0
        self.attempt = 0
        self.refusal: Failure | None = None
        self._now = Failure("TIMEOUT", doing="starting")
        self._phase = "start"
        self._since = time.monotonic()

    def enter(self, phase: str, code: str, **evidence: object) -> None:
        """Begin `phase`; `code` with `evidence` is what to say if time runs out in it."""
        self.leave()
        self._phase = phase
        self._now = Failure(code, **evidence)

    def leave(self) -> None:
        """Account the time of the phase that ends here."""
        now = time.monotonic()
        spent = (now - self._since) * 1000
        self.milliseconds[self._phase] = self.milliseconds.get(self._phase, 0.0) + spent
        self._since = now

    def overdue(self) -> Failure:
        """What to say when time runs out now: Google's own words before where it stands."""
        return self.refusal or self._now


class Watchdog:
    """A thread that ends the process when the deadline passes, whatever the main thread is in.

    It calls `finish` for the exit code and then `leave` with it. Only one of the two threads may
    finish: whoever gets `claim()` first. Raises Failure STARTUP-THREAD where no thread can start.
    """

    def __init__(
        self, deadline: Deadline, finish: "Callable[[], int]", leave: "Callable[[int], object]"
    ) -> None:
        self._code = 0
        self._done = _thread.allocate_lock()
        self._claimed = _thread.allocate_lock()
        self._spoken = _thread.allocate_lock()
        self._done.acquire()
        self._spoken.acquire()
        try:
            _thread.start_new_thread(self._watch, (deadline, finish, leave))
        except RuntimeError:
            raise Failure("STARTUP-THREAD") from None

    def claim(self) -> bool:
        """Take the right to write the outcome; False where it is taken already."""
        return self._claimed.acquire(blocking=False)

    def dismiss(self) -> None:
        """Stop watching."""
        self._done.release()

    def wait(self) -> int:
        """Stand still while the watchdog finishes; where `leave` leaves, this never returns."""
        self._spoken.acquire()
        return self._code

    def _watch(
        self, deadline: Deadline, finish: "Callable[[], int]", leave: "Callable[[int], object]"
    ) -> None:
        if not self._done.acquire(timeout=deadline.left()) and self.claim():
            self._code = finish()
            leave(self._code)
            self._spoken.release()


def pause(attempt: int) -> float:
    """Seconds to wait before try number `attempt` + 1: exponential with full jitter."""
    unit = int.from_bytes(posix.urandom(4), "big") / 2**32
    return unit * min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0**attempt)

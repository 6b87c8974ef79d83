"""A process in a pod: it ends when told to, outlasts the API server's absence, and says why.

Imports `api` and the standard library.
"""

import random
import signal
import sys
from collections.abc import Callable, Iterable

from gcp_sa_credential_provider.node.api import Denied, Unanswered

DONE, FAILED, REFUSED = range(3)
"""Exit codes, also of the command that changes the node."""
ENDING = frozenset({signal.SIGTERM, signal.SIGINT})

_FIRST_SECONDS, _LAST_SECONDS = 2.0, 30.0  # between two questions to the API server

Wait = Callable[[Iterable[int], float | None], int | None]
"""`wait(signals, seconds)`: the signal that came, None if none did in time; without seconds for
ever. The signals are blocked."""


class Ended(Exception):  # noqa: N818 -- it is no error
    """SIGTERM came while nothing was under way."""


def blocked() -> Wait:
    """Block the signals that end us or tell of our child; returns how to wait for them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*ENDING, signal.SIGCHLD})

    def wait(signals: Iterable[int], seconds: float | None) -> int | None:
        if seconds is None:
            return signal.sigwait(signals)
        came = signal.sigtimedwait(signals, max(seconds, 0))
        return came.si_signo if came else None

    return wait


def persist(attempt: Callable[[], str | None], wait: Wait) -> None:
    """Try until it says None. What it says instead, or the API server's no, is said once each.

    Raises Ended.
    """
    seconds, said = _FIRST_SECONDS, None
    while True:
        try:
            why = attempt()
        except (Unanswered, Denied) as error:
            why = str(error)
        if why is None:
            return
        if why != said:
            say(f"waiting: {why}")
            said = why
        # Spread, or all nodes of a new installation would ask at once for ever.
        if wait(ENDING, seconds * random.uniform(0.75, 1.25)):  # noqa: S311 -- no secret
            raise Ended
        seconds = min(seconds * 1.5, _LAST_SECONDS)


def say(text: str) -> None:
    """A line for the pod's log."""
    sys.stderr.write(f"gcp-sa-credential-provider node agent: {text}\n")
    sys.stderr.flush()

"""deadline: who ends a run, and when to try again."""

import _thread
import time

import pytest

from gcp_sa_credential_provider.plugin.deadline import Deadline, Progress, Watchdog, pause
from gcp_sa_credential_provider.plugin.failure import Failure


def test_a_deadline_passes_and_never_goes_below_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds of the monotonic clock."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    whole = Deadline(10)
    assert whole.left() == 10.0
    now[0] = 104.0
    assert whole.within(3).left() == 3.0
    assert whole.within(30).left() == 6.0
    now[0] = 200.0
    assert whole.left() == 0.0


def test_phases_are_summed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A phase that comes twice counts twice."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    progress = Progress(Deadline(10))
    assert progress.overdue().code == "TIMEOUT"
    for phase, at in (("a", 1.0), ("b", 2.0), ("a", 4.0)):
        now[0] = at
        progress.enter(phase, "DNS-TIMEOUT", host=phase)
    now[0] = 8.0
    progress.leave()
    assert progress.milliseconds == {"start": 1000.0, "a": 5000.0, "b": 2000.0}
    assert progress.overdue().evidence == {"host": "a"}


def test_what_google_said_goes_before_where_it_stands() -> None:
    """A later try that is stuck says less than the refusal before it."""
    progress = Progress(Deadline(10))
    progress.refusal = Failure("STS-QUOTA")
    progress.enter("request", "ANSWER-TIMEOUT")
    assert progress.overdue().code == "STS-QUOTA"
    progress.refusal = None
    assert progress.overdue().code == "ANSWER-TIMEOUT"


def test_the_watchdog_finishes_and_leaves() -> None:
    """With the code of the outcome; the main thread can then claim nothing."""
    left: list[int] = []
    watchdog = Watchdog(Deadline(0), lambda: 7, left.append)
    assert watchdog.wait() == 7
    assert left == [7]
    assert not watchdog.claim()


def test_a_watchdog_that_is_dismissed_does_nothing() -> None:
    """Its thread ends at once, long before the deadline."""
    left: list[int] = []
    before = _thread._count()
    watchdog = Watchdog(Deadline(3600), lambda: 7, left.append)
    assert watchdog.claim()
    watchdog.dismiss()
    while _thread._count() > before:
        pass
    assert left == []


def test_a_watchdog_that_comes_second_is_silent() -> None:
    """The main thread has the word already."""
    left: list[int] = []
    before = _thread._count()
    watchdog = Watchdog(Deadline(0.2), lambda: 7, left.append)
    assert watchdog.claim()
    while _thread._count() > before:
        pass
    assert left == []


def test_pauses_grow_with_full_jitter() -> None:
    """Between nothing and a bound that doubles, up to four seconds."""
    for attempt, bound in enumerate((0.2, 0.4, 0.8, 1.6, 3.2, 4.0, 4.0)):
        pauses = [pause(attempt) for _ in range(200)]
        assert 0.0 <= min(pauses) < bound / 2 < max(pauses) <= bound


def test_the_watchdogs_own_steps() -> None:
    """The same as its thread does, here where coverage sees it."""
    left: list[int] = []
    watchdog = Watchdog(Deadline(3600), lambda: 1, left.append)
    watchdog._watch(Deadline(0), lambda: 7, left.append)
    assert watchdog.wait() == 7
    assert left == [7]
    watchdog._watch(Deadline(0), lambda: 8, left.append)
    assert left == [7]
    watchdog.dismiss()


def test_no_thread_to_spare(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the interpreter raises where the kernel refuses."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    with pytest.raises(Failure) as caught:
        Watchdog(Deadline(1), lambda: 1, lambda _: None)
    assert caught.value.code == "STARTUP-THREAD"

"""All nodes of a release: `node rollout` waits for them, `node uninstall-all` switches them before.

Imports `api`, `lease`, `pod`, `rollout`. The first is what `helm test` runs, the second the Job
before the release is deleted. The DaemonSets themselves take the program off their nodes, under the
same slots and in the same order as they put it there.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from gcp_sa_credential_provider.node import rollout
from gcp_sa_credential_provider.node.api import Api, Denied, in_cluster
from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.node.lease import Slots
from gcp_sa_credential_provider.node.pod import (
    DONE,
    FAILED,
    REFUSED,
    Ended,
    Wait,
    blocked,
    persist,
    say,
)

_GONE = 404


def run_rollout(args: argparse.Namespace) -> int:
    """`node rollout`. Exit status: 0 all nodes are done; 1 not all in time; 2 refused."""
    return _run(args, Everywhere.wait_for_all)


def run_uninstall_all(args: argparse.Namespace) -> int:
    """`node uninstall-all`. Exit status as of `node rollout`."""
    return _run(args, Everywhere.uninstall)


def _run(args: argparse.Namespace, act: Callable[["Everywhere"], int]) -> int:
    try:
        every = Everywhere(
            api=in_cluster(os.environ),
            namespace=args.namespace,
            names=args.daemon_set,
            slots=args.slot,
            seconds=args.timeout,
            clock=time.monotonic,
            wait=blocked(),
        )
        return act(every)
    except Refused as refused:
        say(str(refused))
        return REFUSED
    except Ended:
        say("ended before all nodes were done. Fix: run it again")
        return FAILED


@dataclass(kw_only=True)
class Everywhere:
    """One run, of `seconds` from now."""

    api: Api
    namespace: str
    names: Sequence[str]
    """Of the DaemonSets, in the order in which they are switched."""
    slots: Sequence[str] = ()
    """Of the Leases of all nodes."""
    seconds: float
    clock: Callable[[], float]
    """Seconds, monotonic."""
    wait: Wait
    _gone: set[str] = field(default_factory=set)
    _left: str = "nothing was looked at yet"

    def __post_init__(self) -> None:
        self._give_up = self.clock() + self.seconds
        self._slots = Slots(
            api=self.api, namespace=self.namespace, names=self.slots, holder="", clock=self.clock
        )

    def uninstall(self) -> int:
        """Switch the DaemonSets that are there, and wait for their nodes. Raises Ended."""
        try:
            for name in self.names:
                persist(partial(self._switch, name), self._wait)
        except TimeoutError:
            return self._too_late()
        return self.wait_for_all()

    def wait_for_all(self) -> int:
        """Wait until all nodes are done. Returns the exit code; raises Ended."""
        try:
            persist(self._pending, self._wait)
        except TimeoutError:
            return self._too_late()
        say("all nodes are done")
        return DONE

    def _too_late(self) -> int:
        say(
            f"not all nodes are done after {self.seconds:.0f} s: {self._left}. Fix: see which pods"
            f" are not ready (kubectl get pods --namespace={self.namespace} --output=wide) and why"
            " (kubectl logs), then try again; a node that is gone for good: kubectl delete node"
        )
        return FAILED

    def _wait(self, signals: Iterable[int], seconds: float | None) -> int | None:
        remaining = self._give_up - self.clock()
        if remaining <= 0:
            raise TimeoutError
        return self.wait(signals, remaining if seconds is None else min(seconds, remaining))

    def _switch(self, name: str) -> None:
        try:
            rollout.switch(self.api, self.namespace, name, "uninstall")
        except Denied as denied:
            if denied.status != _GONE:
                raise
            self._gone.add(name)  # by an earlier try to uninstall

    def _pending(self) -> str | None:
        names = [name for name in self.names if name not in self._gone]
        self._left = "; ".join(rollout.pending_of(names, self._slots))
        return self._left or None

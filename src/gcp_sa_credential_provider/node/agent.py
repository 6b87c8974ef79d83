"""`node agent`: the DaemonSet's pod on a node. Also adds the other commands of the cluster's pods.

cli/node.py calls `add(commands)` with the subparsers of `node`; each parser it makes has a default
`act`, a function from the parsed arguments to the exit code. Imports `api`, `everywhere`, `lease`,
`pod`, `rollout` and nothing that changes a node: for that the agent runs its own program
anew as `node install` or `node uninstall`, whose dead man's switch and health checks hold
whatever becomes of the pod.

What the agent does, and what it never does:

* it takes a slot (`lease`), changes its node, gives the slot back, and only then is ready;
* on a control-plane node it first waits until the DaemonSets of the workers are rolled out: their
  status is what the DaemonSet controller counts anyway, a node whose pod is still to come included,
  and reading it takes no right over nodes or pods;
* without an answer of the API server it goes on with what it has begun: on a control-plane node
  the API server restarts with the kubelet;
* a change that failed, and so was rolled back, is not tried again, and its slot is kept: what fails
  everywhere fails on as many nodes as there are slots, and the rollout stands still;
* SIGTERM ends it after the change that is under way. SIGTERM never uninstalls: pods are replaced at
  upgrades, evicted, lost with their nodes.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gcp_sa_credential_provider.node import everywhere, rollout
from gcp_sa_credential_provider.node.api import MERGE, Denied, Object, Unanswered, in_cluster
from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.node.lease import (
    CONTROL_PLANE_SECONDS,
    LEASE_SECONDS,
    RENEW_SECONDS,
    Slots,
)
from gcp_sa_credential_provider.node.pod import (
    DONE,
    ENDING,
    FAILED,
    REFUSED,
    Ended,
    Wait,
    blocked,
    persist,
    say,
)

MODES = ("install", "uninstall")

_CONFLICT = 409
_FORBIDDEN = 403
_SELF = "/proc/self/exe"


def add(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `agent`, `rollout` and `uninstall-all` to the commands of `node`."""
    agent = commands.add_parser(
        "agent", help="in a pod of the Helm chart: change this node when it is its turn"
    )
    agent.add_argument("--ready-file", type=Path, required=True, help="made when all is done")
    agent.add_argument("--check", action="store_true", help="only say whether that file is there")
    agent.add_argument("--mode", choices=MODES, default="install")
    agent.add_argument("--node", default="", help="this node's name")
    agent.add_argument("--namespace", default="", help="of Leases and DaemonSets")
    agent.add_argument("--slot", action="append", default=[], help="name of a Lease (repeatable)")
    agent.add_argument(
        "--after", action="append", default=[], help="DaemonSet to wait for (repeatable)"
    )
    agent.add_argument(
        "--after-slot", action="append", default=[], help="Lease of such a one (repeatable)"
    )
    agent.add_argument("--remove-taint", default="", metavar="KEY", help="of the node, when done")
    agent.add_argument("--host-root", default="/proc/1/root", help="the host's root directory")
    agent.add_argument("--config", default="", help="the CredentialProviderConfig with our entries")
    agent.add_argument("--profile", default="", help="the node's kind (default: detected)")
    agent.set_defaults(act=run_agent)
    for name, summary, act in (
        ("rollout", "wait until all nodes are done", everywhere.run_rollout),
        ("uninstall-all", "take it off all nodes, and wait for that", everywhere.run_uninstall_all),
    ):
        every = commands.add_parser(name, help=f"in a pod of the Helm chart: {summary}")
        every.add_argument("--namespace", required=True, help="of the DaemonSets")
        every.add_argument("--daemon-set", action="append", required=True, help="(repeatable)")
        every.add_argument("--slot", action="append", default=[], help="Lease (repeatable)")
        every.add_argument("--timeout", type=int, default=3600, metavar="SECONDS")
        every.set_defaults(act=act)


def run_agent(args: argparse.Namespace) -> int:
    """`node agent`. Exit status: 0 ended by SIGTERM; 1 the change failed; 2 it was refused."""
    if args.check:
        return DONE if args.ready_file.exists() else FAILED
    if not (args.node and args.namespace and args.slot):
        say("--node, --namespace, --slot: all are needed. Fix: use the Helm chart")
        return REFUSED
    with contextlib.suppress(FileNotFoundError):
        args.ready_file.unlink()  # of a container before this one
    wait = blocked()
    try:
        api = in_cluster(os.environ)
    except Refused as refused:
        say(str(refused))
        return REFUSED
    slots = Slots(
        api=api,
        namespace=args.namespace,
        names=args.slot,
        holder=args.node,
        clock=time.monotonic,
        seconds=CONTROL_PLANE_SECONDS if args.after else LEASE_SECONDS,
    )
    agent = Agent(
        slots=slots,
        mode=args.mode,
        after=args.after,
        after_slots=args.after_slot,
        remove_taint=args.remove_taint,
        ready_file=args.ready_file,
        command=change_command(args),
        wait=wait,
    )
    try:
        return agent.run()
    except Ended:
        say("ended; the node stays as it is")
        return DONE


def change_command(args: argparse.Namespace) -> tuple[str, ...]:
    """The command that changes the node: this very program."""
    # The static file has no interpreter to name.
    start = [sys.executable, "-m", __name__.partition(".")[0]] if sys.executable else [_SELF]
    command = [*start, "node", args.mode, f"--host-root={args.host_root}"]
    if args.mode == "install":
        command.append(f"--config={args.config}")
        if args.profile:
            command.append(f"--profile={args.profile}")
    return tuple(command)


@dataclass(kw_only=True)
class Agent:
    """One node's."""

    slots: Slots
    mode: str
    after: Sequence[str]
    """DaemonSets whose nodes come before, …"""
    after_slots: Sequence[str]
    """… and their Leases."""
    remove_taint: str
    """Key; "" for none."""
    ready_file: Path
    command: tuple[str, ...]
    wait: Wait

    def run(self) -> int:
        """All of it, until SIGTERM. Returns the exit code; raises Ended."""
        persist(self._others_are_done, self.wait)
        persist(self._take, self.wait)
        say(f"{self._node} has a slot: {self.mode}")
        code, ending = self._change()
        if code not in (DONE, REFUSED):
            return self._stand_still(ending=ending)
        self._give_back(ending=ending)
        if code == REFUSED or ending:
            return code
        if self.mode == "install" and self.remove_taint:
            persist(self._untaint, self.wait)
        self.ready_file.touch()
        say(f"{self._node} is done: {self.mode}")
        self.wait(ENDING, None)
        return DONE

    def __post_init__(self) -> None:
        ours = self.slots
        self._before_us = Slots(
            api=ours.api,
            namespace=ours.namespace,
            names=self.after_slots,
            holder="",
            clock=ours.clock,
        )

    @property
    def _node(self) -> str:
        return self.slots.holder

    def _others_are_done(self) -> str | None:
        left = rollout.pending_of(self.after, self._before_us)
        return f"the workers come first ({'; '.join(left)})" if left else None

    def _take(self) -> str | None:
        if self.slots.take():
            return None
        return f"all slots are taken, by {', '.join(self.slots.others) or 'somebody'}"

    def _stand_still(self, *, ending: bool) -> int:
        """Keep the slot of a change that failed, until SIGTERM, and then until it expires."""
        say(
            f"{self.mode} failed on {self._node}, see above; the slot is kept, so that not all"
            " nodes fail alike. Fix: correct the cause, then replace this pod"
        )
        while not (ending or self.wait(ENDING, RENEW_SECONDS)):
            self._renew()
        return FAILED

    def _give_back(self, *, ending: bool) -> None:
        if ending:  # there is no time to persist; what is not given back expires
            with contextlib.suppress(Unanswered, Denied):
                self.slots.release()
        else:
            persist(self._release, self.wait)

    def _release(self) -> None:
        try:
            self.slots.release()
        except Denied as denied:
            if denied.status != _FORBIDDEN:
                raise
            # An upgrade made the slots fewer: this one is no more, or is nobody's from now on.
            say(f"the slot is not given back, and expires: {denied}")

    def _renew(self) -> None:
        try:
            if self.slots.held is not None and not self.slots.renew():
                say("the slot is no longer ours, since it could not be renewed; going on")
        except (Unanswered, Denied) as error:
            say(f"the slot is not renewed, going on: {error}")

    def _change(self) -> tuple[int, bool]:
        """Run the command to its end. Its exit code, and whether we were told to end meanwhile."""
        child = os.posix_spawn(self.command[0], self.command, os.environ, setsigmask=())
        ending = False
        while True:
            came = self.wait({signal.SIGCHLD, *ENDING}, RENEW_SECONDS)
            if came is None:
                self._renew()
            elif came in ENDING:
                ending = True
                say("told to end; the change that is under way is completed first")
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                return os.waitstatus_to_exitcode(status), ending

    def _untaint(self) -> str | None:
        api, path = self.slots.api, f"/api/v1/nodes/{self._node}"
        node = api.call("GET", path)
        taints: list[Object] = node["spec"].get("taints") or []
        left = [taint for taint in taints if taint.get("key") != self.remove_taint]
        if left == taints:
            return None
        # With the version that was read: nobody's taint of in between is lost.
        meta = {"resourceVersion": node["metadata"]["resourceVersion"]}
        try:
            api.call("PATCH", path, {"metadata": meta, "spec": {"taints": left or None}}, MERGE)
        except Denied as denied:
            if denied.status != _CONFLICT:
                raise
            return "the node has changed meanwhile"
        say(f"{self._node}: the taint {self.remove_taint} is removed")
        return None

"""node/agent.py: the order of things, whatever happens between."""

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gcp_sa_credential_provider.node import agent as module
from gcp_sa_credential_provider.node import lease, rollout
from gcp_sa_credential_provider.node.agent import Agent
from gcp_sa_credential_provider.node.lease import Slots
from gcp_sa_credential_provider.node.pod import DONE, FAILED, REFUSED, Ended
from unit.kube_objects import KubeObjects, daemon_set

NAMESPACE = "provider"
SLOT = lease.path(NAMESPACE, "slot-0")
NODE = "/api/v1/nodes/node-1"
WORKERS = rollout.path(NAMESPACE, "agent-workers")
TAINT = "gcp-sa-credential-provider/not-ready"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KubeObjects]:
    """An API server with a slot, a node and the workers' DaemonSet, which is rolled out."""
    with KubeObjects(tmp_path) as running:
        running.put(SLOT, {})
        running.put(NODE, {"spec": {}})
        running.put(WORKERS, daemon_set(2, 2))
        yield running


@dataclass
class Events:
    """What comes at each wait, in the tests' hands: functions that may return a signal.

    Without any left: the end of the child, where that may be waited for, else SIGTERM.
    """

    coming: list[Callable[[], int | None]] = field(default_factory=list)

    def wait(self, signals: Iterable[int], seconds: float | None) -> int | None:
        """As `pod.Wait`."""
        if self.coming:
            return self.coming.pop(0)()
        if signal.SIGCHLD in signals:
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            return signal.SIGCHLD
        return signal.SIGTERM


@dataclass
class Place:
    """An agent and what it is to do its work with."""

    folder: Path
    server: KubeObjects
    events: Events = field(default_factory=Events)

    def __post_init__(self) -> None:
        self.ready_file = self.folder / "ready"
        self.go = self.folder / "go"
        """The change, which only notes that it was made, ends once this pipe is written to."""
        os.mkfifo(self.go)
        self.log = self.folder / "log"
        self.log.touch()

    def agent(self, code: int = 0, *, held_up: bool = False, **fields: Any) -> Agent:
        """One whose change ends with this exit code; `held_up`: and only at `let_go`."""
        program = f"open({str(self.log)!r}, 'a').write('changed\\n')\n"
        if held_up:
            program += f"open({str(self.go)!r}).read()\n"
        program += f"raise SystemExit({code})"
        slots = Slots(
            api=self.server.api,
            namespace=NAMESPACE,
            names=["slot-0"],
            holder="node-1",
            clock=lambda: 0.0,
        )
        defaults: dict[str, Any] = {
            "slots": slots,
            "mode": "install",
            "after": [],
            "after_slots": [],
            "remove_taint": "",
            "ready_file": self.ready_file,
            "command": (sys.executable, "-c", program),
            "wait": self.events.wait,
        }
        return Agent(**(defaults | fields))

    def let_go(self) -> None:
        """Let a change that is held up come to its end."""
        with self.go.open("w"):
            pass

    @property
    def changes(self) -> int:
        """How often the node was changed."""
        return len(self.log.read_text().splitlines())


@pytest.fixture
def place(tmp_path: Path, server: KubeObjects) -> Place:
    """Where an agent works."""
    folder = tmp_path / "place"
    folder.mkdir()
    return Place(folder, server)


def test_run(place: Place, server: KubeObjects, capfd: pytest.CaptureFixture[str]) -> None:
    """Slot, change, slot given back, ready, and then nothing until SIGTERM."""
    seen = []

    def at_the_end() -> int:
        seen.append((lease.holder_of(server.get(SLOT)), place.ready_file.exists(), place.changes))
        return signal.SIGTERM

    agent = place.agent()
    place.events.coming.append(lambda: Events().wait([signal.SIGCHLD], None))
    place.events.coming.append(at_the_end)
    assert agent.run() == DONE
    assert seen == [("", True, 1)]
    assert "node-1 is done: install" in capfd.readouterr().err


def test_slot_is_held_during_the_change(place: Place, server: KubeObjects) -> None:
    """And renewed, however long it takes."""
    held = []

    def look() -> None:
        held.append(lease.holder_of(server.get(SLOT)))

    place.events.coming = [look, look, place.let_go]
    assert place.agent(held_up=True).run() == DONE
    assert held == ["node-1", "node-1"]
    assert lease.holder_of(server.get(SLOT)) == ""


def test_waits_for_a_slot(place: Place, server: KubeObjects) -> None:
    """Nothing is changed before."""
    server.put(SLOT, lease.taken(server.get(SLOT), "node-2", lease.now()))
    before = []

    def free() -> None:
        before.append(place.changes)
        server.put(SLOT, lease.released(server.get(SLOT), lease.now()))

    place.events.coming.append(free)
    assert place.agent().run() == DONE
    assert (before, place.changes) == ([0], 1)


def test_ended_while_it_waits(place: Place, server: KubeObjects) -> None:
    """Nothing was begun, nothing is changed."""
    server.put(SLOT, lease.taken(server.get(SLOT), "node-2", lease.now()))
    with pytest.raises(Ended):
        place.agent().run()
    assert place.changes == 0


@pytest.mark.parametrize(
    ("workers", "said"),
    [
        (daemon_set(3, 2), "2 of 3 nodes are done"),
        (daemon_set(3, 3, updated=1), "1 of 3 pods are new"),
        (daemon_set(0, 0, seen=6), "not looked at by its controller yet"),
        ({"metadata": {"generation": 1}}, "not looked at by its controller yet"),
    ],
)
def test_control_plane_comes_last(
    place: Place, server: KubeObjects, capfd: pytest.CaptureFixture[str], workers: Any, said: str
) -> None:
    """It takes no slot until every worker is done."""
    server.put(WORKERS, workers)
    before = []

    def finish() -> None:
        before.append((place.changes, lease.holder_of(server.get(SLOT))))
        server.put(WORKERS, daemon_set(3, 3))

    place.events.coming.append(finish)
    assert place.agent(after=["agent-workers"]).run() == DONE
    assert (before, place.changes) == ([(0, "")], 1)
    assert f"the workers come first (agent-workers: {said})" in capfd.readouterr().err


def test_control_plane_of_a_cluster_without_workers(place: Place, server: KubeObjects) -> None:
    """Waits for nobody."""
    server.put(WORKERS, daemon_set(0, 0))
    assert place.agent(after=["agent-workers"]).run() == DONE


def test_api_server_away_during_the_change(
    place: Place, server: KubeObjects, capfd: pytest.CaptureFixture[str]
) -> None:
    """Is normal on a control-plane node: the change goes on, the slot is given back later."""

    def away() -> None:
        server.down = True

    def back() -> None:
        assert place.changes == 1
        server.down = False

    def ended() -> int:
        place.let_go()
        return Events().wait([signal.SIGCHLD], None) or 0

    place.events.coming = [away, lambda: None, ended, back]
    assert place.agent(held_up=True).run() == DONE
    assert lease.holder_of(server.get(SLOT)) == ""
    assert place.ready_file.exists()
    assert "the slot is not renewed, going on: " in capfd.readouterr().err


def test_slot_may_not_be_given_back(
    place: Place, server: KubeObjects, capfd: pytest.CaptureFixture[str]
) -> None:
    """The right to it went with the slot, at an upgrade to fewer: the node is done all the same."""

    def ended() -> int:
        server.instead = 403, b'{"message": "forbidden"}'
        place.let_go()
        return Events().wait([signal.SIGCHLD], None) or 0

    place.events.coming = [ended]
    assert place.agent(held_up=True).run() == DONE
    assert place.ready_file.exists()
    assert "the slot is not given back, and expires: PUT " in capfd.readouterr().err


def test_slot_is_given_back_late(place: Place, server: KubeObjects) -> None:
    """Any other no of the API server is one for now."""

    def ended() -> int:
        server.instead = 500, b"{}"
        place.let_go()
        return Events().wait([signal.SIGCHLD], None) or 0

    def well() -> None:
        server.instead = None

    place.events.coming = [ended, well]
    assert place.agent(held_up=True).run() == DONE
    assert lease.holder_of(server.get(SLOT)) == ""


def test_slot_lost_during_the_change(
    place: Place, server: KubeObjects, capfd: pytest.CaptureFixture[str]
) -> None:
    """What is begun is completed, and the other's slot is left alone."""

    def lose() -> None:
        server.put(SLOT, lease.taken(server.get(SLOT), "node-2", lease.now()))

    place.events.coming = [lose, lambda: None, place.let_go]
    assert place.agent(held_up=True).run() == DONE
    assert lease.holder_of(server.get(SLOT)) == "node-2"
    assert capfd.readouterr().err.count("the slot is no longer ours") == 1


def test_failed_change_keeps_its_slot(
    place: Place, server: KubeObjects, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is not tried again, and nobody else fails in its turn."""
    held = []

    def look() -> None:
        held.append((lease.holder_of(server.get(SLOT)), place.changes))

    place.events.coming = [lambda: Events().wait([signal.SIGCHLD], None), look, look]
    assert place.agent(FAILED).run() == FAILED
    assert held == [("node-1", 1), ("node-1", 1)]
    assert lease.holder_of(server.get(SLOT)) == "node-1"
    assert not place.ready_file.exists()
    assert "Fix: correct the cause, then replace this pod" in capfd.readouterr().err


def test_change_that_was_killed_counts_as_failed(place: Place, server: KubeObjects) -> None:
    """By the out-of-memory killer, for one."""
    command = (sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    assert place.agent(command=command).run() == FAILED
    assert lease.holder_of(server.get(SLOT)) == "node-1"


def test_refused_change_gives_its_slot_back(place: Place, server: KubeObjects) -> None:
    """Nothing was at risk; the exit code shows at the pod."""
    assert place.agent(REFUSED).run() == REFUSED
    assert lease.holder_of(server.get(SLOT)) == ""
    assert not place.ready_file.exists()


@pytest.mark.parametrize("mode", ["install", "uninstall"])
def test_sigterm_during_the_change(place: Place, server: KubeObjects, mode: str) -> None:
    """The change is completed, the slot given back; nothing is undone."""

    def ended() -> int:
        place.let_go()
        return Events().wait([signal.SIGCHLD], None) or 0

    place.events.coming = [lambda: signal.SIGTERM, ended]
    assert place.agent(held_up=True, mode=mode).run() == DONE
    assert place.changes == 1
    assert lease.holder_of(server.get(SLOT)) == ""


def test_taint_is_removed(place: Place, server: KubeObjects) -> None:
    """Ours alone, and before the pod is ready."""
    others = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    server.put(NODE, {"spec": {"taints": [others, {"key": TAINT, "effect": "NoSchedule"}]}})
    assert place.agent(remove_taint=TAINT).run() == DONE
    assert server.get(NODE)["spec"] == {"taints": [others]}


def test_taint_that_is_the_last(place: Place, server: KubeObjects) -> None:
    """Leaves no empty list."""
    server.put(NODE, {"spec": {"taints": [{"key": TAINT, "effect": "NoSchedule"}]}})
    assert place.agent(remove_taint=TAINT).run() == DONE
    assert server.get(NODE)["spec"] == {}


def test_taint_of_in_between(place: Place, server: KubeObjects) -> None:
    """Somebody taints the node between reading and writing: nothing of it is lost."""
    tainted = {"key": TAINT, "effect": "NoSchedule"}
    drained = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
    server.put(NODE, {"spec": {"taints": [tainted]}})

    def between(method: str, path: str) -> None:
        if (method, path) == ("PATCH", NODE):
            server.before = lambda _method, _path: None
            server.put(NODE, {"spec": {"taints": [tainted, drained]}})

    server.before = between
    place.events.coming = [lambda: Events().wait([signal.SIGCHLD], None), lambda: None]
    assert place.agent(remove_taint=TAINT).run() == DONE
    assert server.get(NODE)["spec"] == {"taints": [drained]}


def test_taint_stays_at_uninstall(place: Place, server: KubeObjects) -> None:
    """The agent has nothing to say about it then."""
    server.put(NODE, {"spec": {"taints": [{"key": TAINT}]}})
    assert place.agent(remove_taint=TAINT, mode="uninstall").run() == DONE
    assert server.get(NODE)["spec"] == {"taints": [{"key": TAINT}]}


# The commands.


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    module.add(parser.add_subparsers(required=True))
    return parser.parse_args(words)


def test_change_command_of_the_static_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has no interpreter to name, so it runs itself."""
    monkeypatch.setattr(sys, "executable", "")
    args = parse("agent", "--ready-file=/r", "--config=/c", "--profile=k3s")
    assert module.change_command(args) == (
        *("/proc/self/exe", "node", "install"),
        *("--host-root=/proc/1/root", "--config=/c", "--profile=k3s"),
    )


def test_change_command_to_uninstall() -> None:
    """Needs to know nothing but where."""
    args = parse("agent", "--ready-file=/r", "--mode=uninstall", "--host-root=/host")
    start = (sys.executable, "-m", "gcp_sa_credential_provider")
    assert module.change_command(args) == (*start, "node", "uninstall", "--host-root=/host")


@pytest.mark.parametrize("there", [True, False])
def test_check(tmp_path: Path, *, there: bool) -> None:
    """The start-up probe's question."""
    file = tmp_path / "ready"
    if there:
        file.touch()
    args = parse("agent", f"--ready-file={file}", "--check")
    assert args.act(args) == (DONE if there else FAILED)


SCRIPT = """
import argparse, sys
from gcp_sa_credential_provider.node import agent
parser = argparse.ArgumentParser()
agent.add(parser.add_subparsers(required=True))
args = parser.parse_args()
sys.exit(args.act(args))
"""


def program(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT, *words],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["agent", "--ready-file=/nowhere/r"], "--node, --namespace, --slot: all are needed"),
        (
            ["agent", "--ready-file=/nowhere/r", "--node=n", "--namespace=a", "--slot=s"],
            "Fix: this command is for a pod",
        ),
        (["rollout", "--namespace=a", "--daemon-set=d"], "Fix: this command is for a pod"),
        (["uninstall-all", "--namespace=a", "--daemon-set=d"], "Fix: this command is for a pod"),
    ],
)
def test_outside_a_pod(words: list[str], said: str) -> None:
    """Refused, exit status 2."""
    done = program(*words)
    assert (done.returncode, done.stdout) == (REFUSED, "")
    assert said in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_a_wait(number: signal.Signals) -> None:
    """Of a real process; one that comes before the wait counts as well."""
    waiting = (
        "from gcp_sa_credential_provider.node.pod import ENDING, blocked\n"
        "wait = blocked(); print('ready', flush=True); print(int(wait(ENDING, 60)))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", waiting],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        assert json.loads(process.stdout.read()) == number

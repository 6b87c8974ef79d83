"""A machine within this one: its processes, mounts and networks end with the process that made it.

    python tests/cluster/machine.py FOLDER      serve until stdin ends

Three processes: the tests, the keeper, and init. Init is process 1 of a PID namespace of its own
with mounts of its own; it starts and stops what it is told on stdin, a JSON document a line. When
the tests end, crash or are killed its stdin ends, init ends, and Linux kills whatever runs in its
PID namespace and drops the mounts and the networks (pid_namespaces(7), mount_namespaces(7)). What
Linux does not undo, the keeper does: control groups and the folder.
`Machine` is the tests' side. Imports the standard library only.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

if __name__ == "__main__":  # then this file has no package around it
    sys.path[0] = str(Path(__file__).parent.parent)

import systemd_host
from cluster.relay import relay

NETWORKS = Path("/run/netns")
# What daemons of a node write to wherever they are told to keep their files.
_WRITTEN = ("/run", "/var/lib", "/var/log")
_CGROUPS = Path("/sys/fs/cgroup")
TASKS = "containerd/io.containerd.runtime.v2.task/k8s.io"
"""Where containerd has a folder for each container that runs, below its node's in /run."""


class MachineError(Exception):
    """What a command of the machine said on its way to failure."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """Where a TCP server listens; `network` "" is the network of the tests."""

    port: int
    host: str = "127.0.0.1"
    network: str = ""


class Machine:
    """A running machine. Processes are known by names, which their logs have too."""

    def __init__(self, folder: Path, requests: IO[str], answers: IO[str]) -> None:
        self.folder = folder
        self._requests = requests
        self._answers = answers
        self._lock = threading.Lock()

    def run(self, *argv: str | Path, network: str = "") -> str:
        """What a command prints on stdout. Raises MachineError if it fails."""
        answer: str = self._ask("run", argv=[str(part) for part in argv], network=network)
        return answer

    def start(
        self,
        name: str,
        *argv: str | Path,
        network: str = "",
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start a process; a log of the same name is added to."""
        self._ask(
            "start",
            name=name,
            argv=[str(part) for part in argv],
            network=network,
            environment=environment or {},
        )

    def stop(self, name: str, *, kill: bool = False, seconds: float = 20) -> None:
        """End a process with SIGTERM, and with SIGKILL after `seconds` (or `kill`: at once)."""
        self._ask("stop", name=name, seconds=0 if kill else seconds)

    def ended(self, name: str, seconds: float) -> bool:
        """Whether the process ends within `seconds`."""
        answer: bool = self._ask("ended", name=name, seconds=seconds)
        return answer

    def network(self, name: str, address: str) -> None:
        """Make a network with `address` (CIDR) and loopback; its cable leads nowhere."""
        self.run("ip", "netns", "add", name)
        for line in (
            "link set lo up",
            "link add eth0 type veth peer name cable",
            f"addr add {address} dev eth0",
            "link set eth0 up",
            "link set cable up",
            "route add default dev eth0",
        ):
            self.run("ip", *line.split(), network=name)

    def relay(self, listen: Address, target: Address) -> None:
        """From now on connections to `listen` lead to `target`, in whichever networks they are."""
        self._ask("relay", listen=vars(listen), target=vars(target))

    def log(self, name: str) -> Path:
        """Where the output of a process goes."""
        return self.folder / "logs" / f"{name}.log"

    def _ask(self, operation: str, **fields: Any) -> Any:
        with self._lock:
            try:
                print(json.dumps({"operation": operation, **fields}), file=self._requests)
                self._requests.flush()
                line = self._answers.readline()
            except BrokenPipeError:
                line = ""
        if not line:
            raise MachineError("the machine is gone")
        answer = json.loads(line)
        if "error" in answer:
            raise MachineError(answer["error"])
        return answer["result"]


@contextlib.contextmanager
def machine() -> Iterator[Machine]:
    """A machine for the block. Raises MachineError if the kernel does not let us make one."""
    if os.geteuid() != 0:
        raise MachineError("a cluster needs root, for namespaces and mounts. Fix: run as root")
    with (
        tempfile.TemporaryDirectory(prefix="cluster-", ignore_cleanup_errors=True) as name,
        subprocess.Popen(
            [sys.executable, __file__, "keep", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the tests, which then end its stdin
        ) as keeper,
    ):
        assert keeper.stdin
        assert keeper.stdout
        if not keeper.stdout.readline():
            raise MachineError("no namespaces: see stderr. Fix: CAP_SYS_ADMIN, util-linux")
        try:
            yield Machine(Path(name), keeper.stdin, keeper.stdout)
        finally:
            keeper.stdin.close()
            keeper.wait(timeout=60)


# The keeper.


def keep(folder: Path) -> int:
    """Run init until it ends, then undo what namespaces do not."""
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command += ["--propagation=private", sys.executable, __file__, "init", str(folder)]
    try:
        return subprocess.run(["setpriv", "--pdeathsig=KILL", *command], check=False).returncode
    finally:
        for group in systemd_host.groups(folder):
            systemd_host.remove(group)
        for group in groups_of(folder):
            group.rmdir()
            with contextlib.suppress(OSError):
                group.parent.rmdir()  # unless somebody else has containers
        shutil.rmtree(folder, ignore_errors=True)


def groups_of(folder: Path) -> list[Path]:
    """The control groups of the containers that run, or ran when the machine ended."""
    containers = [task.name for task in folder.glob(f"run/*/{TASKS}/*")]
    hierarchies = [_CGROUPS, *_CGROUPS.iterdir()]  # version 2, version 1
    every = (top / "k8s.io" / name for top in hierarchies for name in containers)
    return [group for group in every if group.is_dir()]


# Init.


class _Processes:
    """The children of process 1, and the orphans that the kernel gives it."""

    def __init__(self, folder: Path) -> None:
        self._logs = folder / "logs"
        self._by_name: dict[str, int] = {}
        self._children: list[subprocess.Popen[bytes]] = []
        self._ended: dict[int, int] = {}
        self._change = threading.Condition()
        threading.Thread(target=self._reap, daemon=True).start()

    def _reap(self) -> None:
        while True:
            known = len(self._children)
            try:
                # WNOWAIT leaves the child to the lock, under which one that ended at once is
                # known already.
                os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
                with self._change:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                    self._ended[pid] = os.waitstatus_to_exitcode(status)
                    self._change.notify_all()
            except ChildProcessError:
                with self._change:
                    while len(self._children) == known:
                        self._change.wait()

    def spawn(self, argv: list[str], network: str, environment: dict[str, str], out: int) -> int:
        if network:
            argv = ["nsenter", f"--net={NETWORKS / network}", *argv]
        with self._change:
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=os.environ | environment,
                start_new_session=True,
            )
            self._children.append(child)  # or its finalizer would wait for it
            self._ended.pop(child.pid, None)
            self._change.notify_all()
            return child.pid

    def wait(self, pid: int, seconds: float | None) -> int | None:
        with self._change:
            self._change.wait_for(lambda: pid in self._ended, seconds)
            return self._ended.get(pid)

    def run(self, argv: list[str], network: str) -> str:
        with tempfile.TemporaryFile() as out:
            code = self.wait(self.spawn(argv, network, {}, out.fileno()), None)
            out.seek(0)
            said = out.read().decode("utf-8", "replace")
        if code:
            raise MachineError(f"{' '.join(argv)}: exit {code}: {said.strip()}")
        return said

    def start(self, name: str, argv: list[str], network: str, environment: dict[str, str]) -> None:
        with (self._logs / f"{name}.log").open("ab") as out:
            self._by_name[name] = self.spawn(argv, network, environment, out.fileno())

    def ended(self, name: str, seconds: float) -> bool:
        return self.wait(self._by_name[name], seconds) is not None

    def stop(self, name: str, seconds: float) -> None:
        pid = self._by_name[name]
        for sent in (signal.SIGTERM, signal.SIGKILL):
            with self._change:
                if pid in self._ended:
                    return
                os.kill(pid, sent)
            self.wait(pid, seconds if sent is signal.SIGTERM else None)


def _mount(folder: Path) -> None:
    """Give the machine directories of its own where daemons write."""
    for path in _WRITTEN:
        ours = folder / path[1:]
        ours.mkdir(parents=True)
        subprocess.run(["mount", "--bind", str(ours), path], check=True)
    for file in ("hosts", "resolv.conf"):
        (folder / file).touch()
        subprocess.run(["mount", "--bind", str(folder / file), f"/etc/{file}"], check=True)
    systemd_host.cover_settings(Path("/proc"), folder / "settings")
    NETWORKS.mkdir()
    (folder / "logs").mkdir()


def init(folder: Path) -> int:
    """Do what stdin says, a line each, and answer each with a line."""
    _mount(folder)
    processes = _Processes(folder)
    operations: dict[str, Callable[..., Any]] = {
        "run": processes.run,
        "start": processes.start,
        "stop": processes.stop,
        "ended": processes.ended,
        "relay": relay,
    }
    print("ready", flush=True)
    for line in sys.stdin:
        fields = json.loads(line)
        try:
            answer = {"result": operations[fields.pop("operation")](**fields)}
        except (MachineError, OSError, KeyError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)
    return 0


def main() -> int:
    """The keeper's and init's command line."""
    role, folder = sys.argv[1:]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return {"keep": keep, "init": init}[role](Path(folder))


if __name__ == "__main__":
    sys.exit(main())

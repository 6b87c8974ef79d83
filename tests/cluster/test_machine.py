"""The machine of the cluster goes with whoever made it."""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_OWNER = """
import json, os, select, signal, sys
from pathlib import Path
from cluster.machine import TASKS, machine
# A signal between print() and a blocking read would not end that read.
woken, wake = os.pipe()
os.set_blocking(wake, False)
signal.set_wakeup_fd(wake)
with machine() as made:
    made.network("left", "10.88.0.99/24")
    made.start("stays", "sleep", "infinity", network="left")
    made.run("mkdir", made.folder / "tmpfs")
    made.run("mount", "-t", "tmpfs", "tmpfs", made.folder / "tmpfs")
    groups = Path("/sys/fs/cgroup")
    group = next((one for one in groups.glob("memory")), groups) / "k8s.io" / made.folder.name
    made.run("sh", "-c", "echo 77 > /proc/sys/kernel/panic; grep -x 77 /proc/sys/kernel/panic")
    made.run("mkdir", "--parents", group, made.folder / "run/node" / TASKS / group.name)
    print(json.dumps({"folder": str(made.folder), "group": str(group)}), flush=True)
    select.select([sys.stdin, woken], [], [])
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT, None])
def test_nothing_is_left(end: signal.Signals | None) -> None:
    """Killed, interrupted or at its end: processes, networks, mounts, groups, files are gone.

    What a kubelet sets in the kernel (kernel/panic is one such thing) was never this machine's.
    """
    setting = Path("/proc/sys/kernel/panic").read_text()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(
        [sys.executable, "-c", _OWNER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
    ) as owner:
        assert owner.stdin
        assert owner.stdout
        made = json.loads(owner.stdout.readline())
        children = Path(f"/proc/{owner.pid}/task/{owner.pid}/children").read_text()
        assert Path("/proc/sys/kernel/panic").read_text() == setting
        keeper = os.pidfd_open(int(children))
        try:
            if end:
                owner.send_signal(end)
            else:
                owner.stdin.close()
            # Readable once the process has ended (pidfd_open(2)).
            assert select.select([keeper], [], [], 30)[0], _running(made["folder"])
        finally:
            os.close(keeper)
    assert not Path(made["folder"]).exists()
    assert not Path(made["group"]).exists()
    assert made["folder"] not in Path("/proc/mounts").read_text()
    assert not Path("/run/netns/left").exists()
    assert _running(made["folder"]) == []


def _running(folder: str) -> list[str]:
    """The processes that name the folder: who they are, and what each waits for."""
    columns = "pid=,ppid=,stat=,wchan:32=,args="
    listed = subprocess.run(
        ["ps", "-eww", "-o", columns], capture_output=True, text=True, check=True
    )
    return [line for line in listed.stdout.splitlines() if folder in line]


@pytest.mark.parametrize(
    ("without", "said"),
    [
        (["unshare", "--user", "--map-user=1000"], "root: this is another user"),
        (["setpriv", "--bounding-set=-sys_admin"], "Fix: CAP_SYS_ADMIN"),
    ],
)
@pytest.mark.parametrize(
    "command", [[sys.executable, "-m", "pytest", "tests/cluster"], [".ci/run"]]
)
def test_where_a_cluster_cannot_be(command: list[str], without: list[str], said: str) -> None:
    """Nothing is skipped, nothing is begun: what is missing is said, with exit status 2."""
    done = subprocess.run(
        [*without, *command],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stdout + done.stderr

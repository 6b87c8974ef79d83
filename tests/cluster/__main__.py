"""A cluster to look into.

    PYTHONPATH=tests python -m cluster up [--plugin FILE]     start it; says how to use it
    PYTHONPATH=tests python -m cluster down                   and take it away

Imports the cluster. It belongs to a process of its own, which ends with SIGTERM.
"""

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

from cluster.cluster import Cluster, cluster
from cluster.needs import NoPluginError, missing, plugin_file
from cluster.team import PULLER, Team, image
from kubelet import build

STATE = build.CACHE / "cluster.json"
LOG = build.CACHE / "cluster.log"
_END_SECONDS = 60


def up(plugin: Path) -> int:
    """Start a cluster that stays, unless there is one."""
    if _running():
        print(f"there is one already: {STATE}. Fix: make e2e-down", file=sys.stderr)
        return 1
    for program in build.cluster_programs():
        program.build()
    with LOG.open("wb") as log:
        serving = subprocess.Popen(
            [sys.executable, "-m", "cluster", "serve", "--plugin", str(plugin)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    assert serving.stdout
    with serving.stdout:
        said = serving.stdout.read()  # to its end: it closes stdout when it is ready
    if not said:
        print(f"it did not start:\n{LOG.read_text()}", file=sys.stderr)
        return 1
    print(said.decode())
    serving.returncode = 0  # it is to outlive us
    return 0


def serve(plugin: Path) -> int:
    """Be the cluster until SIGTERM."""
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)
    with cluster(plugin) as running:
        team = Team(running)
        team.service_account()
        folder = running.machine.folder
        STATE.write_text(json.dumps({"pid": os.getpid(), "folder": str(folder)}))
        try:
            print(_guide(running, team), flush=True)
            sys.stdout.close()
            os.close(1)
            signal.sigwait(ending)
        finally:
            STATE.unlink()
    return 0


def _guide(running: Cluster, team: Team) -> str:
    folder = running.machine.folder
    run = f"kubectl --namespace={team.name} run hello --image={image()}"
    spec = json.dumps({"spec": {"serviceAccountName": PULLER}})
    return f"""\
export KUBECONFIG={running.api.folder / "admin.kubeconfig"}
kubectl get nodes
{run} --overrides='{spec}'      # may pull
kubectl --namespace={team.name} describe pod hello
journalctl --directory={folder / "run/log/journal"} -t gcp-sa-credential-provider -o verbose
less {folder / "logs"}/*.log    # kubelets, containerd, servers
make e2e-down"""


def down() -> int:
    """End the cluster and wait until it has gone."""
    if not (process := _running()):
        print("there is none", file=sys.stderr)
        return 0
    with os.fdopen(process):
        signal.pidfd_send_signal(process, signal.SIGTERM)
        # Readable once the process has ended (pidfd_open(2)).
        if select.select([process], [], [], _END_SECONDS)[0]:
            return 0
    print(f"it has not ended within {_END_SECONDS} s: see {STATE} and {LOG}", file=sys.stderr)
    return 1


def _running() -> int | None:
    """A descriptor of the process that is the cluster."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        pid = json.loads(STATE.read_text())["pid"]
        process = os.pidfd_open(pid)
        if b"\0serve\0" in Path(f"/proc/{pid}/cmdline").read_bytes():
            return process
        os.close(process)
    return None


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="cluster", description="a cluster to look into")
    parser.add_argument("command", choices=("up", "down", "serve"))
    parser.add_argument("--plugin", type=Path, help="the program that the nodes run")
    chosen = parser.parse_args()
    if chosen.command == "down":
        return down()
    if problems := missing():
        print("\n".join(["a cluster cannot run here:", *problems]), file=sys.stderr)
        return 2
    try:
        plugin = plugin_file(chosen.plugin)
    except NoPluginError as problem:
        print(problem, file=sys.stderr)
        return 2
    return up(plugin) if chosen.command == "up" else serve(plugin)


if __name__ == "__main__":
    sys.exit(main())

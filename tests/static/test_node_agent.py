"""The agent of the Helm chart, as the static file is it: in its image there is nothing else.

What changes the node is the static file too. It is given a host without anything, which it
refuses. The real API server is in tests/clients and tests/cluster.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gcp_sa_credential_provider.node import lease, rollout
from process.launch import Launcher
from unit.kube_objects import TOKEN, KubeObjects

NAMESPACE = "provider"
SLOT = lease.path(NAMESPACE, "slot-0")
SET = rollout.path(NAMESPACE, "agent-all")

# $0 is the folder of the pod's ServiceAccount.
MOUNTED = (
    "mount -t tmpfs tmpfs /run && mkdir -p /run/secrets/kubernetes.io &&"
    ' ln -s "$0" /run/secrets/kubernetes.io/serviceaccount && exec "$@"'
)
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root: a pod has a mount namespace of its own"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KubeObjects]:
    """An API server with a slot and a DaemonSet that is rolled out."""
    with KubeObjects(tmp_path) as running:
        running.put(SLOT, {})
        status = dict.fromkeys(
            ("desiredNumberScheduled", "updatedNumberScheduled", "numberAvailable"), 2
        )
        running.put(
            SET, {"metadata": {"generation": 1}, "status": {"observedGeneration": 1, **status}}
        )
        yield running


def pod(
    plugin: Launcher, server: KubeObjects, folder: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", MOUNTED, str(folder), *plugin.command, "node", *words],
        env={
            "PATH": os.environ["PATH"],
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": str(server.api.port),
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_rollout(static_plugin: Launcher, server: KubeObjects, tmp_path: Path) -> None:
    """It speaks TLS with the pod's authority and token."""
    words = ["rollout", f"--namespace={NAMESPACE}", "--daemon-set=agent-all"]
    done = pod(static_plugin, server, tmp_path, *words)
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr.endswith("all nodes are done\n")
    assert server.tokens == [f"Bearer {TOKEN}"]


def test_uninstall_all(static_plugin: Launcher, server: KubeObjects, tmp_path: Path) -> None:
    """It changes the DaemonSet, and then waits for what is done already here."""
    words = ["uninstall-all", f"--namespace={NAMESPACE}", "--daemon-set=agent-all"]
    done = pod(static_plugin, server, tmp_path, *words)
    assert done.returncode == 0, done.stderr
    [container] = server.get(SET)["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [{"name": "MODE", "value": "uninstall"}]


def test_agent(static_plugin: Launcher, server: KubeObjects, tmp_path: Path) -> None:
    """It takes the slot, runs itself to change the node, is refused, and gives back."""
    host, ready = tmp_path / "host", tmp_path / "ready"
    host.mkdir()
    words = [f"--ready-file={ready}", "--node=node-1", f"--namespace={NAMESPACE}"]
    words += ["--slot=slot-0", f"--host-root={host}", f"--config={tmp_path / 'missing'}"]
    done = pod(static_plugin, server, tmp_path, "agent", *words)
    assert done.returncode == 2
    assert "node-1 has a slot: install" in done.stderr
    assert f"node install: {tmp_path / 'missing'}: No such file or directory" in done.stderr
    assert server.get(SLOT)["spec"]["holderIdentity"] == ""
    assert server.get(SLOT)["spec"]["leaseTransitions"] == 1
    assert list(host.iterdir()) == []
    assert not ready.exists()


@pytest.mark.parametrize("there", [True, False])
def test_check(static_plugin: Launcher, tmp_path: Path, *, there: bool) -> None:
    """The start-up probe runs in the same image."""
    ready = tmp_path / "ready"
    if there:
        ready.touch()
    command = [*static_plugin.command, "node", "agent", "--check", f"--ready-file={ready}"]
    assert subprocess.run(command, check=False).returncode == (0 if there else 1)


GOLDEN = Path(__file__).parents[1] / "clients/chart/golden/minimal.yaml"


def capabilities() -> list[str]:
    """What the chart gives to the agent."""
    sets = [one for one in yaml.safe_load_all(GOLDEN.read_text()) if one["kind"] == "DaemonSet"]
    [container] = sets[0]["spec"]["template"]["spec"]["containers"]
    assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]
    found: list[str] = container["securityContext"]["capabilities"]["add"]
    return found


@pytest.fixture
def stranger() -> Iterator[Path]:
    """The file tree of a process with more rights than the agent, as the host's first one is."""
    with subprocess.Popen(["sleep", "infinity"]) as process:
        yield Path(f"/proc/{process.pid}/root")
        process.kill()


def limited(kept: list[str], *command: str | Path) -> subprocess.CompletedProcess[str]:
    bounds = ",".join(["-all", *(f"+{name.lower()}" for name in kept)])
    words = ["setpriv", f"--bounding-set={bounds}", "--no-new-privs", *command]
    return subprocess.run(words, capture_output=True, text=True, check=False)


_REPLACE = (
    "import sys; from pathlib import Path; from gcp_sa_credential_provider.node.files import Root;"
    "Root(Path('/')).write(sys.argv[1], b'new', 0o600)"
)
NEEDS = {
    # MicroK8s gives its files of arguments to a group of its own.
    "CHOWN": (sys.executable, "-c", _REPLACE, "{groups}"),
    "SYS_PTRACE": ("ls", "{host}/etc"),
    "SYS_CHROOT": ("chroot", "{host}", "/bin/true"),
    "DAC_OVERRIDE": ("sh", "-c", "echo > {theirs}/$$"),
}


def test_capabilities_have_each_a_need() -> None:
    """No more of them are given than there are reasons for."""
    assert set(capabilities()) == set(NEEDS)


@pytest.mark.parametrize("name", NEEDS)
def test_capabilities(stranger: Path, tmp_path: Path, name: str) -> None:
    """With those of the chart it works; with all of these but one it does not."""
    theirs = tmp_path / "theirs"
    theirs.mkdir(mode=0o755)
    os.chown(theirs, 1000, 1000)
    groups = tmp_path / "groups"
    groups.touch()
    os.chown(groups, 0, 1000)
    tmp_path.chmod(0o755)
    command = [
        word.format(host=stranger, theirs=theirs, groups=groups) if "{" in word else word
        for word in NEEDS[name]
    ]
    assert limited(capabilities(), *command).returncode == 0
    without = [other for other in capabilities() if other != name]
    assert limited(without, *command).returncode != 0

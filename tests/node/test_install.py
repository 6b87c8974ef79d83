"""`node install` and its way back on a host with systemd, asked for from a pod's place.

What runs, and is put there, is this checkout, started as a script; or the program of --plugin.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.machine import Machine
from scene import AUDIENCE

PLUGIN = "gcp-sa-credential-provider"
FLAGS = (
    "--image-credential-provider-config=/etc/kubernetes/credential-providers/config.yaml"
    " --image-credential-provider-bin-dir=/opt/credential-providers/bin"
)
UNIT = (
    "[Service]\nEnvironment=KUBELET_EXTRA_ARGS=\n"
    "ExecStart=/opt/bin/kubelet --healthz-port=0 $KUBELET_EXTRA_ARGS\n"
)
CONFIG = {
    "apiVersion": "kubelet.config.k8s.io/v1",
    "kind": "CredentialProviderConfig",
    "providers": [
        {
            "name": PLUGIN,
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "matchImages": ["*-docker.pkg.dev"],
            "defaultCacheDuration": "0s",
            "env": [{"name": "GCP_AUDIENCE", "value": AUDIENCE}],
            "tokenAttributes": {
                "serviceAccountTokenAudience": AUDIENCE,
                "requireServiceAccount": True,
                "cacheType": "ServiceAccount",
            },
        }
    ],
}
SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def node(host: Machine) -> Iterator[Machine]:
    """With a kubelet that has no flags."""
    host.unit("kubelet.service", UNIT)
    with host.booted("kubelet.service"):
        assert host.told() == "started --healthz-port=0"
        yield host


@pytest.fixture
def command(pytestconfig: pytest.Config, tmp_path: Path) -> tuple[str, ...]:
    """`node install` with all that it needs."""
    given: Path | None = pytestconfig.getoption("--plugin")
    config, program = tmp_path / "config.json", tmp_path / "program"
    config.write_text(json.dumps(CONFIG))
    if given is not None:
        return (str(given.absolute()), "node", "install", f"--config={config}")
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(SOURCE)!r})\n"
        "from gcp_sa_credential_provider.__main__ import main\nmain()\n"
    )
    program.chmod(0o755)
    return (str(program), "node", "install", f"--config={config}", f"--program={program}")


def as_a_pod(node: Machine, *words: str) -> list[str]:
    """The command that runs one in the host's process numbers and network, with other files."""
    spaces = ("--pid", "--net", "--", "unshare", "--mount", "--mount-proc")
    return ["nsenter", f"--target={node.host.pid}", *spaces, *words, "--host-root=/proc/1/root"]


def run(node: Machine, *words: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run(as_a_pod(node, *words), check=False, capture_output=True, text=True)


def ours(node: Machine) -> list[str]:
    """All of ours in the host's tree."""
    found = node.host.run("find", "/etc", "/opt", "/var/lib", "-name", f"*{PLUGIN}*")
    return sorted(found.split())


def test_onto_a_node_and_off_again(node: Machine, command: tuple[str, ...]) -> None:
    done = run(node, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    assert node.told() == f"started --healthz-port=0 {FLAGS}"
    assert ours(node) == [
        f"/etc/systemd/system/kubelet.service.d/50-{PLUGIN}.conf",
        f"/etc/systemd/system/kubelet.service.d/60-{PLUGIN}-reconcile.conf",
        f"/opt/credential-providers/bin/{PLUGIN}",
        f"/var/lib/{PLUGIN}",
    ]
    assert node.ours() == ""  # the switch is disarmed
    again = run(node, *command)
    assert (again.returncode, again.stdout) == (0, "all is there already; nothing is changed\n")
    # Before each start `node reconcile` has looked: it waits for nobody.
    log = node.host.run("journalctl", "--unit=kubelet.service", "--output=cat")
    assert "another command is changing this node; nothing is changed" in log
    gone = run(node, command[0], "node", "uninstall")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    assert node.told() == "started --healthz-port=0"
    assert ours(node) == []


def test_a_restart_by_somebody_else(node: Machine, command: tuple[str, ...]) -> None:
    """Systemd has read what is there, so that a kubelet never starts by flags that are gone."""
    done = run(node, *command, "--no-restart")
    assert done.returncode == 0, done.stdout + done.stderr
    node.host.run("systemctl", "restart", "kubelet.service")
    assert node.told() == f"started --healthz-port=0 {FLAGS}"
    gone = run(node, command[0], "node", "uninstall", "--no-restart")
    assert gone.returncode == 0, gone.stdout + gone.stderr
    node.host.run("systemctl", "restart", "kubelet.service")
    assert node.told() == "started --healthz-port=0"
    assert ours(node) == []


def test_a_kubelet_that_does_not_take_it(node: Machine, command: tuple[str, ...]) -> None:
    node.has("/opt/refuse").touch()
    done = run(node, *command)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "no kubelet has started" in done.stderr or "ended within" in done.stderr
    assert "Failed to register CRI auth plugins" in done.stderr
    assert [path for path in ours(node) if not path.startswith("/var/lib")] == []


def test_an_installer_that_is_killed_leaves_the_switch(
    node: Machine, command: tuple[str, ...]
) -> None:
    """Killed while it waits; the next start of the machine goes back."""
    words = as_a_pod(node, *command)
    with subprocess.Popen(words, start_new_session=True) as installer:
        assert node.told(60) == f"started --healthz-port=0 {FLAGS}"
        os.killpg(installer.pid, 9)
    assert "gcp-sa-credential-provider-rollback.timer" in node.ours()
    node.host.reboot()
    first = node.told()
    assert first.startswith("started --healthz-port=0")
    last = first if FLAGS not in first else node.told()
    assert FLAGS not in last
    assert [path for path in ours(node) if not path.startswith("/var/lib")] == []

"""A node that is a host of its own: its systemd runs containerd and the kubelet.

Imports the node, whose settings it has, and tests/systemd_host.py. Nothing of the plugin is on it,
and its kubelet has no flag for it; Google and the registries are trusted by the system's store.
"""

import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import systemd_host
from cluster.journal import Record, record_of
from cluster.machine import Machine
from cluster.node import START_SECONDS, Node
from kubelet import build
from kubelet.node import PLUGIN
from systemd_host import Host

KUBELET = "/usr/local/bin/kubelet"
_REAL = "/var/tmp/kubelet"
"""Of the same name, by which a kubelet is known."""
_UNIT = "kubelet.service"
_AUTHORITIES = "/usr/local/share/ca-certificates"
"""What an administrator adds to the system's (Debian's update-ca-certificates(8))."""


class HostedNode(Node):
    """A node `node-NUMBER` within `machine`."""

    def __init__(self, machine: Machine, number: int, *, minor: str, identities: Path) -> None:
        """`minor` of its kubelet, at first."""
        super().__init__(
            machine,
            number,
            kubelet=build.kubernetes("kubelet", minor).build(),
            plugin=None,
            identities=identities,
            trusted=machine.folder / "trusted.pem",
            audience="",
        )
        self.host = Host(machine.folder, self.name)

    def start(self, sandbox_image: Path, stack: ExitStack) -> None:
        """Boot it; at the end of `stack` it is gone."""
        self.host.write("/etc/hosts", (self._machine.folder / "hosts").read_text())
        self.host.write("/etc/resolv.conf", "")
        for number, authority in enumerate(_certificates(self._trusted.read_text())):
            self.host.write(f"{_AUTHORITIES}/cluster-{number}.crt", authority)
        self.host.write("/etc/containerd/config.toml", self._containerd_configuration())
        self.host.write(f"/etc/systemd/system/{_UNIT}", self._kubelet_unit())
        self.host.start_at_boot("containerd.service", _UNIT)
        self.host.link(KUBELET, self._kubelet)
        self._machine.network(self.name, f"{self._address}/24")
        process = f"host-{self.name}"
        self._machine.start(
            process, *systemd_host.command(self._machine.folder, self.name), network=self.name
        )
        stack.callback(self._end, process)
        self.host.wait_booted(START_SECONDS)
        self.host.run("update-ca-certificates")
        self.ctr("images", "import", str(sandbox_image))

    def _end(self, process: str) -> None:
        with self.host.ending():
            self._machine.stop(process, kill=True)

    def ctr(self, *arguments: str) -> str:
        """What containerd's own client says of the pods' containers and images."""
        return self.host.run("ctr", f"--address={self.socket}", "--namespace=k8s.io", *arguments)

    def change_kubelet(self, minor: str) -> None:
        """Put a kubelet of another minor in place, and restart it as an administrator does."""
        self._kubelet = build.kubernetes("kubelet", minor).build()
        self.have_kubelet_accept()
        self.restart_kubelet()

    def have_kubelet_refuse(self, path: str, text: str) -> None:
        """From its next start on it ends if there is this text in this file."""
        real = self._has(_REAL)
        real.parent.mkdir(parents=True, exist_ok=True)
        real.unlink(missing_ok=True)
        real.symlink_to(self._kubelet)
        self._replace_kubelet().write_text(
            f"""#!/bin/sh
case "$*" in
  *--config=*) if grep -q '{text}' {path}; then echo "refused: {path}"; exit 1; fi ;;
esac
exec {_REAL} "$@"
"""
        )
        self._has(KUBELET).chmod(0o755)

    def have_kubelet_accept(self) -> None:
        """From its next start on it is as it was built."""
        self._replace_kubelet().symlink_to(self._kubelet)
        self._has(_REAL).unlink(missing_ok=True)

    def _replace_kubelet(self) -> Path:
        place = self._has(KUBELET)
        place.unlink()
        return place

    def kill_agents(self) -> None:
        """End whatever the chart runs on it, as a machine out of memory might."""
        self.host.run(
            "pkill", "--signal=KILL", "--full", "(provider node agent|self/exe node install)"
        )

    def read(self, path: str) -> str:
        """A file of it."""
        return self._has(path).read_text()

    def has(self, path: str) -> bool:
        """Whether there is such a file."""
        return self._has(path).exists()

    def _has(self, path: str) -> Path:
        return self.host.root / path.removeprefix("/")

    def inside_journal(self, unit: str) -> list[str]:
        """The command that prints what a unit says from now on."""
        follow = ("--follow", "--lines=0", "--output=cat")
        return self.host.inside("journalctl", f"--unit={unit}", *follow)

    def restart_kubelet(self) -> None:
        """By systemd."""
        self.host.run("systemctl", "restart", _UNIT)

    def records(self, account: str) -> list[Record]:
        """What the plugin told the journal of a ServiceAccount's pulls, oldest first."""
        said = self.host.run("journalctl", f"--identifier={PLUGIN}", "--output=json")
        records = map(record_of, said.splitlines())
        return [record for record in records if record.get("serviceaccount") == account]

    def said(self) -> str:
        """What the kubelet said, for people."""
        return self.host.run("journalctl", f"--unit={_UNIT}", "--output=cat", "--no-pager")

    def said_by_plugin(self) -> str:
        """The plugin's records, for people."""
        return self.host.run("journalctl", f"--identifier={PLUGIN}", "--no-pager")

    def _kubelet_configuration(self) -> dict[str, Any]:
        """Its network is its own, so the kubelet may tell of its health where it does by itself.

        The gate is for a kubelet of 1.33, where it is off by default.
        """
        gates = {"KubeletServiceAccountTokenForCredentialProviders": True}
        usual = super()._kubelet_configuration()
        return {**usual, "healthzPort": 10248, "featureGates": gates}

    def _kubelet_unit(self) -> str:
        flags = " ".join([*self._flags(), "--node-labels=hosted=true"])
        return f"""\
[Unit]
After=containerd.service
Requires=containerd.service
[Service]
ExecStart={KUBELET} {flags}
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""


def _certificates(text: str) -> list[str]:
    begin = "-----BEGIN CERTIFICATE-----"
    return [f"{begin}{rest}" for rest in text.split(begin)[1:]]


def tree(root: Path, *folders: str) -> dict[str, str]:
    """Each file and link below those of the folders that are there, with what it holds."""
    there = [folder for folder in folders if (root / folder).exists()]
    listed = subprocess.run(
        ["find", *there, "-printf", "%y %m %p %l\\n"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    found = {}
    for line in listed.stdout.splitlines():
        kind, _, rest = line.partition(" ")
        mode, path, target = (*rest.split(" ", 2), "")[:3]
        file = root / path
        found[path] = f"{kind} {mode} {target}" + (
            f" {hash(file.read_bytes())}" if kind == "f" else ""
        )
    return found

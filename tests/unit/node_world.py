"""A node that runs, for tests of what is asked of it: real files, stand-ins for all else.

systemd, the kubelet and the program's trial run note what they are asked; tests/node and
tests/cluster have the real ones.
"""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gcp_sa_credential_provider.node import check, health, install, kubelet, process, systemd
from gcp_sa_credential_provider.node.act import Host
from gcp_sa_credential_provider.node.entry import PLUGIN
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.kubelet import Kubelet
from unit.provider_configs import OURS

UNIT = "kubelet.service"
CONFIG = "/etc/kubernetes/credential-providers/config.yaml"
BIN_DIR = "/opt/credential-providers/bin"
WISH = install.Wish(entries=[OURS], program=b"#!/bin/sh\n", profile=None, minor=None)
WELL = ["arm", "reload", "reload", f"restart {UNIT}", "wait", "disarm"]
"""Flags are read as soon as they are there, and all that was changed before a restart."""


class World:
    """A host, its systemd and its kubelet."""

    def __init__(self, root: Root) -> None:
        self.root = root
        self.asked: list[str] = []
        self.said: list[str] = []
        self.expected: list[str | None] = []
        """Hashes that were waited for."""
        self.fails: dict[str, list[Exception]] = {}
        """What a question is answered with, one after the other."""
        self.seen: Callable[[], None] = lambda: None
        """Run while the kubelet is waited for."""
        self.when: dict[str, Callable[[], None]] = {}
        """Run when that is asked."""
        self.systemd = True
        self.armed = False
        self.stopped: list[bool] = []
        """Whether a switch that has fired was stopped too, each time it was disarmed."""
        self.given: tuple[str, str] | None = None
        """Configuration and folder that somebody else has given the kubelet."""
        self.faults: list[str] = []
        """Of the program."""
        self.boot = "boot-1"
        self.starts = 1
        self.runs = True

    def ask(self, what: str) -> None:
        """Note it; raise what is to be raised."""
        self.asked.append(what)
        self.when.get(what, lambda: None)()
        waiting = self.fails.get(what.partition(" ")[0], [])
        if waiting:
            raise waiting.pop(0)

    def host(self, **changes: Any) -> Host:
        """How commands see it."""
        host = Host(root=self.root, live=True, restart=True, dry_run=False, say=self.said.append)
        return dataclasses.replace(host, **changes)

    def kubelet(self) -> Kubelet | None:
        """The one that runs: it has read its flags when it started."""
        if not self.runs:
            return None
        drop_in = self.root.read(f"/etc/systemd/system/{UNIT}.d/50-{PLUGIN}.conf")
        config, bin_dir = self.given or ((CONFIG, BIN_DIR) if drop_in else (None, None))
        return Kubelet(
            pid=100 + self.starts,
            started=f"{self.boot}/{self.starts}",
            minor=(1, 34),
            config=config,
            bin_dir=bin_dir,
            gates={},
            unit=UNIT,
            node_name="node-1",
            within="",
            server=False,
            program="/usr/bin/kubelet",
            kubeconfig=None,
            healthz=None,
            port=10250,
            address="0.0.0.0",
            read_only_port=0,
            certificates=(),
        )

    def photograph(self) -> dict[str, bytes | str]:
        """All files and links."""
        paths = sorted(self.root.path.rglob("*"))
        return {
            str(path.relative_to(self.root.path)): (
                str(path.readlink()) if path.is_symlink() else path.read_bytes()
            )
            for path in paths
            if path.is_symlink() or path.is_file()
        }


def stand_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A node whose kubelet has no provider yet."""
    root = Root(place)
    for folder in ("/var/lib", "/etc/systemd/system", "/usr/lib/systemd/system"):
        root.mkdir(folder)
    root.write(f"/usr/lib/systemd/system/{UNIT}", b"[Service]\nExecStart=/usr/bin/kubelet\n", 0o644)
    made = World(root)

    class Systemd:
        def __init__(self, of: Root) -> None:
            assert of is root

        def available(self) -> bool:
            return made.systemd

        def arm(self, seconds: int, argv: Sequence[str]) -> None:
            assert seconds > 600
            assert (root.read(argv[0]), *argv[1:]) == (WISH.program, "node", "rollback")
            made.ask("arm")
            made.armed = True

        def daemon_reload(self) -> None:
            made.ask("reload")

        def restart(self, units: Sequence[str]) -> None:
            made.ask(f"restart {' '.join(units)}")
            made.starts += 1

        def disarm(self, *, fired: bool) -> None:
            if made.armed:
                made.stopped.append(fired)
                made.ask("disarm")
            made.armed = False

    def wait(of: Root, before: Kubelet, wiring: object, expected: str | None, **_: object) -> None:
        del of, wiring
        assert before.started != f"{made.boot}/{made.starts}"
        made.expected.append(expected)
        made.seen()
        made.ask("wait")

    monkeypatch.setattr(systemd, "Systemd", Systemd)
    monkeypatch.setattr(health, "wait", wait)
    monkeypatch.setattr(kubelet, "running", lambda *_, **__: made.kubelet())
    monkeypatch.setattr(process, "boot", lambda _: made.boot)
    monkeypatch.setattr(check, "set_label", lambda *_: [])
    monkeypatch.setattr(check, "problems", lambda *_: list(made.faults))
    monkeypatch.setattr(check, "run_once", lambda *_: [])
    return made

"""The plugin's records in the machine's journal: a real systemd-journald and journalctl.

Fields: docs/plugin.md, "The record".
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Self

from cluster.lines import Lines
from cluster.machine import Machine
from kubelet.node import PLUGIN

START_SECONDS = 20
PATIENCE_SECONDS = 60
_PREFIX = "GCP_SA_"

Record = dict[str, str]


class Journal:
    """Starts journald and follows what the plugin writes while the block runs."""

    def __init__(self, machine: Machine) -> None:
        folder = machine.folder / "run/log/journal"
        folder.mkdir(parents=True)
        (machine.folder / "run/systemd/journal").mkdir(parents=True)
        machine.start("journald", "/lib/systemd/systemd-journald")
        socket = machine.folder / "run/systemd/journal/socket"
        self._wait_for(machine, socket)
        self._machine = machine
        self._read = (
            "journalctl",
            f"--directory={folder}",
            f"--identifier={PLUGIN}",
            "--output=json",
            "--quiet",
        )
        self._lines = Lines(*self._read, "--follow", "--lines=all")

    @staticmethod
    def _wait_for(machine: Machine, socket: Path) -> None:
        for _ in range(START_SECONDS * 10):
            if socket.is_socket():
                return
            if machine.ended("journald", 0.1):
                break
        raise RuntimeError(f"journald: {machine.log('journald').read_text()}")

    def records(self, account: str) -> list[Record]:
        """What there is so far of pulls for this ServiceAccount, NAMESPACE/NAME.

        Of plugins that have ended nothing is missing: journald writes first what it was sent.
        """
        self._machine.run("journalctl", "--sync")
        found = map(record_of, self._machine.run(*self._read).splitlines())
        return [record for record in found if record.get("serviceaccount") == account]

    def wait_for(
        self, account: str, wanted: Callable[[Record], bool] = lambda _: True, *, after: int = 0
    ) -> Record:
        """The ServiceAccount's first record that is `wanted`, not counting its first `after`."""
        passed = 0

        def right(line: str) -> bool:
            nonlocal passed
            record = record_of(line)
            if record.get("serviceaccount") != account:
                return False
            passed += 1
            return passed > after and wanted(record)

        return record_of(self._lines.wait_for(right, seconds=PATIENCE_SECONDS))

    def __enter__(self) -> Self:
        """Follow."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop following; journald ends with its machine."""
        self._lines.__exit__()


def record_of(line: str) -> Record:
    entry = json.loads(line)
    return {
        key.removeprefix(_PREFIX).lower(): value
        for key, value in entry.items()
        if key.startswith(_PREFIX)
    }

"""The host's systemd: restarts, and a dead man's switch that outlasts us.

Imports `command`, `check`, `unit`, `files`. Rules: systemctl(1), systemd-run(1), systemd.timer(5).
From a pod the host's own systemctl is run behind chroot(2) in the host's tree, where it finds
systemd's private socket (/run/systemd/private; root needs no D-Bus; systemd turns away who has no
number among its processes, hence hostPID). Nothing waits for a job: the kubelet itself tells
whether it is well (`health`).
"""

import os
import posixpath
from collections.abc import Sequence
from stat import S_ISDIR

from gcp_sa_credential_provider.node import check, command, unit
from gcp_sa_credential_provider.node.command import Ended
from gcp_sa_credential_provider.node.failure import Failed
from gcp_sa_credential_provider.node.files import Root

FOLDER = "/etc/systemd/system"
SERVICE = "gcp-sa-credential-provider-rollback.service"
TIMER = "gcp-sa-credential-provider-rollback.timer"
RECONCILE_DROP_IN = "60-gcp-sa-credential-provider-reconcile.conf"

_WANTED = f"{FOLDER}/multi-user.target.wants/{SERVICE}"
_RESTART = "gcp-sa-credential-provider-restart"
# It says "Running in chroot, ignoring" otherwise, where /proc is not the host's.
_ENVIRONMENT = {"SYSTEMD_IGNORE_CHROOT": "1", "SYSTEMD_PAGER": "", "SYSTEMD_COLORS": "0"}


class Systemd:
    """The systemd whose files are in `root`. Its methods raise Failed, those that write OSError."""

    def __init__(self, root: Root) -> None:
        self._root = root

    def available(self) -> bool:
        """Whether systemd runs there (sd_booted(3))."""
        found = self._root.lstat("/run/systemd/system")
        return found is not None and S_ISDIR(found.st_mode)

    def daemon_reload(self) -> None:
        """Have it read all units anew."""
        self._systemctl("daemon-reload")

    def restart(self, units: Sequence[str]) -> None:
        """Have the units restarted by a unit of its own, in a moment, whatever becomes of us.

        A start limit that an earlier fault has used up is set back, so that the way out of that
        fault is not barred by it.
        """
        self._run("systemctl", "reset-failed", *units)  # fails where nothing has failed
        name = f"{_RESTART}-{os.urandom(4).hex()}"
        self._must(
            "systemd-run",
            f"--unit={name}",
            "--description=Restart of the kubelet for gcp-sa-credential-provider",
            "--collect",
            "--quiet",
            "--no-block",
            "systemctl",
            "restart",
            *units,
        )

    def arm(self, seconds: int, argv: Sequence[str]) -> None:
        """Have `argv` run in `seconds`, and at the next start of the machine, unless disarmed.

        At a start it runs beside the kubelet, not before it. What could not be run is no switch:
        that is a failure.
        """
        check.set_label(self._root, argv[0])
        if found := check.problems(self._root, argv[0], posixpath.dirname(argv[0])):
            raise Failed(f"the way back could not be run: {'; '.join(found)}")
        self._root.mkdir(f"{FOLDER}/multi-user.target.wants")
        self._root.write(f"{FOLDER}/{SERVICE}", _service(argv).encode(), 0o644)
        self._root.write(f"{FOLDER}/{TIMER}", _timer(seconds).encode(), 0o644)
        self._root.link(_WANTED, f"{FOLDER}/{SERVICE}")
        self.daemon_reload()
        self._systemctl("restart", TIMER)
        if self._run("systemctl", "is-active", "--quiet", TIMER).code:
            raise Failed(
                f"{TIMER}: does not run; nothing was restarted. Fix: `systemctl status {TIMER}`"
                " says why"
            )

    def disarm(self, *, fired: bool) -> None:
        """Take the switch away.

        `fired`: also stop what runs because of it, which waits for us to end, and would then undo
        what we have done. Not for what may itself be run by it.
        """
        there = [path for path in (_WANTED, *_places()) if self._root.lstat(path) is not None]
        if not there:
            return
        units = (TIMER, SERVICE) if fired else (TIMER,)
        self._run("systemctl", "stop", *units)  # fails where its file is gone already
        if fired:
            self._run("systemctl", "reset-failed", SERVICE)  # or it stays as one that was killed
        for path in there:
            self._root.remove(path)
        self._root.rmdir(posixpath.dirname(_WANTED))  # if there is nothing else in it
        self.daemon_reload()

    def failed(self, units: Sequence[str]) -> bool:
        """Whether one of them has ended with a fault and is not to be started again."""
        try:
            return self._run("systemctl", "is-failed", "--quiet", *units).code == 0
        except Failed:
            return False

    def why_not(self, units: Sequence[str]) -> str:
        """What systemd says of units that are not as they should be, in one line."""
        shown = "--property=Id,ActiveState,SubState,Result,ExecMainStatus"
        try:
            ended = self._run("systemctl", "show", shown, *units)
        except Failed as failed:
            return str(failed)
        return " ".join(ended.output.split()) or ended.said

    def log_of(self, units: Sequence[str], *, lines: int = 200) -> list[str]:
        """The last lines of the units' log, oldest first; none where there is no journal."""
        named = [f"--unit={name}" for name in units]
        try:
            ended = self._run(
                "journalctl", *named, f"--lines={lines}", "--output=cat", "--no-pager", "--quiet"
            )
        except Failed:
            return []
        return ended.output.splitlines()

    def _systemctl(self, *words: str) -> None:
        self._must("systemctl", *words)

    def _must(self, *argv: str) -> None:
        ended = self._run(*argv)
        if ended.code:
            raise Failed(
                f"{' '.join(argv[:2])}: {ended.said} (exit {ended.code}). Fix: run it by hand on"
                " the node; in a pod: hostPID, and the capabilities SYS_CHROOT and SYS_PTRACE"
            )

    def _run(self, *argv: str) -> Ended:
        return command.run(self._root, argv, environment=_ENVIRONMENT)


def reconcile_drop_in(argv: Sequence[str]) -> str:
    """The text of a drop-in that runs `argv` before each start of a unit.

    Its failure keeps no kubelet from starting.
    """
    return f"[Service]\nExecStartPre=-{_line(argv)}\n"


def _places() -> tuple[str, ...]:
    return f"{FOLDER}/{TIMER}", f"{FOLDER}/{SERVICE}"


def _line(argv: Sequence[str]) -> str:
    return " ".join(unit.quoted(word.replace("%", "%%").replace("$", "$$")) for word in argv)


def _service(argv: Sequence[str]) -> str:
    return (
        "[Unit]\n"
        "Description=Back to the kubelet's former credential providers\n"
        "RequiresMountsFor=/var/lib /etc\n"
        "StartLimitIntervalSec=0\n"
        "\n"
        "[Service]\n"
        "Type=oneshot\n"
        f"ExecStart={_line(argv)}\n"
    )


def _timer(seconds: int) -> str:
    return (
        "[Unit]\n"
        "Description=Dead man's switch of gcp-sa-credential-provider\n"
        "\n"
        "[Timer]\n"
        f"OnActiveSec={seconds}s\n"
        "AccuracySec=1s\n"
        f"Unit={SERVICE}\n"
    )

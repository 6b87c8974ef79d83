"""What is asked of systemd, by a systemctl that notes it. tests/node asks a real one."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import command
from gcp_sa_credential_provider.node.failure import Failed
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.systemd import (
    SERVICE,
    TIMER,
    Systemd,
    reconcile_drop_in,
)

PROGRAMS = ("systemctl", "systemd-run", "journalctl")
PROGRAM = "/var/lib/x/program"
WANTED = f"/etc/systemd/system/multi-user.target.wants/{SERVICE}"


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """All that the stand-ins were asked so far. Each also does what is in a file NAME.do."""
    folder = tmp_path / "programs"
    folder.mkdir()
    log = tmp_path / "asked"
    log.touch()
    for name in PROGRAMS:
        program = folder / name
        note = f'echo "{name} $*" >> {log}\nif [ -e "$0.do" ]; then . "$0.do"; fi\n'
        program.write_text(f"#!/bin/sh\n{note}")
        program.chmod(0o755)
    monkeypatch.setattr(command, "PATH", f"{folder}:{os.defpath}")
    monkeypatch.setattr(command, "is_own", lambda _: True)
    return lambda: log.read_text().splitlines()


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A host's files."""
    program = tmp_path / "host/var/lib/x/program"
    program.parent.mkdir(parents=True)
    (tmp_path / "host").chmod(0o755)
    shutil.copy("/bin/true", program)
    return Root(tmp_path / "host")


def does(tmp_path: Path, name: str, script: str) -> None:
    """What a stand-in does from now on."""
    (tmp_path / f"programs/{name}.do").write_text(script)


def test_where_systemd_runs(root: Root) -> None:
    assert not Systemd(root).available()
    root.mkdir("/run/systemd/system")
    assert Systemd(root).available()


def test_a_restart_is_a_unit_of_its_own(root: Root, asked: Callable[[], list[str]]) -> None:
    Systemd(root).restart(["k3s.service", "x.service"])
    first, second = asked()
    assert first == "systemctl reset-failed k3s.service x.service"
    assert second.startswith("systemd-run --unit=gcp-sa-credential-provider-restart-")
    assert second.endswith(" systemctl restart k3s.service x.service")
    assert {"--collect", "--no-block"} <= set(second.split())


def test_a_restart_that_is_refused(
    root: Root, asked: Callable[[], list[str]], tmp_path: Path
) -> None:
    does(tmp_path, "systemd-run", "echo Access denied >&2; exit 4")
    with pytest.raises(Failed) as caught:
        Systemd(root).restart(["kubelet.service"])
    assert (
        " Access denied (exit 4). Fix: run it by hand on the node; in a pod: hostPID, and"
        in str(caught.value)
    )


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="what systemd is to run must be root's")


@ROOT
def test_the_switch(root: Root, asked: Callable[[], list[str]]) -> None:
    systemd = Systemd(root)
    systemd.arm(900, (PROGRAM, "node", "rollback"))
    assert root.readlink(WANTED) == f"/etc/systemd/system/{SERVICE}"
    service = (root.read(f"/etc/systemd/system/{SERVICE}") or b"").decode()
    assert "\nExecStart=/var/lib/x/program node rollback\n" in service
    timer = (root.read(f"/etc/systemd/system/{TIMER}") or b"").decode()
    assert "\nOnActiveSec=900s\n" in timer
    assert f"\nUnit={SERVICE}\n" in timer
    assert asked() == [
        "systemctl daemon-reload",
        f"systemctl restart {TIMER}",
        f"systemctl is-active --quiet {TIMER}",
    ]
    systemd.disarm(fired=False)
    assert root.listdir("/etc/systemd/system") == []  # as it was
    assert asked()[3:] == [f"systemctl stop {TIMER}", "systemctl daemon-reload"]
    systemd.disarm(fired=True)
    assert len(asked()) == 5
    systemd.arm(900, (PROGRAM, "node", "rollback"))
    systemd.disarm(fired=True)
    assert asked()[8:] == [
        f"systemctl stop {TIMER} {SERVICE}",
        f"systemctl reset-failed {SERVICE}",
        "systemctl daemon-reload",
    ]


def test_a_switch_that_could_not_be_run(root: Root, asked: Callable[[], list[str]]) -> None:
    root.outside(PROGRAM).unlink()
    with pytest.raises(
        Failed, match=r"^the way back could not be run: .*/program: no file\. Fix: "
    ):
        Systemd(root).arm(900, (PROGRAM,))
    assert asked() == []
    assert root.listdir("/etc") == []


@ROOT
def test_a_switch_that_does_not_run_is_none(
    root: Root, asked: Callable[[], list[str]], tmp_path: Path
) -> None:
    does(tmp_path, "systemctl", '[ "$1" != is-active ]')
    with pytest.raises(Failed) as caught:
        Systemd(root).arm(900, (PROGRAM,))
    assert str(caught.value) == (
        f"{TIMER}: does not run; nothing was restarted. Fix: `systemctl status {TIMER}` says why"
    )


def test_what_the_node_says_of_a_unit(
    root: Root, asked: Callable[[], list[str]], tmp_path: Path
) -> None:
    does(tmp_path, "systemctl", "printf 'Id=kubelet.service\\nActiveState=failed\\n'")
    does(tmp_path, "journalctl", "printf 'one\\ntwo\\n'")
    systemd = Systemd(root)
    assert systemd.why_not(["kubelet.service"]) == "Id=kubelet.service ActiveState=failed"
    assert systemd.log_of(["kubelet.service"]) == ["one", "two"]


def test_a_unit_that_is_given_up(
    root: Root, asked: Callable[[], list[str]], tmp_path: Path
) -> None:
    assert Systemd(root).failed(["kubelet.service"])
    assert asked() == ["systemctl is-failed --quiet kubelet.service"]
    does(tmp_path, "systemctl", "exit 1")
    assert not Systemd(root).failed(["kubelet.service"])


def test_where_neither_is_to_be_had(
    root: Root, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "PATH", str(tmp_path))
    monkeypatch.setattr(command, "is_own", lambda _: True)
    assert Systemd(root).log_of(["kubelet.service"]) == []
    assert not Systemd(root).failed(["kubelet.service"])
    assert Systemd(root).why_not(["kubelet.service"]).startswith("systemctl: cannot be run: ")


def test_before_each_start() -> None:
    assert reconcile_drop_in(("/opt/b c/p", "node", "reconcile", "100%", "$HOME")) == (
        '[Service]\nExecStartPre=-"/opt/b c/p" node reconcile 100%% $$HOME\n'
    )

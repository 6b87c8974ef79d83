"""The installer's dealings with systemd, by a real one."""

import fcntl

from gcp_sa_credential_provider.node import reconcile
from gcp_sa_credential_provider.node.systemd import (
    RECONCILE_DROP_IN,
    SERVICE,
    TIMER,
    reconcile_drop_in,
)
from node.machine import Machine

KUBELET = (
    "[Service]\nExecStart=/opt/bin/kubelet $KUBELET_EXTRA_ARGS\nRestart=always\nRestartSec=0\n"
)
TELL = ("/bin/sh", "-c", "echo rolled back > /opt/told")


def test_a_restart_outlasts_whoever_asked_for_it(node: Machine) -> None:
    before = node.asked("running")
    done = node.act("restart", "kubelet.service")
    assert done.returncode in (-9, 137), done.stderr
    assert node.told() == "started"
    after = node.asked("running")
    assert after["started"] != before["started"]
    assert after["unit"] == "kubelet.service"


def test_a_unit_that_has_used_up_its_starts_is_restarted(host: Machine) -> None:
    limit = "[Unit]\nStartLimitIntervalSec=1h\nStartLimitBurst=2\n"
    host.unit("kubelet.service", limit + KUBELET)
    host.host.write("/opt/refuse", "")
    with host.booted("kubelet.service"):
        assert [host.told(), host.told()] == ["started", "started"]
        host.has("/opt/refuse").unlink()
        host.act("restart", "kubelet.service")
        assert host.told() == "started"
        assert host.asked("running")["unit"] == "kubelet.service"


def test_the_switch_fires_in_time(node: Machine) -> None:
    node.asked("arm", "1", *TELL)
    assert node.told() == "rolled back"


def test_the_switch_fires_at_the_next_start(node: Machine) -> None:
    node.asked("arm", "3600", *TELL)
    assert node.asked("available") is True
    node.host.reboot()
    assert sorted([node.told(), node.told()]) == ["rolled back", "started"]


def test_a_switch_that_is_disarmed_is_gone_for_good(node: Machine) -> None:
    node.asked("arm", "3600", *TELL)
    assert TIMER in node.ours()
    node.asked("disarm")
    assert node.ours() == ""
    assert not list(node.has("/etc/systemd/system").rglob("gcp-sa-*"))
    node.host.reboot()
    assert node.ours() == ""
    assert node.told() == "started"  # and that is all: whatever ran before it would be told first


def test_a_switch_that_has_fired_is_stopped_by_whoever_it_waits_for(node: Machine) -> None:
    """As an installer does that ends well after all: or what it did would be undone."""
    wait = "echo fired > /opt/told; flock /opt/lock echo rolled back > /opt/told"
    lock = node.has("/opt/lock")
    lock.touch()
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        node.asked("arm", "1", "/bin/sh", "-c", wait)
        assert node.told() == "fired"
        node.asked("disarm")
        assert node.ours() == ""
    node.act("restart", "kubelet.service")
    assert node.told() == "started"


def test_a_switch_disarms_while_it_fires(node: Machine) -> None:
    """As `node rollback` does that it runs: its own unit goes, and it goes on to its end."""
    first = f"systemctl stop {TIMER}; rm /etc/systemd/system/gcp-sa-*; systemctl daemon-reload"
    node.asked("arm", "1", "/bin/sh", "-c", f"{first}; echo rolled back > /opt/told")
    assert node.told() == "rolled back"


def test_arming_anew_begins_anew(node: Machine) -> None:
    node.asked("arm", "3600", *TELL)
    node.asked("arm", "1", *TELL)
    assert node.told() == "rolled back"


def test_a_word_of_the_command_comes_as_it_is(node: Machine) -> None:
    """Systemd would replace % and $, and end words at quotes."""
    words = ("a b", '"', "'", "%n", "$HOME", "\\", ";")
    script = 'printf "%%s|" "$@" > /opt/told; echo > /opt/told'.replace("%%", "%")
    node.asked("arm", "1", "/bin/sh", "-c", script, "sh", *words)
    assert node.told() == "|".join([*words, ""])


def test_reconcile_runs_before_each_start(host: Machine) -> None:
    host.unit("kubelet.service", KUBELET)
    text = reconcile_drop_in(("/bin/sh", "-c", "echo reconciled > /opt/told"))
    host.unit(f"kubelet.service.d/{RECONCILE_DROP_IN}", text)
    with host.booted("kubelet.service"):
        assert [host.told(), host.told()] == ["reconciled", "started"]
        host.act("restart", "kubelet.service")
        assert [host.told(), host.told()] == ["reconciled", "started"]


def test_reconcile_that_fails_keeps_no_kubelet_from_starting(host: Machine) -> None:
    host.unit("kubelet.service", KUBELET)
    text = reconcile_drop_in(("/opt/not-there", "node", "reconcile"))
    host.unit(f"kubelet.service.d/{RECONCILE_DROP_IN}", text)
    with host.booted("kubelet.service"):
        assert host.told() == "started"


def test_what_takes_too_long_before_a_start_keeps_it_from_starting(host: Machine) -> None:
    """Whatever the `-` says: so `node reconcile` has a limit of its own, below systemd's 90 s."""
    ended = "TimeoutStartSec=1\nExecStopPost=/bin/sh -c 'echo ended > /opt/told'"
    host.unit("kubelet.service", KUBELET.replace("Restart=always", ended))
    text = reconcile_drop_in(("/bin/sh", "-c", "echo asked > /opt/told; exec sleep 3600"))
    host.unit(f"kubelet.service.d/{RECONCILE_DROP_IN}", text)
    with host.booted("kubelet.service"):
        assert [host.told(), host.told()] == ["asked", "ended"]  # and no "started" in between
        assert host.asked("running") is None
    assert reconcile.SECONDS < 90


def test_the_units_are_such_as_systemd_likes(node: Machine) -> None:
    node.asked("arm", "3600", *TELL)
    assert node.host.run("systemd-analyze", "verify", "--man=no", SERVICE, TIMER) == ""

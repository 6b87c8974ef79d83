"""record: a log that never fails, never waits and cannot be led elsewhere."""

import json
import os
import socket
from pathlib import Path

import pytest

from gcp_sa_credential_provider.plugin import record

FIELDS: record.Fields = {"time": 1, "outcome": "OK", "image": "gcr.io/a/b", "tries": 1}
FAILED: record.Fields = {"time": 1, "outcome": "STS-STALE", "message": "line\nGCP_SA_X=forged"}


@pytest.fixture
def listener(home: Path) -> "tuple[socket.socket, str]":
    """A datagram socket, as journald and syslogd have one."""
    path = f"{home}/socket"
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(path)
    return sock, path


def _fields(entry: bytes) -> dict[str, str]:
    """Decode systemd's native protocol, every value framed by its length."""
    fields = {}
    while entry:
        name, _, rest = entry.partition(b"\n")
        size = int.from_bytes(rest[:8], "little")
        fields[name.decode()] = rest[8 : 8 + size].decode()
        assert rest[8 + size : 9 + size] == b"\n"
        entry = rest[9 + size :]
    return fields


@pytest.mark.parametrize("target", ["", "journal"])
def test_the_journal(
    monkeypatch: pytest.MonkeyPatch, listener: "tuple[socket.socket, str]", target: str
) -> None:
    """The default where there is one; a line break in a value forges no field."""
    sock, path = listener
    monkeypatch.setattr(record, "JOURNAL", path)
    with sock:
        record.write(target, FIELDS)
        good = _fields(sock.recv(65536))
        record.write(target, FAILED)
        bad = _fields(sock.recv(65536))
    assert good == {
        "MESSAGE": "OK gcr.io/a/b",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "gcp-sa-credential-provider",
        "GCP_SA_TIME": "1",
        "GCP_SA_OUTCOME": "OK",
        "GCP_SA_IMAGE": "gcr.io/a/b",
        "GCP_SA_TRIES": "1",
    }
    assert bad["PRIORITY"] == "4"
    assert "GCP_SA_X" not in bad


def test_syslog(monkeypatch: pytest.MonkeyPatch, listener: "tuple[socket.socket, str]") -> None:
    """Facility daemon, the fields as JSON."""
    sock, path = listener
    monkeypatch.setattr(record, "SYSLOG", path)
    with sock:
        record.write("syslog", FIELDS)
        datagram = sock.recv(65536).decode()
    head, _, text = datagram.partition("]: ")
    assert head.startswith("<30>")
    assert head.endswith(f" gcp-sa-credential-provider[{os.getpid()}")
    assert json.loads(text) == FIELDS


def test_a_full_or_missing_socket_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, listener: "tuple[socket.socket, str]"
) -> None:
    """Nobody reads: the datagrams are dropped, not waited for."""
    sock, path = listener
    monkeypatch.setattr(record, "JOURNAL", path)
    with sock:
        for _ in range(5000):
            record.write("journal", FIELDS)
        assert sock.recv(65536)
    os.unlink(path)
    record.write("journal", FIELDS)


def test_off(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written anywhere."""
    monkeypatch.chdir(home)
    record.write("off", FIELDS)
    assert list(home.iterdir()) == []


def test_a_file_gets_a_line_of_json_each_time(home: Path) -> None:
    """For its owner's eyes only."""
    path = home / "log"
    record.write(str(path), FIELDS)
    record.write(str(path), FAILED)
    assert [json.loads(line) for line in path.read_text().splitlines()] == [FIELDS, FAILED]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_is_capped(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full one becomes NAME.1, whose predecessor goes."""
    path = home / "log"
    monkeypatch.setattr(record, "LARGEST_FILE", 140)
    for number in range(5):
        record.write(str(path), {"outcome": "OK", "n": number, "x": "y" * 30})
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == [4]
    kept = (home / "log.1").read_text().splitlines()
    assert [json.loads(line)["n"] for line in kept] == [2, 3]
    assert sorted(entry.name for entry in home.iterdir()) == ["log", "log.1"]


def test_two_runs_that_rotate_at_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one was first: what it has begun is no old log."""
    path = home / "log"
    monkeypatch.setattr(record, "LARGEST_FILE", 140)
    path.write_text("x" * 130)
    path.chmod(0o600)
    opened = record._open_log

    def overtaken(folder: int, name: str) -> int:
        monkeypatch.setattr(record, "_open_log", opened)
        mine = opened(folder, name)
        record.write(str(path), {"outcome": "OK", "n": 1})
        return mine

    monkeypatch.setattr(record, "_open_log", overtaken)
    record.write(str(path), {"outcome": "OK", "n": 2})
    assert [json.loads(line)["n"] for line in path.read_text().splitlines()] == [1, 2]
    assert (home / "log.1").read_text() == "x" * 130


def test_a_full_log_that_is_gone(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody has moved it away in between: a new one is begun, and nothing renamed."""
    path = home / "log"
    monkeypatch.setattr(record, "LARGEST_FILE", 40)
    opened = record._open_log

    def moved(folder: int, name: str) -> int:
        monkeypatch.setattr(record, "_open_log", opened)
        mine = opened(folder, name)
        path.rename(home / "elsewhere")
        return mine

    monkeypatch.setattr(record, "_open_log", moved)
    record.write(str(path), {"outcome": "OK", "n": 1, "x": "y" * 40})
    assert json.loads(path.read_text())["n"] == 1
    assert sorted(entry.name for entry in home.iterdir()) == ["elsewhere", "log"]


def _refused(path: Path) -> bool:
    """Whether nothing was written there."""
    before = path.read_bytes() if path.is_file() else None
    record.write(str(path), FIELDS)
    return (path.read_bytes() if path.is_file() else None) == before


def test_a_link_is_not_followed(home: Path) -> None:
    """Neither the file nor a directory on the way."""
    (home / "real").write_text("")
    (home / "link").symlink_to(home / "real")
    (home / "inner").mkdir()
    (home / "door").symlink_to(home / "inner")
    assert _refused(home / "link")
    assert _refused(home / "door" / "log")
    assert (home / "real").read_text() == ""
    assert list((home / "inner").iterdir()) == []


def test_a_second_name_is_refused(home: Path) -> None:
    """A hard link may be to somebody else's file."""
    (home / "log").write_text("")
    os.link(home / "log", home / "other")
    assert _refused(home / "log")


def test_what_is_no_file_is_refused(home: Path) -> None:
    """A pipe without a reader would block, a directory cannot be written."""
    os.mkfifo(home / "pipe")
    reader = os.open(home / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    record.write(str(home / "pipe"), FIELDS)
    assert os.read(reader, 100) == b""
    os.close(reader)
    record.write(str(home / "pipe"), FIELDS)
    (home / "directory").mkdir()
    assert _refused(home / "directory")


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o775])
def test_a_directory_that_others_may_write_is_refused(home: Path, mode: int) -> None:
    """They could have put something else in the file's place."""
    (home / "shared").mkdir()
    (home / "shared").chmod(mode)
    assert _refused(home / "shared" / "log")
    assert list((home / "shared").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make another user's file")
def test_another_users_file_or_directory_is_refused(home: Path) -> None:
    """Even for root."""
    (home / "log").write_text("")
    os.chown(home / "log", 65534, 65534)
    assert _refused(home / "log")
    (home / "theirs").mkdir()
    os.chown(home / "theirs", 65534, 65534)
    assert _refused(home / "theirs" / "log")


def test_a_path_that_does_not_exist(home: Path) -> None:
    """No directory is made."""
    assert _refused(home / "none" / "log")

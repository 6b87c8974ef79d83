"""The log record as a process writes it: file, journal and syslog, and what it must never do."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Launcher, credentials, refusal
from scene import ACCOUNT, AUDIENCE, IMAGE, SUBJECT, request

Environment = dict[str, str]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace")


@contextmanager
def datagrams(path: Path) -> Iterator[socket.socket]:
    """A socket that a daemon would have bound at `path`."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(str(path))
        daemon.settimeout(5)
        yield daemon


def journal_fields(datagram: bytes) -> dict[str, str]:
    """Take a record of the native protocol apart, every value framed by its length."""
    fields: dict[str, str] = {}
    while datagram:
        key, _, rest = datagram.partition(b"\n")
        length = int.from_bytes(rest[:8], "little")
        fields[key.decode()] = rest[8 : 8 + length].decode("ascii")
        assert rest[8 + length : 9 + length] == b"\n"
        datagram = rest[9 + length :]
    return fields


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[tuple[socket.socket, list[str]]]:
    """A journal, and the command under which a program finds it in its place."""
    folder = tmp_path / "journal"
    folder.mkdir()
    script = (
        "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && "
        f'mount --bind {folder} /run/systemd/journal && exec "$@"'
    )
    with datagrams(folder / "socket") as daemon:
        yield daemon, ["unshare", "--mount", "sh", "-c", script, "sh"]


@pytest.fixture
def syslog(tmp_path: Path) -> Iterator[tuple[socket.socket, list[str]]]:
    """A syslog daemon, and the command under which a program finds /dev/log."""
    folder = tmp_path / "dev"
    folder.mkdir()
    script = (
        f"touch {folder}/null && mount --bind /dev/null {folder}/null && "
        f'mount --rbind {folder} /dev && exec "$@"'
    )
    with datagrams(folder / "log") as daemon:
        yield daemon, ["unshare", "--mount", "sh", "-c", script, "sh"]


@needs_root
def test_the_journal_is_the_default_where_there_is_one(
    plugin: Launcher,
    environment: Environment,
    issuer: Issuer,
    journal: tuple[socket.socket, list[str]],
) -> None:
    """Who pulled what, as whom, how long it took."""
    daemon, wrapper = journal
    environment |= {"PATH": os.defpath, "GCP_LOG": "", "GCP_SERVICE_ACCOUNT": ACCOUNT}
    asked = request(issuer.token(AUDIENCE))
    credentials(plugin.run(environment, asked, wrapper=wrapper))
    fields = journal_fields(daemon.recv(65536))
    assert fields["SYSLOG_IDENTIFIER"] == "gcp-sa-credential-provider"
    assert (fields["PRIORITY"], fields["GCP_SA_OUTCOME"]) == ("6", "OK")
    assert fields["GCP_SA_IMAGE"] == IMAGE
    assert fields["GCP_SA_SERVICEACCOUNT"] == "demo/puller"
    assert (fields["GCP_SA_SUBJECT"], fields["GCP_SA_ISSUER"]) == (SUBJECT, ISSUER)
    assert (fields["GCP_SA_KID"], fields["GCP_SA_ACCOUNT"]) == (issuer.kid, ACCOUNT)
    assert fields["GCP_SA_TRIES"] == "2"
    assert {"GCP_SA_MS_CONNECT", "GCP_SA_MS_TLS", "GCP_SA_MS_REQUEST"} <= set(fields)


@needs_root
def test_no_claim_can_forge_a_field(
    plugin: Launcher,
    environment: Environment,
    issuer: Issuer,
    journal: tuple[socket.socket, list[str]],
) -> None:
    """An issuer with line feeds, and a failure that is recorded with the line of stderr."""
    daemon, wrapper = journal
    environment |= {"PATH": os.defpath, "GCP_LOG": "journal"}
    forged = issuer.token(AUDIENCE, iss="https://a\nPRIORITY=0\nMESSAGE=all is well\n\x1b[2J")
    ended = plugin.run(environment, request(forged), wrapper=wrapper)
    assert refusal(ended) == (1, "STS-ISSUER")
    fields = journal_fields(daemon.recv(65536))
    assert (fields["PRIORITY"], fields["GCP_SA_OUTCOME"]) == ("4", "STS-ISSUER")
    assert fields["MESSAGE"] == f"STS-ISSUER {IMAGE}"
    assert fields["GCP_SA_ISSUER"] == "https://a PRIORITY=0 MESSAGE=all is well ?[2J"
    assert fields["GCP_SA_MESSAGE"] == ended.stderr.decode()


@needs_root
def test_syslog_gets_one_line(
    plugin: Launcher,
    environment: Environment,
    issuer: Issuer,
    syslog: tuple[socket.socket, list[str]],
) -> None:
    """Facility daemon, severity info, the record as JSON (RFC 3164)."""
    daemon, wrapper = syslog
    environment |= {"PATH": os.defpath, "GCP_LOG": "syslog"}
    credentials(plugin.run(environment, request(issuer.token(AUDIENCE)), wrapper=wrapper))
    line = daemon.recv(65536)
    head, _, record = line.partition(b"]: ")
    assert head.startswith(b"<30>")
    assert b" gcp-sa-credential-provider[" in head
    assert b"\n" not in line
    assert json.loads(record)["outcome"] == "OK"


@needs_root
def test_a_daemon_that_does_not_read_holds_no_pull(
    plugin: Launcher,
    environment: Environment,
    issuer: Issuer,
    journal: tuple[socket.socket, list[str]],
) -> None:
    """Its queue is full; the record is dropped."""
    daemon, wrapper = journal
    environment |= {"PATH": os.defpath, "GCP_LOG": "journal"}
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)  # noqa: FBT003 -- its only parameter
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"x", daemon.getsockname())
        credentials(plugin.run(environment, request(issuer.token(AUDIENCE)), wrapper=wrapper))


def test_a_file_gets_one_line_a_run(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer, home: Path
) -> None:
    """A success, a refusal, a request that was none; readable by its owner alone."""
    log = home / "plugin.log"
    environment["GCP_LOG"] = str(log)
    plugin.run(environment, request(issuer.token(AUDIENCE)))
    plugin.run(environment, request(issuer.token("other")))
    plugin.run(environment, b"{}")
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["outcome"] for record in records] == ["OK", "STS-AUDIENCE", "REQUEST-KIND"]
    assert [record.get("image") for record in records] == [IMAGE, IMAGE, None]
    assert log.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["link", "second name", "pipe", "folder of others"])
def test_an_unsafe_file_is_left_alone(
    plugin: Launcher, environment: Environment, issuer: Issuer, home: Path, kind: str
) -> None:
    """What somebody else could have put there is not written to; the pull goes on."""
    victim, log = home / "victim", home / "plugin.log"
    victim.write_bytes(b"as it was")
    if kind == "link":
        log.symlink_to(victim)
    elif kind == "second name":
        log.hardlink_to(victim)
    elif kind == "pipe":
        os.mkfifo(log)
    else:
        log = home / "shared" / "plugin.log"
        log.parent.mkdir()
        log.parent.chmod(0o777)
    environment["GCP_LOG"] = str(log)
    credentials(plugin.run(environment, request(issuer.token(AUDIENCE))))
    assert victim.read_bytes() == b"as it was"
    assert kind != "folder of others" or not log.exists()

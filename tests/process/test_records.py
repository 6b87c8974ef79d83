"""The log record as a process writes it: file, journal and syslog, and what it must never do."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Ended, Launcher, credentials, refusal
from scene import ACCOUNT, AUDIENCE, IMAGE, SUBJECT, request

Environment = dict[str, str]

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, for a mount namespace")


@dataclass(frozen=True)
class Daemon:
    """Who would take the records, and the plugin where it finds that daemon's socket."""

    socket: socket.socket
    plugin: Launcher
    environment: Environment
    wrapper: tuple[str, ...]

    def run(self, asked: bytes, **variables: str) -> Ended:
        """Run the plugin to its end."""
        environment = {**self.environment, "PATH": os.defpath, **variables}
        return self.plugin.run(environment, asked, wrapper=self.wrapper)

    def record(self) -> bytes:
        """What has come in."""
        return self.socket.recv(65536)


@contextmanager
def daemon(path: Path, plugin: Launcher, environment: Environment, mount: str) -> Iterator[Daemon]:
    """One that has bound its socket at `path`; `mount` brings that to its place."""
    wrapper = ("unshare", "--mount", "sh", "-c", f'{mount} && exec "$@"', "sh")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bound:
        bound.bind(str(path))
        bound.settimeout(5)
        yield Daemon(bound, plugin, environment, wrapper)


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
def journal(tmp_path: Path, plugin: Launcher, environment: Environment) -> Iterator[Daemon]:
    """A journal."""
    folder = tmp_path / "journal"
    folder.mkdir()
    mount = (
        "mount -t tmpfs none /run && mkdir -p /run/systemd/journal && "
        f"mount --bind {folder} /run/systemd/journal"
    )
    with daemon(folder / "socket", plugin, environment, mount) as running:
        yield running


@pytest.fixture
def syslog(tmp_path: Path, plugin: Launcher, environment: Environment) -> Iterator[Daemon]:
    """A syslog daemon."""
    folder = tmp_path / "dev"
    folder.mkdir()
    mount = (
        f"touch {folder}/null && mount --bind /dev/null {folder}/null && "
        f"mount --rbind {folder} /dev"
    )
    with daemon(folder / "log", plugin, environment, mount) as running:
        yield running


@needs_root
def test_the_journal_is_the_default_where_there_is_one(journal: Daemon, issuer: Issuer) -> None:
    """Who pulled what, as whom, how long it took."""
    asked = request(issuer.token(AUDIENCE))
    credentials(journal.run(asked, GCP_LOG="", GCP_SERVICE_ACCOUNT=ACCOUNT))
    fields = journal_fields(journal.record())
    assert fields["SYSLOG_IDENTIFIER"] == "gcp-sa-credential-provider"
    assert (fields["PRIORITY"], fields["GCP_SA_OUTCOME"]) == ("6", "OK")
    assert fields["GCP_SA_IMAGE"] == IMAGE
    assert fields["GCP_SA_SERVICEACCOUNT"] == "demo/puller"
    assert (fields["GCP_SA_SUBJECT"], fields["GCP_SA_ISSUER"]) == (SUBJECT, ISSUER)
    assert (fields["GCP_SA_KID"], fields["GCP_SA_ACCOUNT"]) == (issuer.kid, ACCOUNT)
    assert fields["GCP_SA_TRIES"] == "2"
    assert {"GCP_SA_MS_CONNECT", "GCP_SA_MS_TLS", "GCP_SA_MS_REQUEST"} <= set(fields)


@needs_root
def test_no_claim_can_forge_a_field(journal: Daemon, issuer: Issuer) -> None:
    """An issuer with line feeds, and a failure that is recorded with the line of stderr."""
    forged = issuer.token(AUDIENCE, iss="https://a\nPRIORITY=0\nMESSAGE=all is well\n\x1b[2J")
    ended = journal.run(request(forged), GCP_LOG="journal")
    assert refusal(ended) == (1, "STS-ISSUER")
    fields = journal_fields(journal.record())
    assert (fields["PRIORITY"], fields["GCP_SA_OUTCOME"]) == ("4", "STS-ISSUER")
    assert fields["MESSAGE"] == f"STS-ISSUER {IMAGE}"
    assert fields["GCP_SA_ISSUER"] == "https://a PRIORITY=0 MESSAGE=all is well ?[2J"
    assert fields["GCP_SA_MESSAGE"] == ended.stderr.decode()


@needs_root
def test_syslog_gets_one_line(syslog: Daemon, issuer: Issuer) -> None:
    """Facility daemon, severity info, the record as JSON (RFC 3164)."""
    credentials(syslog.run(request(issuer.token(AUDIENCE)), GCP_LOG="syslog"))
    line = syslog.record()
    head, _, record = line.partition(b"]: ")
    assert head.startswith(b"<30>")
    assert b" gcp-sa-credential-provider[" in head
    assert b"\n" not in line
    assert json.loads(record)["outcome"] == "OK"


@needs_root
def test_a_daemon_that_does_not_read_holds_no_pull(journal: Daemon, issuer: Issuer) -> None:
    """Its queue is full; the record is dropped."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)  # noqa: FBT003 -- its only parameter
        with suppress(BlockingIOError):
            while True:
                other.sendto(b"x", journal.socket.getsockname())
        credentials(journal.run(request(issuer.token(AUDIENCE)), GCP_LOG="journal"))


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

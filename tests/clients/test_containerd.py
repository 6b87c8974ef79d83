"""containerd's ctr pulls and pushes, led by hosts.toml as on a node."""

import os
import pty
import select
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clients.login import access_token
from clients.place import IMAGE, PRINCIPAL, REGISTRY, REPOSITORY
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.image import built_in
from gcp_sa_credential_provider.emulator.inprocess import Emulator

_INSTALL = "apt-get install containerd"
REFERENCE = f"{REGISTRY}/{IMAGE}:latest"
SECONDS = 60


class Ctr:
    """`ctr` against a containerd of its own."""

    def __init__(self, program: str, address: Path, hosts: Path, token: str) -> None:
        self._base = [program, "--address", str(address), "--namespace", "test"]
        self._hosts = hosts
        self._token = token

    def local(self, *arguments: str) -> str:
        """A command without the registry."""
        done = subprocess.run(
            [*self._base, *arguments], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def remote(self, *arguments: str) -> tuple[int, str]:
        """A command with the registry: exit status and output.

        The password goes to a terminal, where ctr asks for it: it is never an argument.
        """
        options = ["--hosts-dir", str(self._hosts), "--user", "oauth2accesstoken"]
        command, verb, *rest = arguments
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            [*self._base, command, verb, *options, *rest],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
        ) as process:
            os.close(theirs)
            said = self._converse(ours, process)
        os.close(ours)
        return process.returncode, said

    def _converse(self, terminal: int, process: subprocess.Popen[bytes]) -> str:
        said, answered = b"", False
        watchdog = threading.Timer(SECONDS, process.kill)
        watchdog.start()
        try:
            while True:
                select.select([terminal], [], [])
                part = os.read(terminal, 65536)
                said += part
                if not answered and b"Password" in said:
                    os.write(terminal, f"{self._token}\n".encode())
                    answered = True
        except OSError:  # EIO: the other side of the terminal is closed
            process.wait()
        finally:
            watchdog.cancel()
        return said.decode(errors="replace")


@pytest.fixture
def containerd(client: Callable[[str, str], str], tmp_path: Path) -> Iterator[Path]:
    """The socket of a containerd without CRI, whose state is below tmp_path."""
    if os.geteuid() != 0:
        pytest.skip("containerd wants root")
    socket = tmp_path / "c.sock"
    config = tmp_path / "containerd.toml"
    config.write_text(
        f'version = 2\nroot = "{tmp_path}/root"\nstate = "{tmp_path}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]\n'
        f'[grpc]\naddress = "{socket}"\n[ttrpc]\naddress = "{socket}.ttrpc"\n'
    )
    with subprocess.Popen(
        [client("containerd", _INSTALL), "--config", config],
        stderr=subprocess.PIPE,
        text=True,
    ) as daemon:
        assert daemon.stderr is not None
        drain = threading.Thread(target=daemon.stderr.read)
        try:
            assert any("containerd successfully booted" in line for line in daemon.stderr)
            drain.start()
            yield socket
        finally:
            daemon.terminate()
            if drain.ident is not None:
                drain.join()


@pytest.fixture
def hosts(tmp_path: Path, google: Emulator) -> Path:
    """certs.d: the registry's name leads to the emulator, for pulls and for pushes."""
    directory = tmp_path / "certs.d"
    (directory / REGISTRY).mkdir(parents=True)
    (directory / REGISTRY / "hosts.toml").write_text(
        f'server = "https://{REGISTRY}"\n[host."{google.endpoints["registry"]}"]\n'
        f'capabilities = ["pull", "resolve", "push"]\nca = "{google.ca_pem}"\n'
    )
    return directory


@pytest.fixture
def ctr(
    client: Callable[[str, str], str],
    containerd: Path,
    hosts: Path,
    google: Emulator,
    issuer: Issuer,
) -> Ctr:
    """Ready to pull and push as the subject."""
    return Ctr(client("ctr", _INSTALL), containerd, hosts, access_token(google, issuer))


def test_pull_and_push(google: Emulator, ctr: Ctr) -> None:
    """The image comes down whole, and goes up under another tag."""
    status, said = ctr.remote("images", "pull", "--snapshotter", "native", REFERENCE)
    assert status == 0, said
    assert built_in().digest in ctr.local("images", "ls")
    status, said = ctr.remote("images", "push", f"{REGISTRY}/{IMAGE}:copy", REFERENCE)
    assert status == 0, said
    pushed = [entry for entry in google.log.entries("registry") if entry["method"] == "PUT"]
    assert pushed[-1]["path"] == f"/v2/{IMAGE}/manifests/copy"
    assert {entry["principal"] for entry in pushed} == {PRINCIPAL}


def test_a_missing_grant(google: Emulator, ctr: Ctr) -> None:
    """The runtime shows a 403, as on a node."""
    google.revoke(REPOSITORY, "roles/artifactregistry.writer", PRINCIPAL)
    status, said = ctr.remote("images", "pull", "--snapshotter", "native", REFERENCE)
    assert status != 0
    assert "403" in said

"""`setup` on a terminal: what is asked, what is not, and how people leave."""

import contextlib
import os
import pty
import re
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from process import launch
from process.api_server import TOKEN, ApiServer

PATIENCE = 30  # seconds for one answer of the program


class Terminal:
    """A program at the other side of a pseudo-terminal."""

    def __init__(self, controller: int, running: subprocess.Popen[bytes]) -> None:
        self._controller = controller
        self._running = running
        self._unread = ""
        self.shown = ""
        """All that was on the screen, without control sequences."""

    def expect(self, text: str) -> None:
        """Wait until it is shown, after what was expected before."""
        while text not in self._unread:
            if not self._read():
                pytest.fail(f"{text!r} was never shown, after:\n{self.shown}")
        self._unread = self._unread.partition(text)[2]

    def answer(self, question: str, line: str = "") -> None:
        """Wait for a question, and type a line."""
        self.expect(question)
        self.press(f"{line}\n")

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self._controller, keys.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C until it ends, as a person would.

        CPython notices one that comes between a question's text and the wait for its answer only
        with the next.
        """
        for _ in range(PATIENCE // 2):
            self.press("\x03")
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running.wait(2)
                return

    def end(self) -> int:
        """Its exit code, once it has ended."""
        while self._read():
            pass
        assert TOKEN not in self.shown
        return self._running.wait(PATIENCE)

    def _read(self) -> bool:
        """More of the screen; False at its end."""
        ready, _, _ = select.select([self._controller], [], [], PATIENCE)
        assert ready, f"silent for {PATIENCE} s after:\n{self.shown}"
        with contextlib.suppress(OSError):  # how Linux says that nobody is there any more
            if read := os.read(self._controller, 65536):
                text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "", read.decode())
                self.shown += text
                self._unread += text
                return True
        return False


@contextlib.contextmanager
def terminal(folder: Path, cluster: ApiServer, *words: str) -> Iterator[Terminal]:
    """`setup` in a folder, its three descriptors at a terminal of its own."""
    controller, side = pty.openpty()
    script = launch.console()
    environment = {
        **script.environment,
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TERM": "xterm",
        "COLUMNS": "400",
    }
    with subprocess.Popen(
        # A session of its own, so that Ctrl-C at the terminal reaches it.
        [
            "setsid",
            "--ctty",
            *script.command,
            "setup",
            "--kubeconfig",
            str(cluster.kubeconfig()),
            *words,
        ],
        cwd=folder,
        env=environment,
        stdin=side,
        stdout=side,
        stderr=side,
    ) as running:
        os.close(side)
        try:
            yield Terminal(controller, running)
        finally:
            running.kill()
            os.close(controller)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_conversation(here: Path, cluster: ApiServer) -> None:
    """The cluster is shown, then only people's own things are asked; slips are asked again."""
    with terminal(here, cluster) as screen:
        screen.answer("Name of the cluster [east]: ")
        screen.expect("found Kubernetes 1.34, issuer https://kubernetes.default.svc.cluster.local")
        screen.answer("Google project id: ", "123456789012")
        screen.expect("is a project number, and the id belongs here")
        screen.answer("Google project id: ", "my-project")
        screen.answer("Google project number: ")
        screen.expect("an answer is needed")
        screen.answer("Google project number: ", "123456789012")
        screen.answer("NAME): ", "europe-docker.pkg.dev/my-project/images")
        screen.answer("empty ends: ")
        screen.answer("Who may pull", "team-0/robot-1")
        screen.answer("empty ends: ", "team-9")
        screen.answer("empty ends: ")
        screen.expect("not in the cluster yet: team-9")
        screen.expect("+  - name: east")
        screen.answer("Write this? [y/N] ", "y")
        assert screen.end() == 0
        assert "--keys" not in screen.shown
        assert "Distribution" not in screen.shown
    fleet = yaml.safe_load((here / "fleet.yaml").read_text())
    assert fleet["google"] == {"projectId": "my-project", "projectNumber": "123456789012"}
    assert [puller["namespace"] for puller in fleet["pull"]] == ["team-0", "team-9"]
    assert fleet["repositories"] == [{"name": "images", "location": "europe"}]


ALL = (
    *("--name", "east", "--project-id", "my-project", "--project-number", "123456789012"),
    *("--repository", "europe-docker.pkg.dev/my-project/images", "--pull", "team-0"),
)


def test_nothing_is_asked_that_is_said(here: Path, cluster: ApiServer) -> None:
    """All flags: one question is left, and --yes answers that."""
    with terminal(here, cluster, *ALL, "--yes") as screen:
        assert screen.end() == 0
        assert "wrote fleet.yaml" in screen.shown


def test_keys_are_asked_where_a_name_does_not_tell(here: Path, cluster: ApiServer) -> None:
    cluster.issuer = "https://issuer.example.com"
    with terminal(here, cluster, *ALL) as screen:
        screen.answer("or not (uploaded) [uploaded]: ", "fetched")
        screen.answer("Write this? [y/N] ", "y")
        assert screen.end() == 0
    (written,) = yaml.safe_load((here / "fleet.yaml").read_text())["clusters"]
    assert written["keys"] == "fetched"


@pytest.mark.parametrize("keys", ["n\n", "\n", "\x04"], ids=["no", "empty", "Ctrl-D"])
def test_no_is_no(here: Path, cluster: ApiServer, keys: str) -> None:
    with terminal(here, cluster, *ALL) as screen:
        screen.expect("Write this? [y/N] ")
        screen.press(keys)
        assert screen.end() == 0
        assert "nothing written" in screen.shown
    assert list(here.iterdir()) == []


def test_ctrl_c(here: Path, cluster: ApiServer) -> None:
    """Halfway through the questions nothing is there yet."""
    with terminal(here, cluster) as screen:
        screen.expect("Name of the cluster [east]: ")
        screen.interrupt()
        assert screen.end() == 130
        assert "interrupted, nothing written" in screen.shown
    assert list(here.iterdir()) == []


def test_ctrl_d(here: Path, cluster: ApiServer) -> None:
    """As Ctrl-C."""
    with terminal(here, cluster) as screen:
        screen.expect("Name of the cluster [east]: ")
        screen.press("\x04")
        assert screen.end() == 2
        assert "terminal: the input ended. Fix: run it again, or give flags" in screen.shown
    assert list(here.iterdir()) == []

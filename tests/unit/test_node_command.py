"""Programs of the host."""

import os
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import command
from gcp_sa_credential_provider.node.failure import Failed
from gcp_sa_credential_provider.node.files import Root

HERE = Root(Path("/"))


def test_a_program_is_run_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "secret")
    script = 'read line; echo "$line $TOKEN$A"; echo no >&2; exit 3'
    ended = command.run(HERE, ["sh", "-c", script], environment={"A": "1"}, input=b"in\n")
    assert ended == command.Ended(3, "in 1\n", "no\n")
    assert ended.said == "no"


def test_what_is_said_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = command.run(HERE, ["sh", "-c", "seq 1000"])
    assert len(ended.said) == 400
    assert ended.said.endswith(" 999 1000")
    assert command.Ended(0, "", "").said == "nothing"


def test_a_program_that_does_not_end() -> None:
    with pytest.raises(Failed, match=r"^sh: did not end within 0 s. Fix: run it by hand"):
        command.run(HERE, ["sh", "-c", "kill -STOP $$"], seconds=0.1)


def test_a_program_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("")
    with pytest.raises(Failed, match=r"/p: cannot be run: Permission denied. Fix: see that it is"):
        command.run(HERE, [str(tmp_path / "p")])


@pytest.mark.skipif(os.geteuid() != 0, reason="chroot needs root")
def test_a_program_of_another_tree(tmp_path: Path) -> None:
    """It, and nothing around it, is found there."""
    with pytest.raises(Failed, match="sh: cannot be run: No such file or directory"):
        command.run(Root(tmp_path), ["sh", "-c", "exit"])


def test_nobody_else_enters_another_tree(tmp_path: Path) -> None:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        if os.geteuid() == 0:
            os.setuid(65534)
        try:
            command.run(Root(Path("/usr")), ["sh", "-c", "exit"])
        except Failed as failed:
            os.write(write, str(failed).encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as said:
        assert said.read() == (
            "sh: cannot be run in /usr. Fix: run this as root; in a pod with hostPID and the"
            " capabilities SYS_CHROOT and SYS_PTRACE"
        )

"""The one door, in this process; tests/process goes through it as the kubelet does."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from gcp_sa_credential_provider import __main__
from gcp_sa_credential_provider.cli import main as cli
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.host import Host, check_descriptors, this_process
from gcp_sa_credential_provider.plugin.line import explain
from gcp_sa_credential_provider.version import VERSION


@pytest.mark.parametrize("module", ["_json", "_socket", "_ssl", "_thread", "binascii", "resource"])
def test_a_missing_c_module_is_named(module: str) -> None:
    """The self-check of the start, where Python has all modules but this one."""
    code = f"import sys; sys.modules[{module!r}] = None; sys.argv[1:] = []\n"
    code += "from gcp_sa_credential_provider.__main__ import main; main()"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__main__.__file__).parents[1])},
        input=b"",
        capture_output=True,
        check=False,
    )
    version = ".".join(map(str, sys.version_info[:3]))
    failure = Failure("STARTUP-MODULE", module=module, version=version)
    assert (done.returncode, done.stderr.decode()) == (2, explain(failure, [], 0))


def test_a_limit_of_cores_that_is_not_ours_to_raise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever started us allows no dump; 1 would be more."""
    asked: list[tuple[int, int]] = []

    def setrlimit(_: int, limits: tuple[int, int]) -> None:
        asked.append(limits)
        if limits[1]:
            raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", setrlimit)
    this_process()
    assert asked == [(1, 1), (0, 0)]


def test_the_environment_is_text_whatever_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that are no UTF-8 survive as surrogates and are refused later."""
    monkeypatch.setitem(os.environb, b"GCP_TEST", b"\xff")
    # posix.environ is the environment at the start; os.environb only imitates it.
    import posix

    monkeypatch.setitem(posix.environ, b"GCP_TEST", b"\xff")
    host = this_process()
    assert host.environment["GCP_TEST"] == "\udcff"
    assert (host.stdin, host.stdout, host.stderr) == (0, 1, 2)


def test_a_closed_descriptor_gets_a_place_to_go(tmp_path: Path) -> None:
    """So that no socket takes its number."""
    fd = os.open(tmp_path, os.O_RDONLY)
    os.close(fd)
    host = Host(environment={}, stdin=fd, stdout=1, stderr=fd + 20, exit=lambda _: None)
    check_descriptors(host)
    for opened in (fd, fd + 20):
        assert os.readlink(f"/proc/self/fd/{opened}") == "/dev/null"
        os.close(opened)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """The one literal."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"gcp-sa-credential-provider {VERSION}\n"


def test_no_command_is_help_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """Stdout stays empty: it is the kubelet's."""
    assert cli.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    for command in cli.COMMANDS:
        assert command in err


def test_an_unknown_word_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    """With nothing on stdout."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["frobnicate"])
    assert ended.value.code == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_has_help_of_its_own(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Enough alone: usage, what it does, its arguments."""
    with pytest.raises(SystemExit) as ended:
        cli.main([command, "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert out.startswith(f"usage: gcp-sa-credential-provider {command}")


def test_a_missing_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the command that installs it."""

    class Lacking:
        @staticmethod
        def add(parser: object) -> None:
            """No arguments."""

        @staticmethod
        def run(args: object) -> int:
            raise ModuleNotFoundError("No module named 'yaml'", name="yaml")

    monkeypatch.setattr(cli, "_module", lambda _: Lacking)
    assert cli.main(["demo"]) == 2
    err = capsys.readouterr().err
    assert err.endswith(
        "the Python module yaml is not installed. Fix: in a checkout of this project: pip install"
        " '.[emulator]'\n"
    )

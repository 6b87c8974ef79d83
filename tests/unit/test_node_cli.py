"""The commands of `node`: what they are, and how they end."""

import argparse
import os
import sys
from pathlib import Path

import pytest

from gcp_sa_credential_provider.cli import main, node
from gcp_sa_credential_provider.node import uninstall
from gcp_sa_credential_provider.node.act import Host
from gcp_sa_credential_provider.node.failure import Failed, Refused

COMMANDS = (
    "install",
    "status",
    "uninstall",
    "rollback",
    "reconcile",
    "agent",
    "rollout",
    "uninstall-all",
)


def test_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """All of them are in the one parser, those of the cluster's pods too."""
    with pytest.raises(SystemExit):
        main.parser("node").parse_args(["node", "--help"])
    told = capsys.readouterr().out
    assert [name for name in COMMANDS if f"\n    {name}" not in told] == []


@pytest.mark.parametrize(
    ("words", "live", "root", "restart", "dry_run"),
    [
        ([], True, "/", True, False),
        (["--host-root={}"], True, "{}", True, False),
        (["--root={}"], False, "{}", True, False),
        (["--no-restart", "--dry-run"], True, "/", False, True),
    ],
)
def test_the_host(
    words: list[str],
    live: bool,  # noqa: FBT001 -- as above
    root: str,
    restart: bool,  # noqa: FBT001 -- as above
    dry_run: bool,  # noqa: FBT001 -- as above
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """`--root` is a tree of files; everything else is a host that runs."""
    seen: list[Host] = []
    monkeypatch.setattr(uninstall, "run", seen.append)
    given = [word.format(tmp_path) for word in words]
    assert main.main(["node", "uninstall", *given]) == 0
    (host,) = seen
    assert (host.live, host.restart, host.dry_run) == (live, restart, dry_run)
    assert str(host.root.path) == root.format(tmp_path)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (Refused("no. Fix: not."), 2, "no. Fix: not."),
        (Failed("no. Fix: not."), 1, "no. Fix: not."),
        (OSError(13, "Permission denied", "/x"), 1, "/x: Permission denied. Fix: run this as root"),
        (KeyboardInterrupt(), 1, "broken off (Ctrl-C). Fix: see `node status`"),
    ],
)
def test_how_it_ends(
    error: BaseException,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each kind of failure has its exit code."""

    def run(_: Host) -> None:
        raise error

    monkeypatch.setattr(uninstall, "run", run)
    assert main.main(["node", "uninstall"]) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"gcp-sa-credential-provider node uninstall: {text}")


def test_nobody_listens_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """`node install | head`: the change goes on to its end, or the switch would undo it."""
    done: list[str] = []

    def run(host: Host) -> None:
        for line in ("one", "two"):
            host.say(line)
            done.append(line)

    read, write = os.pipe()
    os.close(read)
    monkeypatch.setattr(uninstall, "run", run)
    with os.fdopen(write, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        assert main.main(["node", "uninstall"]) == 0
    assert done == ["one", "two"]


def test_two_roots() -> None:
    with pytest.raises(SystemExit) as ended:
        main.parser("node").parse_args(["node", "status", "--root=/a", "--host-root=/b"])
    assert ended.value.code == 2


def test_minor() -> None:
    args = main.parser("node").parse_args(["node", "reconcile", "--minor=v1.34.1"])
    assert isinstance(args, argparse.Namespace)
    assert args.minor == (1, 34)
    assert args.act is not None
    assert node.run is not None

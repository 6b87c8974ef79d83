"""`emulate` as a process: ready line, signals, errors and exit statuses."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from emulator.world import AUDIENCE, request_of, world
from gcp_sa_credential_provider.cli import emulate
from gcp_sa_credential_provider.demo.issuer import Issuer
from loopback import free_port

NO_FILES = {"state": None, "images": None, "audit": None}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "gcp_sa_credential_provider", "emulate", *map(str, arguments)]


@contextmanager
def running(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """The process, once it said that it is ready; killed if the test left it running."""
    with subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert "ready at https://127.0.0.1:" in process.stdout.readline()
            yield process
        finally:
            process.kill()


def failed(*arguments: str | Path) -> tuple[int, str, str]:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=30, check=False
    )
    return done.returncode, done.stdout, done.stderr


@pytest.fixture
def config(tmp_path: Path, issuer: Issuer) -> Path:
    """The small world as a file."""
    path = tmp_path / "c.json"
    path.write_text(json.dumps(world(issuer.jwks, proxy={})))
    return path


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_and_stop(tmp_path: Path, config: Path, issuer: Issuer, number: int) -> None:
    """An exchange over an open connection, a signal, exit 0, silence, no files."""
    directory = tmp_path / "google"
    with running("--dir", directory, "--config", config) as process:
        endpoints = json.loads((directory / "endpoints.json").read_text())
        with httpx.Client(trust_env=False) as client:
            url = f"{endpoints['http']['sts']}/v1/token"
            fields = request_of(issuer.token(AUDIENCE))
            assert client.post(url, data=fields).status_code == 200
            assert endpoints["proxy"].startswith("http://127.0.0.1:")
            process.send_signal(number)
            out, err = process.communicate(timeout=10)
    assert (process.returncode, out, err) == (0, "", "")
    assert list(directory.iterdir()) == []


def test_ports(tmp_path: Path) -> None:
    """https, http and control stand side by side."""
    port = free_port(3)
    with running("--dir", tmp_path, "--port", str(port)):
        endpoints = json.loads((tmp_path / "endpoints.json").read_text())
        code, out, err = failed("--dir", tmp_path / "second", "--port", str(port))
    assert endpoints["sts"] == f"https://127.0.0.1:{port}"
    assert endpoints["http"]["sts"] == f"http://127.0.0.1:{port + 1}"
    assert endpoints["control"] == f"http://127.0.0.1:{port + 2}/_emulator"
    assert (code, out) == (1, "")
    assert f"cannot serve: 127.0.0.1:{port}: Address already in use. Fix: " in err
    assert not (tmp_path / "second").exists()


def test_a_wrong_configuration(tmp_path: Path) -> None:
    """Exit 2, one line with file, place and fix, nothing written."""
    path = tmp_path / "c.yaml"
    path.write_text("projects:\n  - projectId: a\n    projectNumber: b\n")
    expected = (
        f"gcp-sa-credential-provider emulate: {path}: projects[0]: projectNumber: must be digits"
        " (not 'b'). Fix: take it from `gcloud projects describe`\n"
    )
    assert failed("--dir", tmp_path / "new", "--config", path) == (2, "", expected)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("port", ["x", "-1", "65534", "²"])
def test_a_wrong_port(tmp_path: Path, port: str) -> None:
    """The argument parser's own exit status and form."""
    code, _, err = failed("--dir", tmp_path, f"--port={port}")
    assert code == 2
    assert f"{port!r} is not a port from 0 to 65533" in err


def test_a_directory_that_cannot_be(tmp_path: Path) -> None:
    """A file stands where the directory should."""
    (tmp_path / "file").touch()
    code, _, err = failed("--dir", tmp_path / "file")
    assert code == 1
    assert f"cannot serve: {tmp_path / 'file'}: File exists. Fix: " in err


def test_without_the_extra(tmp_path: Path) -> None:
    """A missing library is named with the command that brings it."""
    program = (
        "import sys; sys.modules['hypercorn'] = None;"
        " from gcp_sa_credential_provider.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "emulate", "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "gcp-sa-credential-provider emulate: the module hypercorn is missing. Fix: in a checkout"
        " of this project: pip install '.[emulator]'\n"
    )


def test_exit_statuses_in_this_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same errors, for who calls `run` from Python."""
    (tmp_path / "file").touch()
    config = tmp_path / "c.yaml"
    config.write_text("pools: []")
    arguments = argparse.Namespace(dir=tmp_path / "file", port=0, config=config, **NO_FILES)
    assert emulate.run(arguments) == 2
    assert "pools: unknown key" in capsys.readouterr().err
    arguments.config = None
    assert emulate.run(arguments) == 1
    assert "File exists" in capsys.readouterr().err


def test_stopping_in_this_process(tmp_path: Path) -> None:
    """SIGTERM ends `run` with 0."""
    read_end, write_end = os.pipe()
    said: list[str] = []

    def stop_when_ready() -> None:
        with os.fdopen(read_end) as lines:
            said.append(lines.readline())
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop_when_ready)
    thread.start()
    arguments = argparse.Namespace(dir=tmp_path, port=0, config=None, **NO_FILES)
    with os.fdopen(write_end, "w") as output, contextlib.redirect_stdout(output):
        assert emulate.run(arguments) == 0
    thread.join()
    assert "ready at https://127.0.0.1:" in said[0]

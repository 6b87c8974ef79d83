"""Descriptors as a careless parent may leave them: closed, broken, full, without an end."""

import fcntl
import os
import pty
import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Ended, Launcher, credentials, outcome, refusal
from scene import AUDIENCE, request

Environment = dict[str, str]


def closing(*descriptors: int) -> Callable[[], None]:
    """Close these in the child, before the program starts."""

    def close() -> None:
        for descriptor in descriptors:
            os.close(descriptor)

    return close


@pytest.fixture
def asked(issuer: Issuer) -> bytes:
    """A good request."""
    return request(issuer.token(AUDIENCE))


def test_closed_stdin_is_an_empty_request(plugin: Launcher, environment: Environment) -> None:
    """Its number is not given to a socket that would then be read as a request."""
    ended = plugin.run(environment, prepare=closing(0))
    assert refusal(ended) == (2, "REQUEST-EMPTY")


def test_closed_stdout_is_told(
    plugin: Launcher, environment: Environment, google: Emulator, asked: bytes
) -> None:
    """Its number is not given to a socket that the response would then be written to."""
    ended = plugin.run(environment, asked, prepare=closing(1))
    assert refusal(ended) == (2, "STDOUT-CLOSED")
    assert google.log.entries() == [], "no token is asked for that nobody can be given"


def test_closed_stderr_does_not_matter_to_a_pull(
    plugin: Launcher, environment: Environment, asked: bytes
) -> None:
    """The response is complete and alone."""
    credentials(plugin.run(environment, asked, prepare=closing(2)))


def test_closed_stderr_does_not_change_the_exit_code(
    plugin: Launcher, environment: Environment
) -> None:
    """Nor does the line land in stdout."""
    ended = plugin.run(environment, b"{}", prepare=closing(2))
    assert ended == Ended(2, b"", b"")


@pytest.mark.parametrize("descriptors", [(1, 2), (0, 1, 2)])
def test_closed_stdout_and_stderr_are_a_failure(
    plugin: Launcher, environment: Environment, asked: bytes, descriptors: tuple[int, ...]
) -> None:
    """A response that went nowhere is no success."""
    ended = plugin.run(environment, asked, prepare=closing(*descriptors))
    assert ended == Ended(2, b"", b"")


def test_stdout_whose_reader_is_gone(
    plugin: Launcher, environment: Environment, asked: bytes
) -> None:
    """EPIPE is told in the line; SIGPIPE kills nobody."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        with plugin.started(environment, asked, stdout=write_end) as process:
            ended = plugin.ended(process)
    finally:
        os.close(write_end)
    assert refusal(ended) == (2, "STDOUT-CLOSED")


def test_stderr_whose_reader_is_gone(plugin: Launcher, environment: Environment) -> None:
    """The exit code says it all the same."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    try:
        with plugin.started(environment, b"{}", stderr=write_end) as process:
            ended = plugin.ended(process)
    finally:
        os.close(write_end)
    assert (ended.code, ended.stdout) == (2, b"")


@contextmanager
def full_pipe() -> Iterator[tuple[int, int]]:
    """A pipe that takes nothing more; its reader does not read."""
    read_end, write_end = os.pipe()
    try:
        size = fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
        os.write(write_end, b"x" * size)
        yield read_end, write_end
    finally:
        os.close(read_end)
        os.close(write_end)


def test_stdout_that_nobody_reads(plugin: Launcher, environment: Environment, asked: bytes) -> None:
    """The watchdog ends it with a line."""
    environment["GCP_TIMEOUT"] = "1"
    with (
        full_pipe() as (_, write_end),
        plugin.started(environment, asked, stdout=write_end) as process,
    ):
        ended = plugin.ended(process, 1)
    assert refusal(ended) == (2, "STDOUT-TIMEOUT")


def test_stderr_that_nobody_reads(plugin: Launcher, environment: Environment) -> None:
    """The line is given up after half a second; the exit code stands."""
    with (
        full_pipe() as (_, write_end),
        plugin.started(environment, b"{}", stderr=write_end) as process,
    ):
        ended = plugin.ended(process)
    assert (ended.code, ended.stdout) == (2, b"")


def test_stdout_on_a_full_disk(plugin: Launcher, environment: Environment, asked: bytes) -> None:
    """ENOSPC, as /dev/full says it."""
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        with plugin.started(environment, asked, stdout=full) as process:
            ended = plugin.ended(process)
    finally:
        os.close(full)
    assert refusal(ended) == (2, "STDOUT-CLOSED")


def test_stdin_that_never_ends(plugin: Launcher, environment: Environment, asked: bytes) -> None:
    """The whole request is there and whoever started us keeps the pipe open."""
    environment["GCP_TIMEOUT"] = "1"
    with plugin.started(environment, subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(asked)
        process.stdin.flush()
        assert process.wait(6) == 2
        assert process.stdout is not None
        assert process.stderr is not None
        ended = Ended(process.returncode, process.stdout.read(), process.stderr.read())
    assert refusal(ended) == (2, "REQUEST-TIMEOUT")


def test_stdin_that_cannot_be_read(plugin: Launcher, environment: Environment) -> None:
    """EBADF: open, but for writing."""
    write_only = os.open(os.devnull, os.O_WRONLY)
    try:
        with plugin.started(environment, write_only) as process:
            ended = plugin.ended(process)
    finally:
        os.close(write_only)
    assert refusal(ended) == (2, "REQUEST-READ")


def test_a_terminal_on_stderr_gets_a_newline(plugin: Launcher, environment: Environment) -> None:
    """A person reads it there; the kubelet gets the line without one."""
    controller, terminal = pty.openpty()
    try:
        with plugin.started(environment, b"{}", stderr=terminal) as process:
            assert plugin.ended(process).code == 2
        shown = os.read(controller, 4096)
    finally:
        os.close(controller)
        os.close(terminal)
    assert shown.startswith(b"gcp-sa-credential-provider: [REQUEST-KIND] ")
    assert shown.endswith(b"\r\n")
    assert shown.count(b"\n") == 1


def test_no_thread_to_spare(plugin: Launcher, environment: Environment, asked: bytes) -> None:
    """A node at its limit of processes: the watchdog's thread cannot start, and that is told."""

    def starve() -> None:
        # The stack of a new thread is as large as this limit says, and there is no such memory.
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        resource.setrlimit(resource.RLIMIT_STACK, (1 << 40, resource.RLIM_INFINITY))

    ended = plugin.run(environment, asked, prepare=starve)
    # musl's threads are small whatever the limit says: there the pull simply works.
    assert outcome(ended)[1] in ("STARTUP-THREAD", "")

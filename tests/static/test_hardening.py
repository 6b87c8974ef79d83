"""What the file is, what it touches, and what it can do without."""

import os
import re
import resource
import shutil
import struct
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Launcher, credentials, refusal
from raw_server import answering

Environment = dict[str, str]

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: chroot and mount namespaces")

# Program header types and flags: elf.h.
PT_INTERP, PT_GNU_STACK, PT_GNU_RELRO, PF_X = 3, 0x6474E551, 0x6474E552, 1
ET_DYN = 3

# All that an exchange may call. None is newer than Linux 4.18; the oldest kernel that a supported
# distribution runs is RHEL 8's.
SYSCALLS = set(
    """
    arch_prctl bind brk clock_gettime clock_nanosleep clone close connect execve exit
    exit_group fcntl fstat futex getdents64 getpeername getpid getrandom getsockname
    getsockopt gettid getuid geteuid ioctl lseek madvise mmap mprotect mremap munmap
    nanosleep newfstatat open openat poll ppoll prctl pread64 prlimit64 read readv recvfrom
    recvmsg rt_sigaction rt_sigprocmask rt_sigreturn sched_getaffinity sched_yield sendmsg
    sendto set_robust_list set_tid_address setsockopt shutdown socket stat tgkill uname
    write writev
    """.split()  # noqa: SIM905 -- words are read better than a column of literals
)


def headers(path: Path) -> tuple[int, list[tuple[int, int]]]:
    """ELF type, and (type, flags) of each program header of a 64-bit little-endian file."""
    data = path.read_bytes()
    kind = struct.unpack_from("<H", data, 16)[0]
    offset = struct.unpack_from("<Q", data, 32)[0]
    size, count = struct.unpack_from("<HH", data, 54)
    return kind, [struct.unpack_from("<II", data, offset + size * i) for i in range(count)]


def test_the_file_is_position_independent_and_static(static_file: Path) -> None:
    """Static PIE: a random place, no interpreter, no executable stack, constants read-only."""
    kind, found = headers(static_file)
    types = [kind for kind, _ in found]
    assert kind == ET_DYN
    assert PT_INTERP not in types
    assert PT_GNU_RELRO in types
    assert dict(found)[PT_GNU_STACK] & PF_X == 0
    assert all(flags & 3 != 3 for _, flags in found), "nothing is both writable and executable"


def test_size(static_file: Path) -> None:
    """Its budget."""
    assert static_file.stat().st_size <= 12_000_000


def waiting(
    plugin: Launcher, environment: Environment, asked: bytes, look: Callable[[int], str]
) -> str:
    """What `look` sees of the process while it waits for Google, which is silent."""
    with answering(b"") as silent:
        environment["GCP_STS_ENDPOINT"] = silent.url
        environment["GCP_TIMEOUT"] = "55"
        reading, writing = os.pipe()
        with plugin.started(environment, reading) as process:
            os.close(reading)
            os.write(writing, asked[:10])
            # The process reads only once it is set up, and then waits for the rest.
            while not _sleeps_in_read(process.pid):
                os.sched_yield()
            seen = look(process.pid)
            os.close(writing)
    return seen


def _sleeps_in_read(pid: int) -> bool:
    fields = Path(f"/proc/{pid}/syscall").read_text().split()
    return fields[:2] in (["0", "0x0"], ["63", "0x0"])  # read(0, ...) of amd64 and arm64


@as_root
def test_memory_of_the_running_process(
    static_plugin: Launcher, environment: Environment, asked: bytes
) -> None:
    """RELRO is in force, though no loader has made it so."""
    maps = waiting(
        static_plugin, environment, asked, lambda pid: Path(f"/proc/{pid}/maps").read_text()
    )
    ours = [line.split()[1] for line in maps.splitlines() if static_plugin.command[0] in line]
    # Headers and constants; code; relocated constants; data.
    assert ours == ["r--p", "r-xp", "r--p", "rw-p"]


@as_root
def test_no_dump_and_no_debugger(
    static_plugin: Launcher, environment: Environment, asked: bytes
) -> None:
    """Not dumpable: its /proc belongs to root, whoever runs it; no core file either."""

    def look(pid: int) -> str:
        limits = Path(f"/proc/{pid}/limits").read_text()
        return next(line for line in limits.splitlines() if line.startswith("Max core"))

    assert waiting(static_plugin, environment, asked, look).split()[4:6] == ["0", "0"]

    def owner(pid: int) -> str:
        return str(Path(f"/proc/{pid}/environ").stat().st_uid)

    nobody = Launcher("nobody", ("setpriv", "--reuid=65534", "--clear-groups", *_of(static_plugin)))
    path = {"PATH": os.defpath}
    assert waiting(nobody, environment | path, asked, owner) == "0"


def _of(plugin: Launcher) -> tuple[str, ...]:
    # A folder that only root may enter is in the way of another user; a descriptor is not.
    descriptor = os.open(plugin.command[0], os.O_RDONLY)
    os.set_inheritable(descriptor, True)  # noqa: FBT003 -- the function's own signature
    return (f"/proc/{os.getpid()}/fd/{descriptor}",)


def traced(
    plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> Mapping[str, list[str]]:
    """The calls of one exchange by name, with their arguments."""
    trace = tmp_path / "trace"
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("needs strace (Debian: strace)")
    done = plugin.run(environment, asked, wrapper=[strace, "-f", "-qq", "-o", str(trace)])
    credentials(done)
    calls: dict[str, list[str]] = {}
    for line in trace.read_text().splitlines():
        if match := re.match(r"\d+ +(\w+)\((.*)", line):
            calls.setdefault(match[1], []).append(match[2])
    return calls


def test_system_calls(
    static_plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """Old ones only, and no process is started."""
    calls = traced(static_plugin, environment, asked, tmp_path)
    assert set(calls) - SYSCALLS == set()
    assert len(calls["execve"]) == 1


def test_files_opened(
    static_plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """The trust store and the time zone; with an address for a name, nothing of the resolver."""
    calls = traced(static_plugin, environment, asked, tmp_path)
    opened = {
        match[1]
        for name in ("open", "openat")
        for arguments in calls.get(name, [])
        if (match := re.search(r'"([^"]*)"', arguments))
    }
    assert opened == {environment["SSL_CERT_FILE"], "/etc/localtime"}


def test_randomness_is_asked_for(
    static_plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """The hash seed and OpenSSL's."""
    assert len(traced(static_plugin, environment, asked, tmp_path)["getrandom"]) >= 2


def test_variables_of_python_are_not_read(
    static_plugin: Launcher, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """None of them changes anything; nor does a configuration of OpenSSL."""
    (tmp_path / "openssl.cnf").write_text("this is = [no configuration\n")
    hostile = {
        "PYTHONHOME": "/nowhere",
        "PYTHONPATH": str(tmp_path),
        "PYTHONVERBOSE": "1",
        "PYTHONMALLOC": "debug",
        "PYTHONHASHSEED": "not a number",
        "PYTHONINSPECT": "1",
        "OPENSSL_CONF": str(tmp_path / "openssl.cnf"),
    }
    credentials(static_plugin.run(environment | hostile, asked))
    version = static_plugin.run(hostile, arguments=["--version"])
    assert (version.code, version.stderr) == (0, b"")


@as_root
def test_alone_in_a_chroot(
    static_file: Path, google: Emulator, environment: Environment, asked: bytes, tmp_path: Path
) -> None:
    """Nothing but the file, an authority and the resolver's two files; another user; read-only."""
    root = tmp_path / "root"
    (root / "etc").mkdir(parents=True)
    shutil.copy(static_file, root / "plugin")
    shutil.copy(google.ca_pem, root / "etc/ca.pem")
    (root / "etc/hosts").write_text("127.0.0.1 google.test localhost\n")
    (root / "etc/resolv.conf").write_text("nameserver 127.0.0.1\n")
    for path in (tmp_path, *tmp_path.parents[:2]):
        path.chmod(0o755)
    environment["SSL_CERT_FILE"] = "/etc/ca.pem"
    chroot = shutil.which("chroot")
    assert chroot is not None
    command = (chroot, "--userspec=65534:65534", str(root), "/plugin")
    credentials(Launcher("chroot", command).run(environment, asked))
    # By name: the certificate is for localhost too.
    environment["GCP_STS_ENDPOINT"] = google.endpoints["sts"].replace("127.0.0.1", "localhost")
    credentials(Launcher("chroot", command).run(environment, asked))


def test_in_32_mib_of_address_space(
    static_plugin: Launcher, environment: Environment, asked: bytes
) -> None:
    """The watchdog's thread included."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (32 << 20, 32 << 20))

    credentials(static_plugin.run(environment, asked, prepare=limit))
    with answering(b"") as silent:
        environment |= {"GCP_STS_ENDPOINT": silent.url.replace("http:", "https:")}
        assert refusal(static_plugin.run(environment, asked, prepare=limit))[0] == 1


def test_too_little_memory_is_told(static_plugin: Launcher, environment: Environment) -> None:
    """A line, not a signal."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (14 << 20, 14 << 20))

    _, code = refusal(static_plugin.run(environment, b"{}", prepare=limit))
    assert code in ("INTERNAL", "STARTUP-THREAD")


def test_a_terminal_gets_help(static_file: Path) -> None:
    """No arguments and stdin a terminal: the whole interpreter answers."""
    master, slave = os.openpty()
    try:
        done = subprocess.run([static_file], stdin=slave, capture_output=True, env={}, check=False)
    finally:
        os.close(master)
        os.close(slave)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"usage: gcp-sa-credential-provider")

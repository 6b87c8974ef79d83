"""A host within this machine: systemd is process 1, its root a copy of ours that it may change.

    python tests/systemd_host.py keep FOLDER NAME     boot it, again after each end, until killed

Namespaces of their own: PID, mount, UTS, IPC, cgroup; the network is that of whoever starts it. The
root is an overlay over this machine's (never written to), so the host has the programs that are
installed here; what it changes is kept over its reboots and gone at the end. FOLDER, which several
hosts may have in common, is the same folder inside and outside; what concerns one of them is in
FOLDER/NAME. Rules: systemd.io, "The Container Interface".
Imports the standard library only.
"""

import contextlib
import hashlib
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
TREE = "tree"
"""Files below FOLDER/NAME/tree are laid over the host's root before it boots first."""
_READY = b"READY=1"
_SOCKET = "notify"
_KIND = "multi-user"
_TARGET = f"{_KIND}.target"
# What would set up hardware, or clean what is not its own.
_MASKED = (
    "getty.target",
    "systemd-modules-load.service",
    "systemd-networkd.service",
    "systemd-random-seed.service",
    "systemd-remount-fs.service",
    "systemd-resolved.service",
    "systemd-sysctl.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tmpfiles-setup.service",
    "systemd-udev-trigger.service",
    "systemd-udevd.service",
)
# Which a kubelet sets at its start (kubernetes pkg/kubelet/cm/container_manager_linux.go).
_KERNEL_SETTINGS = (
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
)
_NEEDED = ("systemd-run", "unshare", "nsenter", "setpriv", "pivot_root", "/lib/systemd/systemd")


def missing() -> list[str]:
    """What a host needs and is not there, a line each."""
    absent = [program for program in _NEEDED if not shutil.which(program)]
    problems = [
        f"{program}: not installed. Fix: apt-get install systemd util-linux" for program in absent
    ]
    if os.geteuid() != 0:
        problems.append("root: this is another user. Fix: sudo")
    elif not absent:
        # The namespaces, and a mount in them: containers often may not.
        tried = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"],
            capture_output=True,
            text=True,
            check=False,
        )
        if tried.returncode:
            problems.append(f"{tried.stderr.strip()}. Fix: CAP_SYS_ADMIN (a privileged container)")
    return problems


def command(folder: Path, name: str) -> list[str]:
    """What keeps the host running; whoever kills it ends the host."""
    unshare = ["unshare", "--mount", "--propagation=private", "--kill-child=KILL", "--fork"]
    return [*unshare, sys.executable, __file__, "keep", str(folder), name]


class Host:
    """A host that somebody runs by `command`; make this object before."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.name = name
        self._own = folder / name
        self._own.mkdir(parents=True, exist_ok=True)
        self._told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._told.bind(str(self._own / _SOCKET))

    def write(self, path: str, content: str | bytes, mode: int = 0o644) -> None:
        """Put a file onto it before it boots first. `path`: on the host."""
        file = self._own / TREE / path.removeprefix("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)

    def link(self, path: str, target: Path) -> None:
        """The same for a symbolic link."""
        link = self._own / TREE / path.removeprefix("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)

    def start_at_boot(self, *units: str) -> None:
        """Have these units started whenever it boots."""
        wants = "".join(f"Wants={unit}\n" for unit in ("dbus.socket", *units))
        self.write(f"/etc/systemd/system/{_TARGET}.d/units.conf", f"[Unit]\n{wants}")

    def wait_booted(self, seconds: float = 60) -> None:
        """Until systemd says that all of its start is done. Raises TimeoutError."""
        self._told.settimeout(seconds)
        while _READY not in self._told.recv(4096).split(b"\n"):
            pass

    @property
    def pid(self) -> int:
        """Of its process 1, here."""
        for scope in (top / "init.scope" for top in groups(self.folder, self.name)):
            for pid in _processes(scope):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    status = Path(f"/proc/{pid}/status").read_text()
                    if re.search(r"^NSpid:.*\t1$", status, re.MULTILINE) and "systemd" in status:
                        return pid
        raise ProcessLookupError(f"{self.name} does not run")

    @property
    def root(self) -> Path:
        """Its root directory, as seen from here."""
        return Path(f"/proc/{self.pid}/root")

    def inside(self, *argv: str | Path) -> list[str]:
        """The command that runs a command on it."""
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        return ["nsenter", f"--target={self.pid}", *spaces, *map(str, argv)]

    def run(self, *argv: str | Path) -> str:
        """What a command on it prints. Raises RuntimeError with all that it said."""
        done = subprocess.run(self.inside(*argv), capture_output=True, text=True, check=False)
        if done.returncode:
            command = " ".join(map(str, argv))
            raise RuntimeError(f"{command}: exit {done.returncode}: {done.stdout}{done.stderr}")
        return done.stdout

    def reboot(self, seconds: float = 60) -> None:
        """End it as a power failure does, and wait until it is back."""
        self._told.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while self._told.recv(4096):
                pass
        os.kill(self.pid, signal.SIGKILL)
        self.wait_booted(seconds)

    @contextlib.contextmanager
    def ending(self) -> Iterator[None]:
        """In the block the keeper is killed; afterwards nothing of the host is left."""
        processes = []
        for pid in _pids(self.folder, self.name):
            with contextlib.suppress(ProcessLookupError):
                processes.append(os.pidfd_open(pid))
        yield
        for descriptor in processes:
            ended, _, _ = select.select([descriptor], [], [], 20)
            os.close(descriptor)
            if not ended:
                raise TimeoutError(f"a process of {self.name} does not end")
        self._told.close()
        for top in groups(self.folder, self.name):
            remove(top)


@contextlib.contextmanager
def running(host: Host) -> Iterator[Host]:
    """Boot a host for the block, in the network of this process."""
    log = host.folder / host.name / "console"
    with (
        log.open("ab") as out,
        subprocess.Popen(
            ["setpriv", "--pdeathsig=KILL", *command(host.folder, host.name)],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        ) as keeper,
    ):
        try:
            host.wait_booted()
            yield host
        except TimeoutError:
            raise RuntimeError(f"not booted: {log.read_text('utf-8', 'replace')[-4000:]}") from None
        finally:
            with host.ending():
                keeper.kill()
                keeper.wait()


def _group(folder: Path, name: str) -> str:
    """The control group that all of a host is in, in every hierarchy."""
    return f"{hashlib.sha256(str(folder).encode()).hexdigest()[:8]}-{name}"


def groups(folder: Path, name: str = "*") -> list[Path]:
    """The control groups of a host, or of all that have the folder, in the hierarchies."""
    wanted = _group(folder, name)
    return [*CGROUPS.glob(f"*/{wanted}"), *CGROUPS.glob(wanted)]


def remove(top: Path) -> None:
    """Remove a control group whose processes are gone."""
    for path, _, _ in os.walk(top, topdown=False):
        Path(path).rmdir()


def _pids(folder: Path, name: str) -> list[int]:
    """All processes of a host, as this machine knows them."""
    every = (path for top in groups(folder, name) for path, _, _ in os.walk(top))
    return sorted({pid for path in every for pid in _processes(Path(path))})


def _processes(group: Path) -> list[int]:
    """Those in a control group itself; none where systemd has just removed it."""
    with contextlib.suppress(OSError):
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    return []


# The keeper, in a mount namespace of its own.


def cover_settings(proc: Path, folder: Path) -> None:
    """Let a kubelet write its settings of the kernel into files of `folder`, not into the kernel.

    `proc`: where procfs is mounted, in a mount namespace of our own. There is one kernel for all,
    and clusters that run at once could not each set back what they found.
    """
    for setting in _KERNEL_SETTINGS:
        real, file = proc / "sys" / setting, folder / setting.replace("/", ".")
        folder.mkdir(exist_ok=True)
        file.write_text(real.read_text())
        _mount("--bind", file, real)


def keep(folder: Path, name: str) -> None:
    """Boot, and boot again whenever process 1 has ended."""
    disk = folder / name / "disk"
    disk.mkdir()
    _mount("-t", "tmpfs", "tmpfs", disk)
    for part in ("upper", "work", "root"):
        (disk / part).mkdir()
    while True:
        subprocess.run(
            ["setpriv", "--pdeathsig=KILL", sys.executable, __file__, "enter", str(folder), name],
            check=False,
        )


def enter(folder: Path, name: str) -> None:
    """Into the host's control groups, then into its other namespaces."""
    _join(_group(folder, name))
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child=KILL", "--cgroup", "--ipc"]
    unshare += ["--uts", "--propagation=private", sys.executable, __file__]
    os.execvp(unshare[0], [*unshare, "boot", str(folder), name])


def _join(name: str) -> None:
    """Into control groups of the host's own, the roots of those that it sees."""
    for hierarchy in [CGROUPS] if _version_2() else CGROUPS.iterdir():
        procs = hierarchy / name / "cgroup.procs"
        with contextlib.suppress(FileExistsError):
            procs.parent.mkdir()
        for setting in ("cpuset.cpus", "cpuset.mems"):
            above = hierarchy / setting
            if above.exists():
                (procs.parent / setting).write_text(above.read_text())
        procs.write_text(str(os.getpid()))


def boot(folder: Path, name: str) -> None:
    """Become the host's process 1."""
    disk = folder / name / "disk"
    root = disk / "root"
    layers = f"lowerdir=/,upperdir={disk}/upper,workdir={disk}/work"
    first = not any((disk / "upper").iterdir())
    _mount("-t", "overlay", "-o", layers, "overlay", root)
    _mount("-t", "proc", "proc", root / "proc")
    cover_settings(root / "proc", folder / name / "settings")
    _mount("-t", "sysfs", "-o", "ro", "sysfs", root / "sys")
    _control_groups(root / "sys/fs/cgroup")
    _mount("--rbind", "/dev", root / "dev")
    for path in ("run", "tmp"):
        _mount("-t", "tmpfs", "tmpfs", root / path)
    inside = root / str(folder)[1:]
    inside.mkdir(parents=True, exist_ok=True)
    _mount("--bind", folder, inside)
    if first:
        _furnish(root, folder, name)
    socket.sethostname(name)
    (root / "run/old").mkdir()
    os.chdir(root)
    subprocess.run(["pivot_root", ".", "run/old"], check=True)
    subprocess.run(["umount", "--lazy", "/run/old"], check=True)
    Path("/run/old").rmdir()
    os.chdir("/")
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "container": "other",
        "NOTIFY_SOCKET": str(folder / name / _SOCKET),
    }
    systemd = ["/lib/systemd/systemd", "--system", f"--unit={_TARGET}", "--show-status=no"]
    os.execve(systemd[0], [*systemd, "--log-target=journal"], environment)


def _version_2() -> bool:
    return (CGROUPS / "cgroup.controllers").exists()


def _control_groups(place: Path) -> None:
    """The hierarchies as this machine has them, from the host's own group down."""
    if _version_2():
        _mount("-t", "cgroup2", "cgroup2", place)
        return
    _mount("-t", "tmpfs", "tmpfs", place)
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, _ = line.split(":", 2)
        own = place / (controllers.removeprefix("name=") or "unified")
        own.mkdir()
        if number == "0":
            _mount("-t", "cgroup2", "cgroup2", own)
        else:
            _mount("-t", "cgroup", "-o", controllers, "cgroup", own)


def _furnish(root: Path, folder: Path, name: str) -> None:
    etc = root / "etc"
    for file in ("machine-id", "hostname"):
        (etc / file).unlink(missing_ok=True)  # where this machine has links
    (etc / "machine-id").write_text(hashlib.sha256(name.encode()).hexdigest()[:32] + "\n")
    (etc / "hostname").write_text(f"{name}\n")
    units = etc / "systemd/system"
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    # What this machine would start besides is not the host's.
    theirs = (root / "usr/lib/systemd/system" / f"{of}.target.wants" for of in ("timers", _KIND))
    for wants in (*units.glob("*.wants"), *theirs):
        shutil.rmtree(wants, ignore_errors=True)
    # The kernel's log is this machine's.
    journald = etc / "systemd/journald.conf.d/host.conf"
    journald.parent.mkdir(exist_ok=True)
    journald.write_text("[Journal]\nReadKMsg=no\nStorage=volatile\n")
    if (folder / name / TREE).is_dir():
        shutil.copytree(folder / name / TREE, root, symlinks=True, dirs_exist_ok=True)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


def main() -> int:
    """The keeper's and process 1's command line."""
    role, folder, name = sys.argv[1:]
    act = {"keep": keep, "enter": enter, "boot": boot}[role]
    act(Path(folder), name)
    return 1


if __name__ == "__main__":
    sys.exit(main())

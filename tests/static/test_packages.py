"""The packages: opened, and judged by dpkg and systemd. The one for Talos: test_talos.py."""

import hashlib
import inspect
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from gcp_sa_credential_provider.cli.main import COMMANDS
from gcp_sa_credential_provider.plugin import settings
from gcp_sa_credential_provider.version import VERSION
from process.launch import NAME
from static.files import built
from static.packages import ARCHES, LINK, PACKAGING, PLACE, content, files, members, package, run

MANUAL = f"usr/share/man/man1/{NAME}.1"
by_arch = pytest.mark.parametrize("arch", ARCHES)
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: files of root, mounts")


def deb(arch: str) -> Path:
    return package(f"{NAME}_{VERSION}_{arch}.deb")


# Debian.


@by_arch
def test_deb_fields(arch: str) -> None:
    """It is of this version and architecture, and needs nothing."""
    told = run("dpkg-deb", "--field", deb(arch)).stdout.splitlines()
    fields = dict(line.split(": ", 1) for line in told if ": " in line and line[0] != " ")
    assert fields["Package"] == NAME
    assert fields["Version"] == VERSION
    assert fields["Architecture"] == arch
    assert int(fields["Installed-Size"]) > built(arch).stat().st_size // 1024
    assert "Depends" not in fields


@by_arch
def test_deb_contents(arch: str) -> None:
    """The program, a link to it, manual, licences, changes, the SBOM; dpkg-deb reads it."""
    data = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", deb(arch)], capture_output=True, check=True
    ).stdout
    found = files(members(data))
    assert found == {
        LINK: f"../lib/{NAME}/{NAME}",
        PLACE: 0o755,
        f"usr/share/doc/{NAME}/CHANGELOG.md": 0o644,
        f"usr/share/doc/{NAME}/copyright": 0o644,
        f"usr/share/doc/{NAME}/{NAME}.cdx.json": 0o644,
        MANUAL: 0o644,
    }
    assert content(data, f"./{PLACE}") == built(arch).read_bytes()
    licences = content(data, f"./usr/share/doc/{NAME}/copyright").decode()
    for name in ("Apache License", "PYTHON SOFTWARE FOUNDATION LICENSE", "OpenSSL", "musl"):
        assert name in licences


def test_deb_manual() -> None:
    """It has every command, and every variable of a kubelet's run."""
    data = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", deb("amd64")], capture_output=True, check=True
    ).stdout
    told = content(data, f"./{MANUAL}").decode().replace("\\-", "-")
    assert told.count(f'"{NAME} {VERSION}"') == 1
    words = set(re.findall(r"[\w-]+", told))
    variables = re.findall(r'"((?:[A-Z]+_)+[A-Z]+)"', inspect.getsource(settings))
    assert "GCP_AUDIENCE" in variables
    assert {*COMMANDS, *variables} <= words
    inner = {"install", "status", "uninstall", "rollback", "reconcile"}
    assert set(re.findall(r"^\.B node (\w+)", told, re.MULTILINE)) == inner


@by_arch
def test_deb_scripts(arch: str, tmp_path: Path) -> None:
    """Nothing runs when it is installed: the kubelet is left alone. The sums are right."""
    run("dpkg-deb", "--control", deb(arch), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["control", "md5sums", "prerm"]
    assert stat.S_IMODE((tmp_path / "prerm").stat().st_mode) == 0o755
    unpacked = tmp_path / "unpacked"
    assert run("dpkg-deb", "--extract", deb(arch), unpacked).returncode == 0
    for line in (tmp_path / "md5sums").read_text().splitlines():
        digest, path = line.split("  ")
        assert hashlib.md5((unpacked / path).read_bytes()).hexdigest() == digest


@dataclass
class Machine:
    """A root folder that dpkg works in."""

    root: Path

    def dpkg(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run dpkg; its scripts run outside, and are told where the root is."""
        return run("dpkg", f"--root={self.root}", "--force-script-chrootless", *words)

    def install(self) -> None:
        """Install the package."""
        done = self.dpkg("--install", deb("amd64"))
        assert done.returncode == 0, done.stderr

    @property
    def program(self) -> Path:
        """Where the program is, if it is."""
        return self.root / PLACE


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Without any package."""
    for folder in ("info", "updates"):
        (tmp_path / "root/var/lib/dpkg" / folder).mkdir(parents=True)
    (tmp_path / "root/var/lib/dpkg/status").touch()
    return Machine(tmp_path / "root")


@as_root
def test_deb_installed_and_removed(machine: Machine) -> None:
    """By the real dpkg: the program runs from there, and nothing is left afterwards."""
    machine.install()
    found = machine.program.lstat()
    assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o755, 0, 0)
    assert run(machine.root / LINK, "--version").stdout.startswith(f"{NAME} {VERSION}\n")
    assert machine.dpkg("--verify", NAME).stdout == ""
    assert not (machine.root / "etc").exists()
    done = machine.dpkg("--remove", NAME)
    assert done.returncode == 0, done.stderr
    assert not (machine.root / "usr").exists()


@as_root
def test_deb_upgraded(machine: Machine) -> None:
    """A node that was set up by it keeps it all the while."""
    machine.install()
    state = machine.root / f"var/lib/{NAME}/state.json"
    state.parent.mkdir()
    state.write_text("{}")
    machine.install()
    assert machine.program.exists()


@as_root
@pytest.mark.parametrize(
    ("path", "text", "said"),
    [
        (
            f"var/lib/{NAME}/state.json",
            "{}",
            f"Fix: run `{NAME} node uninstall`",
        ),
        (
            "proc/17/cmdline",
            f"kubelet\0--v=2\0--image-credential-provider-bin-dir=/usr/lib/{NAME}\0",
            f"process 17 has the flag --image-credential-provider-bin-dir=/usr/lib/{NAME}. Fix: ",
        ),
        (
            "proc/17/cmdline",
            f"kubelet\0--image-credential-provider-bin-dir\0/usr/lib/{NAME}/\0--v=2\0",
            "Fix: take it from the kubelet and restart that",
        ),
        (  # k3s: of no process' arguments
            "etc/rancher/k3s/config.yaml",
            f'kubelet-arg:\n- "image-credential-provider-bin-dir=/usr/lib/{NAME}"\n',
            f"/etc/rancher/k3s/config.yaml names /usr/lib/{NAME} to a kubelet. Fix: ",
        ),
        (  # a kubelet that does not run just now
            "etc/systemd/system/kubelet.service.d/20-extra.conf",
            f'[Service]\nEnvironment="X=--image-credential-provider-bin-dir /usr/lib/{NAME}/"\n',
            "/etc/systemd/system/kubelet.service.d/20-extra.conf names ",
        ),
    ],
)
def test_deb_is_not_removed_under_a_kubelet(
    machine: Machine, path: str, text: str, said: str
) -> None:
    """It would not start again. Once that is undone, the package can go."""
    machine.install()
    needed = machine.root / path
    needed.parent.mkdir(parents=True)
    needed.write_text(text)
    done = machine.dpkg("--remove", NAME)
    assert done.returncode != 0
    assert said in done.stderr
    assert machine.program.exists()
    assert machine.dpkg("--verify", NAME).stdout == ""
    needed.write_text(f"other\0--image-credential-provider-bin-dir=/usr/lib/{NAME}-x\0")
    if needed.name == "state.json":
        needed.unlink()
    assert machine.dpkg("--remove", NAME).returncode == 0


# systemd.


def sysext(arch: str, form: str) -> Path:
    return package(f"{NAME}-{VERSION}-sysext-{arch}.{form}")


@by_arch
def test_sysext_contents(arch: str) -> None:
    """All is below /usr; the release file has the extension's name."""
    data = sysext(arch, "tar").read_bytes()
    release = f"usr/lib/extension-release.d/extension-release.{NAME}"
    assert files(members(data)) == {
        f"{NAME}/{LINK}": f"../lib/{NAME}/{NAME}",
        f"{NAME}/{PLACE}": 0o755,
        f"{NAME}/{release}": 0o644,
    }
    told = content(data, f"{NAME}/{release}").decode()
    machine = {"amd64": "x86-64", "arm64": "arm64"}[arch]
    assert told == f"ID=_any\nARCHITECTURE={machine}\n"
    assert content(data, f"{NAME}/{PLACE}") == built(arch).read_bytes()


@by_arch
@as_root
def test_sysext_image_is_the_same_tree(arch: str, tmp_path: Path) -> None:
    """As squashfs, which unsquashfs reads."""
    if not shutil.which("unsquashfs"):
        pytest.skip("unsquashfs is not installed. Fix: apt-get install squashfs-tools")
    unpacked = tmp_path / "unpacked"
    assert run("unsquashfs", "-dest", unpacked, sysext(arch, "raw")).returncode == 0
    with tarfile.open(sysext(arch, "tar")) as archive:
        archive.extractall(tmp_path, filter="tar")
    assert tree(unpacked) == tree(tmp_path / NAME)


def tree(folder: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Mode, owner and content by path."""
    found = {}
    for path in [folder, *folder.rglob("*")]:
        status = path.lstat()
        data = os.readlink(path).encode() if path.is_symlink() else b""
        data = path.read_bytes() if path.is_file() and not path.is_symlink() else data
        name = str(path.relative_to(folder))
        # tarfile leaves the time of a link to the system.
        time = 0 if path.is_symlink() else int(status.st_mtime)
        found[name] = (status.st_mode, status.st_uid, time, data)
    return found


@pytest.fixture
def immutable(tmp_path: Path) -> Path:
    """The root of a Flatcar machine, as far as systemd-sysext looks at it."""
    if not shutil.which("systemd-sysext"):
        pytest.skip("systemd-sysext is not installed. Fix: apt-get install systemd")
    root = tmp_path / "root"
    for folder in ("usr/lib", "usr/bin", "etc", "run", "var/lib/extensions"):
        (root / folder).mkdir(parents=True)
    (root / "usr/lib/os-release").write_text("ID=flatcar\nVERSION_ID=4593.0.0\nSYSEXT_LEVEL=1.0\n")
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    return root


def merged(root: Path) -> subprocess.CompletedProcess[str]:
    """Merge the extensions in mounts of our own, and run the program from there."""
    script = (
        # systemd-sysext mounts in a namespace of its own, and has that come back to ours.
        "mount -t tmpfs tmpfs /run && mount --make-rshared / &&"
        ' systemd-sysext --root="$0" merge && "$0/usr/bin/$1" --version && ls "$0/usr/lib/$1"'
    )
    return run("unshare", "--mount", "sh", "-c", script, root, NAME)


@as_root
@pytest.mark.parametrize("form", ["tar", "raw"])
def test_sysext_is_merged(immutable: Path, form: str) -> None:
    """By the real systemd-sysext, as a folder and as an image."""
    place = immutable / "var/lib/extensions"
    if form == "tar":
        with tarfile.open(sysext("amd64", "tar")) as archive:
            archive.extractall(place, filter="tar")
    else:
        shutil.copy(sysext("amd64", "raw"), place / f"{NAME}.raw")
    done = merged(immutable)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{NAME} {VERSION}\n")
    assert done.stdout.endswith(f"{NAME}\n")
    assert not (immutable / LINK).exists()


@as_root
def test_sysext_of_another_architecture(immutable: Path) -> None:
    """Is left out, not merged to fail at the first pull."""
    shutil.copy(sysext("arm64", "raw"), immutable / f"var/lib/extensions/{NAME}.raw")
    done = merged(immutable)
    assert done.returncode != 0
    assert VERSION not in done.stdout


# All.


@pytest.mark.parametrize(
    ("made", "name"),
    [
        ("deb.package('arm64', deb.licences())", f"{NAME}_{VERSION}_arm64.deb"),
        ("sysext.image(sysext.contents('arm64'))", f"{NAME}-{VERSION}-sysext-arm64.raw"),
        ("talos.build()", f"{NAME}-{VERSION}-talos.tar"),
    ],
)
def test_same_bytes_again(tmp_path: Path, made: str, name: str) -> None:
    """On another day, in another place of the world, by a user with another umask."""
    script = f"import os, sys, deb, sysext, talos; os.umask(0o077); sys.stdout.buffer.write({made})"
    again = subprocess.run(
        [sys.executable, "-c", script],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{PACKAGING}:{PACKAGING / 'static'}",
            "SOURCE_DATE_EPOCH": "1",
            "TMPDIR": str(tmp_path),
            "TZ": "Asia/Tokyo",
        },
        capture_output=True,
        check=True,
    ).stdout
    assert hashlib.sha256(again).digest() == hashlib.sha256(package(name).read_bytes()).digest()

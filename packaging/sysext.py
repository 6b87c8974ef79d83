"""Build dist/NAME-VERSION-sysext-ARCH.raw and .tar: `python packaging/sysext.py`.

A system extension for systemd (Flatcar and others with a read-only /usr): a squashfs image, and
the same tree as a folder in a tar file. Needs packaging/static on the path, and sqfstar 4.5.
Rules: systemd-sysext(8), os-release(5). `ID=_any` (systemd 252): a static program needs nothing of
the host. Both have to be called NAME, NAME.raw where they are put, for the name of their release
file is compared.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import tree
from link import DIST, NAME, version
from pins import ARCHES, epoch
from tree import File

# systemd's names of architectures.
_ARCHITECTURE = {"amd64": "x86-64", "arm64": "arm64"}
_RELEASE = f"usr/lib/extension-release.d/extension-release.{NAME}"


def contents(arch: str) -> list[File]:
    """The tree: all below /usr, which is all that is merged."""
    release = f"ID=_any\nARCHITECTURE={_ARCHITECTURE[arch]}\n"
    return [*tree.program(arch), File(path=_RELEASE, data=release.encode())]


def image(files: list[File]) -> bytes:
    """A squashfs image. Not compressed, as the tar files are not: the same bytes everywhere."""
    plain = ["-noI", "-noId", "-noD", "-noF", "-noX", "-no-xattrs"]
    top = ["-root-mode", "755", "-root-uid", "0", "-root-gid", "0"]
    same = [
        "-mkfs-time",
        str(epoch()),
        "-all-time",
        str(epoch()),
        "-reproducible",
        "-processors",
        "1",
    ]
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / "image"
        subprocess.run(
            ["sqfstar", *plain, *top, *same, "-quiet", "-no-progress", made],
            input=tree.archive(files),
            stdout=subprocess.DEVNULL,
            env={"PATH": os.environ["PATH"]},  # SOURCE_DATE_EPOCH is refused beside -mkfs-time
            check=True,
        )
        return made.read_bytes()


def main() -> int:
    """Build for all architectures. Returns the exit code."""
    if shutil.which("sqfstar") is None:
        sys.stderr.write("sysext: no sqfstar on PATH. Fix: apt-get install squashfs-tools\n")
        return 1
    for arch in ARCHES:
        files = contents(arch)
        base = f"{NAME}-{version()}-sysext-{arch}"
        tree.write(DIST / f"{base}.raw", image(files))
        tree.write(DIST / f"{base}.tar", tree.archive(files, prefix=f"{NAME}/"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

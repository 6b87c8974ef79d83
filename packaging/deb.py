"""Build dist/NAME_VERSION_ARCH.deb from the static files: `python packaging/deb.py`.

Needs packaging/static on the path. Rules: deb(5), deb-control(5), Debian policy 12.1 (manual
pages) and 12.5 (copyright). Nothing is compressed, see `tree.archive`; so dpkg 1.17.6 or newer
reads it.
"""

import hashlib
import subprocess
from pathlib import Path

import tree
from link import DIST, NAME, version
from pins import ARCHES, ROOT, epoch
from tree import File

HERE = Path(__file__).resolve().parent
_DOC = f"usr/share/doc/{NAME}"

_CONTROL = """\
Package: {name}
Version: {version}
Architecture: {arch}
Maintainer: {name} authors
Installed-Size: {kib}
Section: admin
Priority: optional
Multi-Arch: foreign
Description: kubelet image credential provider for Google Artifact Registry
 Pods pull from Google Artifact Registry with their own ServiceAccount token;
 no key and no pull secret is stored anywhere.
 .
 The package puts the program onto the machine and leaves the kubelet alone:
 `{name} node install` sets that up.
"""
_COPYRIGHT = """\
{name}, Apache-2.0. Its licence, and those of all that is linked into the program:

"""


def licences() -> str:
    """Of the program and all that is in it: what the file of this machine says of both."""
    native = tree.static_file("amd64")
    run = subprocess.run([native, "--licenses"], capture_output=True, text=True, check=True)
    own = (ROOT / "LICENSE").read_text(encoding="utf-8")
    return _COPYRIGHT.format(name=NAME) + own + "\n" + run.stdout


def contents(arch: str, copyright_: str) -> list[File]:
    """What is installed."""
    bill = tree.static_file(arch)
    manual = (HERE / f"deb/{NAME}.1").read_text(encoding="utf-8").replace("VERSION", version())
    return [
        *tree.program(arch),
        File(path=f"usr/share/man/man1/{NAME}.1", data=manual.encode()),
        File(path=f"{_DOC}/CHANGELOG.md", data=(ROOT / "CHANGELOG.md").read_bytes()),
        File(path=f"{_DOC}/copyright", data=copyright_.encode()),
        File(
            path=f"{_DOC}/{NAME}.cdx.json",
            data=bill.with_name(f"{bill.name}.cdx.json").read_bytes(),
        ),
    ]


def control(arch: str, files: list[File]) -> list[File]:
    """Files of the control archive."""
    kib = sum(-(-len(file.data) // 1024) for file in files)
    sums = [
        f"{hashlib.md5(file.data, usedforsecurity=False).hexdigest()}  {file.path}\n"
        for file in sorted(files, key=lambda file: file.path)
        if not file.target
    ]
    text = _CONTROL.format(name=NAME, version=version(), arch=arch, kib=kib)
    return [
        File(path="control", data=text.encode()),
        File(path="md5sums", data="".join(sums).encode()),
        File(path="prerm", data=(HERE / "deb/prerm").read_bytes(), mode=0o755),
    ]


def package(arch: str, copyright_: str) -> bytes:
    """The package's bytes."""
    files = contents(arch, copyright_)
    members = {
        "debian-binary": b"2.0\n",
        "control.tar": tree.archive(control(arch, files), prefix="./"),
        "data.tar": tree.archive(files, prefix="./"),
    }
    return b"!<arch>\n" + b"".join(_ar(name, data) for name, data in members.items())


def _ar(name: str, data: bytes) -> bytes:
    """A member of an ar archive: name, time, user, group, mode, size; padded to even."""
    head = f"{name:<16}{epoch():<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n"
    return head.encode("ascii") + data + b"\n" * (len(data) % 2)


def main() -> None:
    """Build for all architectures."""
    copyright_ = licences()
    for arch in ARCHES:
        tree.write(DIST / f"{NAME}_{version()}_{arch}.deb", package(arch, copyright_))


if __name__ == "__main__":
    main()

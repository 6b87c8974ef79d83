"""What a package puts onto a machine: files by path, all root's, of the pinned time.

Imports packaging/static, which must be on the path. The packages differ in their wrapping alone:
the program is in a folder of its own, which a kubelet's --image-credential-provider-bin-dir may
name, and a link on the PATH leads to it.
"""

import io
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from link import DIST, NAME, version
from pins import epoch

PLACE = f"usr/lib/{NAME}/{NAME}"


@dataclass(frozen=True, kw_only=True)
class File:
    """A file, or a link if it has a target."""

    path: str
    data: bytes = b""
    mode: int = 0o644
    target: str = ""


def static_file(arch: str) -> Path:
    """The built program."""
    return DIST / f"{NAME}-{version()}-linux-{arch}"


def program(arch: str) -> list[File]:
    """The program and its link."""
    data = static_file(arch).read_bytes()
    return [
        File(path=f"usr/bin/{NAME}", target=f"../lib/{NAME}/{NAME}"),
        File(path=PLACE, data=data, mode=0o755),
    ]


def archive(files: Iterable[File], *, prefix: str = "") -> bytes:
    """A tar file with all their folders. Not compressed: no two versions of gzip or xz agree."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as packed:
        made: set[str] = set()
        for file in sorted(files, key=lambda file: file.path):
            for folder in reversed(PurePosixPath(file.path).parents):
                if str(folder) not in made and (prefix or str(folder) != "."):
                    made.add(str(folder))
                    packed.addfile(_member(prefix, str(folder), tarfile.DIRTYPE, 0o755))
            if file.target:
                link = _member(prefix, file.path, tarfile.SYMTYPE, 0o777)
                link.linkname = file.target
                packed.addfile(link)
            else:
                regular = _member(prefix, file.path, tarfile.REGTYPE, file.mode)
                regular.size = len(file.data)
                packed.addfile(regular, io.BytesIO(file.data))
    return out.getvalue()


def _member(prefix: str, path: str, kind: bytes, mode: int) -> tarfile.TarInfo:
    name = prefix if path == "." else f"{prefix}{path}"
    member = tarfile.TarInfo(name)
    member.type, member.mode, member.mtime = kind, mode, epoch()
    member.uname = member.gname = "root"
    return member


def write(target: Path, data: bytes) -> None:
    """Write a result whole, or not at all, and say so."""
    partial = target.with_name(f"{target.name}.partial")
    partial.write_bytes(data)
    partial.replace(target)
    print(f"{target.relative_to(DIST.parent)}: {len(data)} bytes")

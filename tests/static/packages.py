"""The packages that were built, and what is in them."""

import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from process.launch import NAME
from static.files import DIST

PACKAGING = DIST.parent / "packaging"
PLACE = f"usr/lib/{NAME}/{NAME}"
LINK = f"usr/bin/{NAME}"
ARCHES = ("amd64", "arm64")


def package(name: str) -> Path:
    """A package that was built; without it, there is no result."""
    path = DIST / name
    if not path.exists():
        pytest.fail(f"{path} is not there; make packages builds it")
    return path


def run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def members(archive: bytes) -> dict[str, tarfile.TarInfo]:
    """What is in a tar file; all of it is root's, and nobody else may write."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        found = {member.name.removeprefix("./"): member for member in opened}
    for member in found.values():
        assert (member.uid, member.gid) == (0, 0)
        assert member.issym() or member.mode in (0o755, 0o644)
    return found


def content(archive: bytes, name: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(archive)) as opened:
        file = opened.extractfile(name)
        assert file
        return file.read()


def oci_layout(image: Path) -> dict[str, bytes]:
    """The members of an OCI image's file, by name."""
    with tarfile.open(image) as archive:
        return {
            member.name: stream.read()
            for member in archive
            if (stream := archive.extractfile(member)) is not None
        }


def blob(layout: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    """What a descriptor names, checked against it."""
    digest = descriptor["digest"].removeprefix("sha256:")
    data = layout[f"blobs/sha256/{digest}"]
    assert (hashlib.sha256(data).hexdigest(), len(data)) == (digest, descriptor["size"])
    return data


def files(found: dict[str, tarfile.TarInfo]) -> dict[str, int | str]:
    """Modes of files and targets of links, by path."""
    return {
        name: member.linkname if member.issym() else member.mode
        for name, member in found.items()
        if not member.isdir()
    }

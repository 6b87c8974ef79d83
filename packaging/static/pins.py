"""What is pinned (packaging/sources.toml), and where the builds made from it are kept."""

import hashlib
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MANIFEST = HERE.parent / "sources.toml"
LIBRARIES = HERE.parent / "libraries.toml"
ARCHES = {"amd64": "x86_64", "arm64": "aarch64"}  # Go's and OCI's names -> the kernel's

# What CPython, OpenSSL and the way to build them depend on; the rest only enters the last link.
_RECIPE = (
    "sources.py",
    "steps.py",
    "toolchain.py",
    "openssl.py",
    "cpython.py",
    "c/_ssl_data_34.h",
)


@dataclass(frozen=True, kw_only=True)
class File:
    """A file by name and content."""

    file: str
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Pin:
    """One thing that is built or linked in."""

    name: str
    version: str
    origin: str  # debian or pypi
    package: str
    revision: str  # Debian's; "" elsewhere
    license: str
    purl: str
    cpe: str
    upstream: str
    source: File
    patches: File | None
    skip: tuple[str, ...]

    @property
    def files(self) -> tuple[File, ...]:
        """All that is to be fetched."""
        return (self.source,) if self.patches is None else (self.source, self.patches)


def manifest(path: Path = MANIFEST) -> dict[str, Any]:
    """The manifest as it stands."""
    return tomllib.loads(path.read_text(encoding="utf-8"))


def pins(path: Path = MANIFEST) -> dict[str, Pin]:
    """The pinned things by name, in the order of the manifest."""
    return {
        name: Pin(
            name=name,
            version=table["version"],
            origin=table["from"],
            package=table["package"],
            revision=table.get("revision", ""),
            license=table["license"],
            purl=table.get("purl", ""),
            cpe=table.get("cpe", ""),
            upstream=table["upstream"],
            source=File(**table["source"]),
            patches=File(**table["patches"]) if "patches" in table else None,
            skip=tuple(table.get("skip", ())),
        )
        for name, table in manifest(path).items()
        if isinstance(table, dict) and "source" in table
    }


def epoch() -> int:
    """The time that files in the results bear, in Unix seconds."""
    return int(manifest()["epoch"])


def cache() -> Path:
    """Where sources and builds are kept: outside the tree, for every checkout of it."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gcp-sa-credential-provider" / "static"


def key() -> str:
    """What a build of CPython and OpenSSL depends on, as 16 hex digits."""
    digest = hashlib.sha256(MANIFEST.read_bytes())
    for name in _RECIPE:
        digest.update(name.encode() + b"\0" + (HERE / name).read_bytes() + b"\0")
    return digest.hexdigest()[:16]

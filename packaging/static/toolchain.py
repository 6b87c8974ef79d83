"""zig as a C compiler for one architecture: static, musl, position-independent, and reproducible.

zig knows a target by name and brings musl's source for it, so both architectures are built alike
on one machine. The compiler and its flags stand in small scripts, so that no result tells in
which folder it was built.
"""

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pins import ARCHES, pins
from sources import unpack
from steps import BuildError

_SCRIPT = '#!/bin/sh\nexec "{zig}" {verb} {flags} "$@"\n'


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """The tools of one architecture; `bin` stands first in PATH."""

    arch: str
    zig: Path
    bin: Path
    env: Mapping[str, str]

    @property
    def machine(self) -> str:
        """The kernel's name of the architecture."""
        return ARCHES[self.arch]


def musl_version(zig: Path) -> str:
    """The version of musl that zig brings."""
    text = (zig.parent / "lib/libc/musl/src/internal/version.h").read_text()
    return text.split('"')[1]


def toolchain(arch: str, work: Path) -> Toolchain:
    """Unpack zig into `work` and write the scripts cc, ar and ranlib for `arch`."""
    if platform.machine() != "x86_64":
        raise BuildError(
            f"{platform.machine()}: the pinned zig runs on x86_64 only. Fix: build there (both "
            "architectures are built on it), or pin the other wheel in packaging/sources.toml"
        )
    zig = unpack(pins()["zig"], work / "zig") / "ziglang" / "zig"
    zig.chmod(0o755)
    scripts = work / arch / "bin"
    scripts.mkdir(parents=True, exist_ok=True)
    target = f"-target {ARCHES[arch]}-linux-musl"
    # Unwind tables would be a fourteenth of the file, and nothing in it unwinds.
    flags = (
        f"{target} -fPIE -fno-asynchronous-unwind-tables -fno-unwind-tables "
        f"-ffile-prefix-map={work}=/build"
    )
    for name, verb, given in (("cc", "cc", flags), ("ar", "ar", ""), ("ranlib", "ranlib", "")):
        script = scripts / name
        script.write_text(_SCRIPT.format(zig=zig, verb=verb, flags=given))
        script.chmod(0o755)
    return Toolchain(
        arch=arch,
        zig=zig,
        bin=scripts,
        env={
            "PATH": f"{scripts}:{os.environ['PATH']}",
            "ZIG_GLOBAL_CACHE_DIR": str(work / "zig-cache"),
            "ZIG_LOCAL_CACHE_DIR": str(work / "zig-cache"),
        },
    )

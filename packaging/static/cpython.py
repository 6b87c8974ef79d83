"""Build libpython.a, and once an interpreter that runs here, to compile our own code with.

No module is loaded at run time: those that the static file needs are linked in, all others are
switched off, both through Modules/Setup.local, which CPython provides for this.
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pins import epoch, pins
from sources import unpack
from steps import once, run
from toolchain import Toolchain

# Beside those that every interpreter has. `_ssl` is compiled apart, see link.py.
MODULES = [
    "_bisect",
    "_blake2",
    "_contextvars",
    "_datetime",
    "_heapq",
    "_json",
    "_md5",
    "_opcode",
    "_posixsubprocess",
    "_random",
    "_sha1",
    "_sha2",
    "_sha3",
    "_socket",
    "_struct",
    "array",
    "binascii",
    "fcntl",
    "math",
    "resource",
    "select",
    "termios",
]

_CONFIGURE = (
    "--disable-shared",
    "--disable-test-modules",
    "--without-ensurepip",
    "--without-doc-strings",
    "--without-mimalloc",
    "--without-readline",
    "MODULE_BUILDTYPE=static",
    "LINKFORSHARED= ",
    "PKG_CONFIG=false",  # what this machine has is not for us
    "OPT=-DNDEBUG",
    "CFLAGS=-O2 -ffunction-sections -fdata-sections",
    "LDFLAGS=-static",
)
# What configure would try by running a program; the same for both, so that they are built alike,
# and whatever the priority of the build (`nice`).
_CONFIG_SITE = """\
ac_cv_file__dev_ptmx=yes
ac_cv_file__dev_ptc=no
ac_cv_buggy_getaddrinfo=no
ac_cv_broken_nice=no
"""
_MODULE = re.compile(r"^@MODULE_\w+_TRUE@(?P<line>(?P<name>\w+) .*)$", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Libpython:
    """The source tree, and one architecture's build folder."""

    source: Path
    build: Path

    @property
    def libraries(self) -> list[Path]:
        """What is linked in, in order."""
        hacl = self.build / "Modules/_hacl/libHacl_Hash_SHA2.a"
        return [self.build / "libpython3.13.a", hacl]

    @property
    def includes(self) -> list[str]:
        """The flags to compile against it, its internal headers too."""
        headers = self.source / "Include", self.source / "Include/internal"
        return [f"-I{path}" for path in (*headers, self.build)]


def setup_local(template: str) -> str:
    """Modules/Setup.local: which of the modules in Setup.stdlib.in are in and which are out."""
    lines = {match["name"]: match["line"] for match in _MODULE.finditer(template)}
    static = [lines.pop(name) for name in MODULES]
    # A module that is disabled is named without its files.
    return "\n".join(["*static*", *static, "*disabled*", *lines, ""])


def build(tools: Toolchain, work: Path, jobs: int, builder: Path | None) -> Libpython:
    """Build under work/ARCH/cpython. `builder` runs here; None: make one, this is its build."""
    source = unpack(pins()["cpython"], work / "cpython-source")
    folder = work / tools.arch / "cpython"
    log = work / tools.arch / "cpython.log"
    env = {**tools.env, "SOURCE_DATE_EPOCH": str(epoch())}

    def do() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "Modules").mkdir(parents=True)
        template = (source / "Modules/Setup.stdlib.in").read_text()
        (folder / "Modules/Setup.local").write_text(setup_local(template))
        (folder / "config.site").write_text(_CONFIG_SITE)
        configure = [f"../../{source.relative_to(work)}/configure", *_CONFIGURE, "CC=cc"]
        if builder is not None:
            configure += [
                f"--host={tools.machine}-linux-musl",
                "--build=x86_64-linux-gnu",
                f"--with-build-python={builder}",
            ]
        run(configure, cwd=folder, log=log, env={**env, "CONFIG_SITE": "config.site"})
        # zig holds __DATE__ and __TIME__ to be errors, rightly.
        dated = 'EXTRA_CFLAGS=-DDATE=\\"pinned\\" -DTIME=\\"sources\\"'
        targets = ["libpython3.13.a", "Modules/_hacl/libHacl_Hash_SHA2.a"]
        if builder is None:
            targets.append("python")
        run(["make", f"-j{jobs}", dated, *targets], cwd=folder, log=log, env=env)
        if builder is None:
            _write_builder(source, folder)

    once(folder.with_suffix(".built"), f"{tools.arch}: CPython {pins()['cpython'].version}", do)
    return Libpython(source=source, build=folder)


def builder_of(folder: Path) -> Path:
    """The interpreter for this machine in a build folder."""
    return folder / "builder"


def _write_builder(source: Path, folder: Path) -> None:
    script = builder_of(folder)
    script.write_text(
        "#!/bin/sh\n"
        f'PYTHONHOME="{source}" PYTHONPATH="${{PYTHONPATH:-{source}/Lib}}" '
        f'PYTHONDONTWRITEBYTECODE=1 exec "{folder}/python" -s -S "$@"\n'
    )
    script.chmod(0o755)

"""From libraries and our own source to dist/: freeze, compile the C part, link, strip.

This is all that runs again when our own code changes. Nothing in it depends on the clock, on the
folder or on what else the machine has.
"""

import hashlib
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import libraries
import notices
from cpython import Libpython
from openssl import Libssl
from pins import HERE, ROOT
from provider_table import write as write_table
from steps import run
from toolchain import Toolchain

SOURCE = ROOT / "src"
DIST = ROOT / "dist"
NAME = "gcp-sa-credential-provider"

_COMPILE = (
    "-std=c11",
    "-O2",
    "-DNDEBUG",
    "-DPy_BUILD_CORE",
    "-ffunction-sections",
    "-fdata-sections",
)
# The C part is ours and small: every warning is an error, and undefined behaviour a trap.
_STRICT = (
    "-Wall",
    "-Wextra",
    "-Werror",
    "-fsanitize=undefined",
    "-fsanitize-trap=undefined",
    "-fstack-protector-strong",
)
_LINK = (
    "-static-pie",
    "-Wl,-z,relro",
    "-Wl,-z,now",
    "-Wl,-z,noexecstack",
    "-Wl,-z,stack-size=1048576",  # of every thread: musl's own default is 128 KiB
    "-Wl,--gc-sections",
    "-s",
)
OURS = ("main.c", "core.c", "alloc.c", "whole.c", "frozen.c", "modules.c")
# For `_ssl.c`; see c/provider.h.
SSL = ("-DPy_BUILD_CORE_BUILTIN", "-DERR_reason_error_string=reason_of_error")


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What one architecture's file is made of."""

    tools: Toolchain
    python: Libpython
    openssl: Libssl
    work: Path  # of this link: made anew


def version() -> str:
    """Our own version, from its one literal."""
    text = (SOURCE / "gcp_sa_credential_provider/version.py").read_text()
    found = re.search(r'^VERSION = "([^"]+)"$', text, re.MULTILINE)
    if found is None:
        raise ValueError('version.py: no VERSION = "..."')
    return found[1]


def source_digest() -> str:
    """What our own source is, as SHA-256 over the names and contents of all that goes in."""
    digest = hashlib.sha256()
    for path in sorted([*SOURCE.rglob("*.py"), *HERE.rglob("*.py"), *HERE.rglob("*.[ch]")]):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def link(parts: Parts, builder: Path, licenses: notices.Notices) -> Path:
    """Write dist/NAME-VERSION-linux-ARCH, its .sha256 and .cdx.json; returns the file."""
    log = parts.work / "log"
    freeze(parts.work, parts.python, builder, licenses)
    objects = _compile(parts, log)
    target = DIST / f"{NAME}-{version()}-linux-{parts.tools.arch}"
    DIST.mkdir(exist_ok=True)
    _link(parts, [*objects, *parts.python.libraries, *parts.openssl.libraries], target, log)
    digest = hashlib.sha256(target.read_bytes()).hexdigest()
    target.with_name(f"{target.name}.sha256").write_text(f"{digest}  {target.name}\n")
    bill = licenses.sbom(NAME, version(), "Apache-2.0", digest)
    target.with_name(f"{target.name}.cdx.json").write_text(bill)
    return target


def freeze(work: Path, python: Libpython, builder: Path, licenses: notices.Notices) -> None:
    """Make the folder `work` anew, with what c/frozen.c takes in."""
    shutil.rmtree(work, ignore_errors=True)
    generated = work / "generated"
    generated.mkdir(parents=True)
    shutil.copyfile(HERE / "entry.py", generated / "entry.py")
    libraries.write(generated)
    (generated / "linked.py").write_text(licenses.module(source_digest()))
    bundle = generated / "gcp_sa_credential_provider/plugin/bundle.py"
    bundle.parent.mkdir(parents=True)
    bundle.write_text(notices.bundle_module())
    program: list[str | Path] = [builder, "-X", "no_debug_ranges", HERE / "freeze.py"]
    run(
        [*program, work, python.source / "Lib", SOURCE, generated],
        log=work / "log",
        # The same order of constants in every build (PEP 456: the seed is for dictionaries of
        # others' keys; sets in marshalled code follow it).
        env={"PYTHONHASHSEED": "0"},
    )


def _link(parts: Parts, inputs: list[Path], target: Path, log: Path) -> None:
    """Link as zig does, but with relocations packed (RELR), which its front end has no word for.

    That is 0.9 MB less of file and of memory. zig says which command it gives to its linker; the
    same command is run again with the one more option.
    """
    linked = parts.work / target.name
    command: list[str | Path] = ["cc", "-v", *_LINK, *inputs, "-lm", "-o", linked]
    run(command, log=log, env=parts.tools.env)
    lines = [line for line in log.read_text().splitlines() if line.startswith("ld.lld ")]
    run(
        [parts.tools.zig, *shlex.split(lines[-1]), "--pack-dyn-relocs=relr"],
        log=log,
        env=parts.tools.env,
    )
    linked.chmod(0o755)
    # The cache may be on another file system, and the file that is there may be running.
    partial = target.with_name(f"{target.name}.partial")
    shutil.move(linked, partial)
    partial.replace(target)


def _compile(parts: Parts, log: Path) -> list[Path]:
    source = parts.python.source
    includes = [
        f"-ffile-prefix-map={parts.work}=/build/link",
        f"-ffile-prefix-map={ROOT}=/source",
        *parts.python.includes,
        f"-I{source / 'Modules'}",
        *parts.openssl.includes,
        f"-I{parts.work}",
    ]

    def compile_one(path: Path, *flags: str) -> Path:
        target = parts.work / f"{path.stem}.o"
        command: list[str | Path] = ["cc", "-c", *_COMPILE, *flags, *includes, path, "-o", target]
        run(command, cwd=parts.work, log=log, env=parts.tools.env)
        return target

    folder = parts.work / "ssl"
    ssl = compile_one(ssl_source(source, folder), *SSL)
    providers = parts.openssl.source / "providers"
    headers = [
        f"-I{tree / 'providers' / kind / 'include'}"
        for tree in (parts.openssl.build, parts.openssl.source)
        for kind in ("common", "implementations")
    ]
    headers.append(f"-I{providers}")
    table = compile_one(write_table(providers, folder), "-DOPENSSL_BUILDING_OPENSSL", *headers)
    return [*(compile_one(HERE / "c" / name, *_STRICT) for name in OURS), ssl, table]


def ssl_source(python: Path, folder: Path) -> Path:
    """Put `_ssl.c` of CPython's source into `folder`, beside a short table of errors.

    It looks for its tables beside itself first. CPython's file stays as it is.
    """
    folder.mkdir()
    shutil.copyfile(python / "Modules/_ssl.c", folder / "_ssl.c")
    for table in (python / "Modules").glob("_ssl_data_*.h"):
        shutil.copyfile(HERE / "c/_ssl_data_34.h", folder / table.name)
    return folder / "_ssl.c"

"""`make static-asan`: the C part under AddressSanitizer, as build/static-asan/plugin.

Neither zig nor musl has this sanitizer. So here all is built by the machine's own gcc and linked to
its own C library and OpenSSL (Debian: gcc, libssl-dev); CPython is the pinned source with the same
modules. The C part alone is instrumented, and its allocator with it: what is in a chunk of that is
not told apart, so `--malloc` leaves the C library's in its place. `--fault` proves that the
sanitizer sees what it is for: with a loop that goes one too far, the program must end with its
report.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import cpython
import link
import notices
from pins import HERE, ROOT, cache, key, pins
from sources import unpack
from steps import BuildError, locked, once, run
from toolchain import toolchain

OUT = ROOT / "build" / "static-asan"
_CONFIGURE = (
    "--disable-shared",
    "--disable-test-modules",
    "--without-ensurepip",
    "--without-mimalloc",
    "--without-readline",
    "MODULE_BUILDTYPE=static",
    "PKG_CONFIG=false",
    "ac_cv_header_zlib_h=no",
    "CC=gcc",
)
_COMPILE = ("-std=c11", "-O1", "-g", "-fno-omit-frame-pointer", "-DPy_BUILD_CORE")
_SANITIZE = ("-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover")
_LIBRARIES = ("-l:libssl.a", "-l:libcrypto.a", "-lm", "-ldl", "-lpthread", "-lutil")
# The process leaves without tear-down, so that all it has is "lost".
_OPTIONS = """\
const char *__asan_default_options(void);
const char *__asan_default_options(void) { return "detect_leaks=0"; }
"""
# What alloc.c has, without doing it.
_NO_ALLOCATOR = '#include "provider.h"\nvoid use_own_memory(void) {}\n'
# In core.c, on the way of every run. UBSan would end the program before ASan does.
_LOOP = "i < Py_ARRAY_LENGTH(TEXTS)"
_LOOP_TOO_FAR = "i <= Py_ARRAY_LENGTH(TEXTS)"
_ASAN_ALONE = ("-fsanitize=address", "-fno-sanitize=undefined")
_REPORT = b"AddressSanitizer: stack-buffer-overflow"


def python(work: Path) -> cpython.Libpython:
    """CPython's library by gcc, once for each set of pins."""
    source = unpack(pins()["cpython"], work / "cpython-source")
    folder = work / "asan" / "cpython"
    log = folder.with_suffix(".log")

    def do() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "Modules").mkdir(parents=True)
        template = (source / "Modules/Setup.stdlib.in").read_text()
        (folder / "Modules/Setup.local").write_text(cpython.setup_local(template))
        run([source / "configure", *_CONFIGURE], cwd=folder, log=log)
        targets = ["libpython3.13.a", "Modules/_hacl/libHacl_Hash_SHA2.a"]
        run(["make", "-j2", *targets], cwd=folder, log=log)

    once(folder.with_suffix(".built"), "CPython by gcc", do)
    return cpython.Libpython(source=source, build=folder)


def build(*, malloc: bool, fault: bool) -> Path:
    """Compile, link; returns the program. Raises BuildError."""
    work = cache() / key()
    tools = toolchain("amd64", work)
    native = cpython.build(tools, work, 2, None)
    library = python(work)
    openssl = unpack(pins()["openssl"], work / "openssl-source")
    texts = notices.read(native.source, openssl, tools.zig)
    link.freeze(OUT, native, cpython.builder_of(native.build), texts)
    log = OUT / "log"
    includes = [*library.includes, f"-I{library.source / 'Modules'}", f"-I{OUT}", f"-I{HERE / 'c'}"]
    (OUT / "options.c").write_text(_OPTIONS)
    ours = [OUT / "options.c", *(HERE / "c" / name for name in link.OURS)]
    if malloc:
        (OUT / "alloc.c").write_text(_NO_ALLOCATOR)
        ours = [OUT / "alloc.c" if path.name == "alloc.c" else path for path in ours]
    sanitize = _SANITIZE
    if fault:
        text = (HERE / "c/core.c").read_text()
        if text.count(_LOOP) != 1:
            raise BuildError(f"core.c has no loop {_LOOP!r} to plant a fault in")
        (OUT / "core.c").write_text(text.replace(_LOOP, _LOOP_TOO_FAR))
        ours = [OUT / "core.c" if path.name == "core.c" else path for path in ours]
        sanitize = (*_SANITIZE, *_ASAN_ALONE)
    objects = []
    for path, flags in [
        *((path, sanitize) for path in ours),
        (link.ssl_source(library.source, OUT / "ssl"), link.SSL),
    ]:
        target = OUT / f"{path.stem}.o"
        run(["gcc", "-c", *_COMPILE, *flags, *includes, path, "-o", target], cwd=OUT, log=log)
        objects.append(target)
    program = OUT / ("plugin-with-a-fault" if fault else "plugin")
    flags = ("-fsanitize=address,undefined", "-o", str(program))
    run(["gcc", *flags, *objects, *library.libraries, *_LIBRARIES], log=log)
    return program


def prove(program: Path) -> None:
    """Run the program with the planted fault. Raises BuildError unless the sanitizer ends it."""
    ended = subprocess.run([program], stdin=subprocess.DEVNULL, capture_output=True, check=False)
    if ended.returncode == 0 or _REPORT not in ended.stderr:
        said = ended.stderr.decode("utf-8", "replace")[:500]
        raise BuildError(f"the planted fault was not reported (exit {ended.returncode}): {said}")


def main() -> int:
    """Read the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the C part with AddressSanitizer.")
    parser.add_argument("--malloc", action="store_true", help="with the C library's allocator")
    parser.add_argument("--fault", action="store_true", help="prove that a fault is reported")
    given = parser.parse_args()
    try:
        with locked():
            program = build(malloc=given.malloc, fault=given.fault)
        if given.fault:
            prove(program)
        print(program)
    except BuildError as error:
        sys.stderr.write(f"static-asan: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

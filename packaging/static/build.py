"""Build the static file: `python packaging/static/build.py [amd64] [arm64]`.

From pinned sources to dist/. CPython and OpenSSL are built once for each set of pins and kept in
the user's cache; after that a change of our own code costs one link.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cpython
import notices
import openssl
from link import Parts, link
from pins import ARCHES, ROOT, cache, key
from steps import BuildError, locked, say
from toolchain import toolchain

JOBS = 2


def build(arches: list[str], *, twice: bool = False) -> None:
    """Build for each architecture. Raises BuildError.

    `twice`: link a second time, from another folder, and compare.
    """
    work = cache() / key()
    # What runs here, to freeze with; it is also the native architecture's own library.
    native = cpython.build(toolchain("amd64", work), work, JOBS, None)
    builder = cpython.builder_of(native.build)
    for arch in arches:
        started = time.monotonic()
        tools = toolchain(arch, work)
        python = native if arch == "amd64" else cpython.build(tools, work, JOBS, builder)
        tls = openssl.build(tools, work, JOBS)
        parts = Parts(tools=tools, python=python, openssl=tls, work=work / arch / "link")
        found = notices.read(python.source, tls.source, tools.zig)
        target = link(parts, builder, found)
        if twice:
            first = target.read_bytes()
            with tempfile.TemporaryDirectory() as other:
                link(replace(parts, work=Path(other) / "elsewhere"), builder, found)
            if target.read_bytes() != first:
                raise BuildError(f"{target.name}: a second link gave other bytes")
            say(f"{target.name}: the same bytes from two folders")
        say(
            f"{target.relative_to(ROOT)}: {target.stat().st_size} bytes, "
            f"{time.monotonic() - started:.0f} s"
        )


def main() -> int:
    """Read the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(description="Build the static file.")
    parser.add_argument("arches", nargs="*", metavar="ARCH", help="amd64, arm64; none: both")
    parser.add_argument("--twice", action="store_true", help="link in two folders and compare")
    given = parser.parse_args()
    arches = given.arches or list(ARCHES)
    unknown = sorted(set(arches) - set(ARCHES))
    if unknown:
        parser.error(f"no architecture {', '.join(unknown)}; there are {', '.join(ARCHES)}")
    try:
        with locked():
            build(arches, twice=given.twice)
    except BuildError as error:
        sys.stderr.write(f"static: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Builds OpenTofu from the Go module proxy, once: the judge of what is written as HCL.

    python -m clients.opentofu build    build it, unless that was done
    python -m clients.opentofu pin      write tofu/go.mod and go.sum for VERSION anew

Run with PYTHONPATH=tests. Imports the builder of tests/kubelet and the standard library.
"""

import argparse
import hashlib
import json
import re
import sys
import tempfile
from pathlib import Path

from kubelet.build import CACHE, BuildError, _go, _go_toolchain, _locked, _say, go_problem

VERSION = "1.12.6"
MODULE = "github.com/opentofu/opentofu"
PACKAGE = f"{MODULE}/cmd/tofu"
FOLDER = Path(__file__).parent / "tofu"
FLAGS = (
    "-trimpath",
    "-buildvcs=false",
    # A development build would say so in every answer.
    f"-ldflags=-s -w -X {MODULE}/version.dev=no",
)


def program() -> Path:
    """Where the program is, or will be; named by a hash over all that goes into it."""
    digest = hashlib.sha256(json.dumps([_go_toolchain(), PACKAGE, *FLAGS]).encode())
    for name in ("go.mod", "go.sum"):
        digest.update((FOLDER / name).read_bytes())
    return CACHE.parent / "opentofu" / f"tofu-{VERSION}-{digest.hexdigest()[:16]}"


def build() -> Path:
    """Build it, unless that was done: about fifteen minutes of one core. Raises BuildError."""
    if problem := go_problem():
        raise BuildError(problem)
    path = program()
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent / ".lock"):
        if not path.exists():
            _say(f"OpenTofu {VERSION}: fetching it from the Go module proxy, and compiling")
            with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
                made = Path(scratch) / "tofu"
                _go("build", *FLAGS, "-o", str(made), PACKAGE, folder=FOLDER)
                made.replace(path)
    return path


def pin() -> None:
    """Write go.mod and go.sum: the release, and the replacements that its own go.mod has."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = f"{MODULE}@v{VERSION}"
        downloaded = json.loads(_go("mod", "download", "-json", wanted, folder=Path(scratch)))
    theirs = Path(downloaded["GoMod"]).read_text()
    keep = re.findall(r"^(?:go|godebug|replace) (?:\([^)]*\)|.*)$", theirs, re.MULTILINE)
    lines = ["module tofu", *keep, f"require {MODULE} v{VERSION}"]
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "go.mod").write_text("\n".join(lines) + "\n")
    (FOLDER / "go.sum").unlink(missing_ok=True)
    _go("list", "-deps", "-mod=mod", PACKAGE, folder=FOLDER)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m clients.opentofu")
    parser.add_argument("command", choices=("build", "pin"))
    try:
        if parser.parse_args().command == "pin":
            pin()
        else:
            print(build())
    except BuildError as problem:
        _say(f"opentofu.py: {problem}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

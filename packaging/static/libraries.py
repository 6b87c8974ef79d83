"""Libraries in Python that are frozen in (packaging/libraries.toml), as a folder of sources.

Apart from sources.py, on which the builds of CPython and OpenSSL depend: a change here or there
costs one link.
"""

import shutil
import sys
import zipfile
from pathlib import Path

from pins import LIBRARIES, Pin, cache, pins
from sources import fetch, sha256
from steps import BuildError, run

# Of a package's `__init__`, which would import all of it: what is frozen is imported by module.
_EMPTY = ("yaml/__init__.py",)
_MODULES = {"pyyaml": "yaml/"}
_PYTHON = "3.13"
_PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_28_x86_64")


def libraries() -> dict[str, Pin]:
    """The pinned libraries by name."""
    return pins(LIBRARIES)


def wheel(pin: Pin) -> Path:
    """The pin's wheel, verified. Raises BuildError."""
    _download(pin)
    return fetch(pin)[0]


def write(into: Path) -> None:
    """Put the sources of all libraries into a folder. Raises BuildError."""
    for name, pin in libraries().items():
        with zipfile.ZipFile(wheel(pin)) as archive:
            for member in archive.namelist():
                if member.startswith(_MODULES[name]) and member.endswith(".py"):
                    target = into / member
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(b"" if member in _EMPTY else archive.read(member))


def _download(pin: Pin) -> None:
    """Fetch for the static file's CPython, which is not the one that this runs under."""
    file = pin.source
    kept = cache() / "sources" / file.sha256 / file.file
    if kept.exists() and sha256(kept) == file.sha256:
        return
    into = cache() / "pypi"
    into.mkdir(parents=True, exist_ok=True)
    requirement = into / f"{pin.package}.txt"
    requirement.write_text(f"{pin.package}=={pin.version} --hash=sha256:{file.sha256}\n")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download"]
    options = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--dest", str(into)]
    options += ["--python-version", _PYTHON, "--implementation", "cp"]
    options += [word for platform in _PLATFORMS for word in ("--platform", platform)]
    try:
        run([*pip, *options, "--requirement", requirement], log=into / "log")
    except BuildError:
        return  # `fetch` looks elsewhere, and says what can be done
    kept.parent.mkdir(parents=True, exist_ok=True)
    partial = kept.with_name(kept.name + ".partial")
    shutil.copyfile(into / file.file, partial)
    partial.replace(kept)

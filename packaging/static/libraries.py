"""Libraries in Python that are frozen in (packaging/libraries.toml), as a folder of sources.

Apart from sources.py, on which the builds of CPython and OpenSSL depend: a change here or there
costs one link.
"""

import zipfile
from pathlib import Path

from pins import LIBRARIES, Pin, pins
from sources import fetch

# Of a package's `__init__`, which would import all of it: what is frozen is imported by module.
_EMPTY = ("yaml/__init__.py",)
_MODULES = {"pyyaml": "yaml/"}


def libraries() -> dict[str, Pin]:
    """The pinned libraries by name."""
    return pins(LIBRARIES)


def write(into: Path) -> None:
    """Put the sources of all libraries into a folder. Raises BuildError."""
    for name, pin in libraries().items():
        with zipfile.ZipFile(fetch(pin)[0]) as archive:
            for member in archive.namelist():
                if member.startswith(_MODULES[name]) and member.endswith(".py"):
                    target = into / member
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(b"" if member in _EMPTY else archive.read(member))

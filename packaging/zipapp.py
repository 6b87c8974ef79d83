"""Build dist/gcp-sa-credential-provider.pyz: the plugin for nodes that have Python 3.11 or newer.

One file, `#!/usr/bin/python3 -IS`: isolated from the user's environment and without `site`, which
costs more than half of an empty interpreter's start. It holds the code compiled for the Python
that builds it, and the source beside it, which any other supported Python compiles for itself at
each start. Its entries have a fixed order and time: the same source gives the same bytes.
"""

import importlib.util
import marshal
import struct
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
PACKAGE = "gcp_sa_credential_provider"
TARGET = ROOT / "dist" / "gcp-sa-credential-provider.pyz"
SHEBANG = b"#!/usr/bin/python3 -IS\n"
# What needs third-party packages stays out: it could not run on a node anyway.
LEFT_OUT = ("cluster", "demo", "emulator", "fleet", "google", "node", "render", "setup")

# Readable by every Python there is, so that one which is too old says so in a sentence.
MAIN = """\
import sys
if sys.version_info < (3, 11):
    sys.stderr.write(
        "gcp-sa-credential-provider: [STARTUP-PYTHON] %s is Python %d.%d. Fix: use Python 3.11 or "
        "newer, or the static file" % ((sys.executable,) + tuple(sys.version_info[:2]))
    )
    sys.exit(2)
from gcp_sa_credential_provider.__main__ import main
main()
"""


def compiled(path: Path, name: str) -> bytes:
    """The .pyc of a file: unchecked, since nothing in an archive changes beside it (PEP 552)."""
    code = compile(path.read_bytes(), name, "exec", dont_inherit=True, optimize=2)
    source_hash = importlib.util.source_hash(path.read_bytes())
    head = importlib.util.MAGIC_NUMBER + struct.pack("<I", 0b01) + source_hash
    return head + marshal.dumps(code)


def modules() -> list[Path]:
    """The files that go in, in a fixed order."""
    package = SOURCE / PACKAGE
    return [
        path
        for path in sorted(package.rglob("*.py"))
        if path.relative_to(package).parts[0] not in LEFT_OUT
    ]


def build(target: Path) -> None:
    """Write the archive, executable."""
    target.parent.mkdir(exist_ok=True)
    partial = target.with_suffix(".partial")
    with partial.open("wb") as out:
        out.write(SHEBANG)
        with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:

            def add(name: str, data: bytes) -> None:
                entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, data)

            add("__main__.py", MAIN.encode())
            for path in modules():
                name = path.relative_to(SOURCE).as_posix()
                add(f"{name}c", compiled(path, name))
                add(name, path.read_bytes())
    partial.chmod(0o755)
    partial.replace(target)


if __name__ == "__main__":
    build(TARGET)
    sys.stdout.write(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size} bytes\n")

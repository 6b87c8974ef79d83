"""Compile modules into one blob and a table of it, for the C part. Run by the pinned CPython.

Usage: python freeze.py OUT STDLIB SOURCE GENERATED, which writes what c/frozen.c takes in.

Two sets. The core set is what the kubelet's exec imports: the plugin. The whole set adds the
operator's tool as far as a node needs it, and all of the standard library and of the libraries in
GENERATED that these can come to import, found by following import statements.
"""

import ast
import marshal
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType

HERE = Path(__file__).resolve().parent
PACKAGE = "gcp_sa_credential_provider"
# What is for an operator's own machine, and needs packages that a node has not.
LEFT_OUT = tuple(
    f"{PACKAGE}.{name}"
    for name in ("cluster", "demo", "emulator", "fleet", "google", "render", "setup")
)
CORE = (f"{PACKAGE}.__main__", f"{PACKAGE}.version", f"{PACKAGE}.plugin")
BUNDLE = f"{PACKAGE}.plugin.bundle"
RARE = (
    *(f"{PACKAGE}.plugin.{name}" for name in ("messages", "line", "proxy", "impersonate")),
    BUNDLE,
    "json",
)

# The interpreter's own start needs these whatever our code imports.
_START = (
    "encodings",
    "encodings.aliases",
    "encodings.ascii",
    "encodings.latin_1",
    "encodings.utf_8",
)
# Imported in corners of the standard library that no command of ours comes to.
_NEVER = tuple(
    """
    _pydatetime _pydecimal _pyio _pyrepl _strptime asyncio bz2 concurrent ctypes curses
    decimal doctest email ensurepip fractions ftplib getpass hmac http idlelib lzma
    multiprocessing netrc nturl2path optparse pdb pickle plistlib pydoc pydoc_data pyexpat
    readline site smtplib socketserver sqlite3 ssl statistics sysconfig tarfile test tkinter
    trace tracemalloc tty turtle unittest urllib.request venv webbrowser xml xmlrpc zipapp
    zipfile
    """.split()
)


@dataclass(frozen=True, kw_only=True)
class Module:
    """A module's source."""

    name: str
    path: Path
    display: str  # what a traceback calls it

    @property
    def is_package(self) -> bool:
        """Whether it may have submodules."""
        return self.path.name == "__init__.py"

    def parse(self) -> ast.Module:
        """Its syntax tree."""
        return ast.parse(self.path.read_bytes(), self.display)

    def compile(self) -> CodeType:
        """Its code, without asserts and docstrings."""
        source = self.path.read_bytes()
        code: CodeType = compile(source, self.display, "exec", dont_inherit=True, optimize=2)
        return code


def find(name: str, root: Path) -> Module | None:
    """A module of a source folder; None where it has none of that name."""
    base = root.joinpath(*name.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.exists():
            return Module(name=name, path=path, display=path.relative_to(root).as_posix())
    return None


def package(source: Path) -> Iterator[Module]:
    """All of our modules that go in, in a fixed order."""
    for path in sorted((source / PACKAGE).rglob("*.py")):
        parts = path.relative_to(source).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if not within(name, LEFT_OUT):
            yield Module(name=name, path=path, display=path.relative_to(source).as_posix())


def within(name: str, packages: Iterable[str]) -> bool:
    """Whether a module is one of `packages` or in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


class _Imports(ast.NodeVisitor):
    """Names of modules that a module's import statements may mean."""

    def __init__(self, module: Module) -> None:
        self.names: set[str] = set()
        package = module.name if module.is_package else module.name.rpartition(".")[0]
        self._package = package.split(".") if package else []
        self.visit(module.parse())

    def visit_Import(self, node: ast.Import) -> None:
        self.names.update(alias.name for alias in node.names)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._package[: len(self._package) - node.level + 1] if node.level else []
        name = ".".join([*base, *(node.module or "").split(".")]).strip(".")
        self.names.add(name)
        self.names.update(f"{name}.{alias.name}" for alias in node.names)

    def visit_If(self, node: ast.If) -> None:
        """Neither what only type checkers read, nor what runs as a script."""
        text = ast.unparse(node.test)
        if "TYPE_CHECKING" in text or text.startswith("__name__ =="):
            node.body = []
        self.generic_visit(node)


def closure(start: list[Module], *roots: Path) -> list[Module]:
    """The modules in folders of sources that `start` can come to import, and their packages."""
    found: dict[str, Module] = {}
    queue = [*_START, *(name for module in start for name in _Imports(module).names)]
    while queue:
        parts = queue.pop().split(".")
        for length in range(1, len(parts) + 1):
            name = ".".join(parts[:length])
            if name in found or within(name, _NEVER):
                continue
            module = next(filter(None, (find(name, root) for root in roots)), None)
            if module is not None:
                found[name] = module
                queue += _Imports(module).names
    return [found[name] for name in sorted(found)]


Place = tuple[int, int]  # where a module's code is in the blob: offset and size


def add(blob: bytearray, module: Module) -> Place:
    """Put a module's marshalled code at the blob's end."""
    code = marshal.dumps(module.compile())
    blob += code
    return len(blob) - len(code), len(code)


def write_whole(out: Path, blob: bytearray, modules: list[Module]) -> dict[Module, Place]:
    """Put the whole interpreter's modules into the blob; write their names, and the table for C."""
    names, rows = bytearray(), []
    places = {module: add(blob, module) for module in modules}
    for module, (offset, size) in places.items():
        row = f"{{{len(names)}, {offset}, {size}, {int(module.is_package)}}}"
        rows.append(f"    {row}, /* {module.name} */\n")
        names += module.name.encode() + b"\0"
    (out / "whole_names.bin").write_bytes(names)
    (out / "whole_table.h").write_text("".join(rows))
    return places


def write_core(
    out: Path, blob: bytearray, modules: list[Module], places: dict[Module, Place], importer: Module
) -> None:
    """Write what the core interpreter reads at every start, as one marshalled pair.

    The code of frozen_import.py, and a dictionary: name -> (code, is it a package). In one piece,
    since then a name that many modules use is read and interned once. Of what only some runs need
    there is the place alone.
    """
    table = {
        module.name: (
            (places.get(module) or add(blob, module))
            if within(module.name, RARE)
            else module.compile(),
            module.is_package,
        )
        for module in modules
    }
    (out / "core.bin").write_bytes(marshal.dumps((importer.compile(), table)))


def main(out: Path, stdlib: Path, source: Path, generated: Path) -> None:
    """Freeze all; `generated` is a folder of modules that only the static file has."""
    ours = list(package(source))
    extra = [module for name in ("entry", "linked") if (module := find(name, generated))]
    blob = bytearray()
    places = write_whole(out, blob, [*ours, *extra, *closure([*ours, *extra], stdlib, generated)])
    stands_in = HERE / "stand_in"
    core = [module for module in ours if module.name == PACKAGE or within(module.name, CORE)]
    core += [module for name in ("json", "json.decoder") if (module := find(name, stands_in))]
    core += [module for name in (BUNDLE,) if (module := find(name, generated))]
    importer = Module(name="frozen_import", path=HERE / "frozen_import.py", display="frozen_import")
    write_core(out, blob, core, places, importer)
    (out / "whole.bin").write_bytes(blob)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))

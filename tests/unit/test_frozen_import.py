"""The core interpreter's `__import__`, under the interpreter that runs the tests."""

import builtins
import marshal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest

RULES = Path(__file__).parents[2] / "packaging/static/frozen_import.py"

TREE = {
    "a": "X = 1",
    "a.b": "from a.c import Y\nimport a.d\nZ = a.d.D",
    "a.c": "Y = 2",
    "a.d": "D = 3",
    "alone": "from a import b, X\nimport a.b, top\nV = (b.Z, X, top.T)",
    "top": "T = 'top'",
    "broken": "import nowhere",
    "half": "DONE = False\nraise ValueError('in the middle')",
    "relative": "from . import a",
    "builtins_user": "N = len('four')",
    "circle": "import circle.one",
    "circle.one": "from circle import two\nONE = 1",
    "circle.two": "import circle.one\nTWO = 2",
    "sneaky": "from a import json",
}
PACKAGES = {"a", "circle"}


class World:
    """Tables of frozen and C modules, and how often the latter were made."""

    def __init__(self, form: Callable[[CodeType], CodeType | tuple[bytes]]) -> None:
        # As the C part does it: the rules and all that they run share one table of builtins.
        self.builtins = dict(vars(builtins))
        rules: dict[str, Any] = {"__builtins__": self.builtins}
        exec(compile(RULES.read_text(), RULES.name, "exec"), rules)
        frozen = {
            name: (form(compile(text, name, "exec")), name in PACKAGES)
            for name, text in TREE.items()
        }
        self.modules: dict[str, Any] = {"sys": sys}
        self.made: list[str] = []
        self.builtins["__import__"] = rules["importer"](
            self.modules, self.builtin, frozen, marshal.loads, ModuleType
        )

    def builtin(self, name: str) -> ModuleType | None:
        """`_c` is the one C module there is."""
        if name != "_c":
            return None
        self.made.append(name)
        self.modules[name] = module = ModuleType(name)
        return module

    def run(self, text: str) -> Mapping[str, Any]:
        """Names after statements that import by these rules only."""
        names: dict[str, Any] = {"__builtins__": self.builtins, "__name__": "statements"}
        exec(text, names)
        return names


@pytest.fixture(params=["code", "place"])
def world(request: pytest.FixtureRequest) -> World:
    """Modules as code, and as places that are read when they are needed."""
    if request.param == "code":
        return World(lambda code: code)
    return World(lambda code: (marshal.dumps(code),))


def test_import_of_a_dotted_name_gives_the_top(world: World) -> None:
    """`import a.b` binds a, with b as its attribute."""
    a = world.run("import a.b")["a"]
    assert (a.__name__, a.b.Z) == ("a", 3)


def test_import_as_gives_the_module_itself(world: World) -> None:
    """`import a.b as it` walks the attributes."""
    assert world.run("import a.b as it")["it"].__name__ == "a.b"


def test_from_gives_attributes_and_submodules(world: World) -> None:
    """Attribute first; where the package has none of that name, its submodule."""
    assert world.run("from alone import V")["V"] == (3, 1, "top")


def test_from_dotted_gives_an_attribute(world: World) -> None:
    """`from a.c import Y` imports a first."""
    assert world.run("from a.c import Y")["Y"] == 2
    assert [name for name in world.modules if name != "sys"] == ["a", "a.c"]


def test_a_module_is_run_once(world: World) -> None:
    """The same object at every import."""
    names = world.run("import a.c\nfirst = a.c\nimport a.c\nsecond = a.c")
    assert names["first"] is names["second"]


def test_a_c_module_is_made_once(world: World) -> None:
    """C modules keep state."""
    world.run("import _c\nimport _c\nfrom _c import __name__")
    assert world.made == ["_c"]


@pytest.mark.parametrize("statement", ["import nowhere", "import a.nowhere", "import top.nowhere"])
def test_an_unknown_module(world: World, statement: str) -> None:
    """Its whole name is told, in the message and as the attribute."""
    with pytest.raises(ModuleNotFoundError) as caught:
        world.run(statement)
    name = statement.split()[1]
    assert (caught.value.name, str(caught.value)) == (name, f"No module named {name!r}")


def test_an_unknown_attribute(world: World) -> None:
    """The interpreter's own ImportError."""
    with pytest.raises(ImportError, match="cannot import name 'nothing' from 'a'"):
        world.run("from a import nothing")


def test_a_failed_module_is_forgotten(world: World) -> None:
    """The next import runs it again and fails again."""
    for _ in range(2):
        with pytest.raises(ValueError, match="in the middle"):
            world.run("import half")
        assert "half" not in world.modules


def test_a_failure_inside_keeps_the_inner_name(world: World) -> None:
    """Which module is missing, not which one asked."""
    with pytest.raises(ModuleNotFoundError) as caught:
        world.run("import broken")
    assert caught.value.name == "nowhere"


def test_relative_imports_are_refused(world: World) -> None:
    """The plugin has none."""
    with pytest.raises(ImportError, match="relative imports"):
        world.run("import relative")


def test_circular_imports(world: World) -> None:
    """As far as the interpreter itself allows them: through sys.modules."""
    names = world.run("from circle.one import ONE\nfrom circle.two import TWO")
    assert (names["ONE"], names["TWO"]) == (1, 2)


def test_builtins_are_there(world: World) -> None:
    """Frozen code finds len()."""
    assert world.run("from builtins_user import N")["N"] == 4


def test_nothing_of_the_ordinary_import_is_reachable(world: World) -> None:
    """The standard library is not found by way of a package."""
    with pytest.raises(ImportError):
        world.run("import sneaky")
    assert "json" not in world.modules


def test_package_and_spec(world: World) -> None:
    """`__package__` as the language says; only packages have a path."""
    world.run("import a.c")
    assert (world.modules["a"].__package__, world.modules["a"].__path__) == ("a", [])
    assert world.modules["a.c"].__package__ == "a"
    assert not hasattr(world.modules["a.c"], "__path__")

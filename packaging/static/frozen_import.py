"""`__import__` of the core interpreter, which has no importlib: built-in and frozen modules only.

The C part runs this module first of all, and gives it what it needs. The rules:

* names are absolute and dotted; a package is imported before what is in it;
* a module of C code is created once, frozen code is run once, both found by their whole name;
* what failed to import is forgotten again;
* `import a.b` gives `a`; `from a.b import c` gives `a.b`, with its submodule `c` imported where
  `a.b` is a package that has no attribute of that name;
* all else is a ModuleNotFoundError.

The tests run these rules under an ordinary interpreter.
"""

# Why so many rules are off: names and arguments are those of `__import__` (the language, 7.11), and
# types would be read at every image pull.
# ruff: noqa: A001, A002, ANN001, ANN201, ANN202, ARG001, N807, S102


def importer(modules, builtin, frozen, read, new_module):
    """An `__import__` over the table `modules` (sys.modules).

    `builtin(name)` creates, registers and returns a C module, or returns None. `frozen` maps names
    to (code, is it a package), the code itself or its place, which `read(*place)` reads.
    `new_module(name)` makes an empty module.
    """

    def load(name):
        found = modules.get(name)
        if found is not None:
            return found
        parent, _, last = name.rpartition(".")
        if parent:
            load(parent)
        module = builtin(name)
        if module is None:
            module = run(name)
        if parent:
            setattr(modules[parent], last, module)
        return module

    def run(name):
        entry = frozen.get(name)
        if entry is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        code, is_package = entry
        if isinstance(code, tuple):
            code = read(*code)
        module = new_module(name)
        module.__package__ = name if is_package else name.rpartition(".")[0]
        if is_package:
            module.__path__ = []
        modules[name] = module
        try:
            exec(code, module.__dict__)
        except BaseException:
            del modules[name]
            raise
        return module

    def __import__(name, globals=None, locals=None, fromlist=None, level=0):
        if level:
            raise ImportError("relative imports are not for frozen code", name=name)
        module = modules.get(name)
        if module is None:
            module = load(name)
        if not fromlist:
            return modules[name.partition(".")[0]] if "." in name else module
        if hasattr(module, "__path__"):
            for attribute in fromlist:
                if not hasattr(module, attribute):
                    submodule = f"{name}.{attribute}"
                    if submodule in frozen:
                        load(submodule)
        return module

    return __import__

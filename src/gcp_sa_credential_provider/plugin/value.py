"""Value: the base of the plugin's immutable records, without importing `dataclasses`.

`dataclasses` alone costs more than a whole token exchange (it pulls in `re` and `inspect`).
Type checkers treat a subclass as a frozen, keyword-only dataclass; at run time it is a class with
an instance dictionary. Its `repr` shows the field names only: records hold tokens.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn, dataclass_transform
else:

    def dataclass_transform(**_: bool) -> "object":
        """Mark nothing: only type checkers read the mark."""
        return lambda cls: cls


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Value:
    """An immutable record whose fields are its annotations, all given by keyword."""

    def __init__(self, **fields: object) -> None:
        self.__dict__.update(fields)

    def __setattr__(self, name: str, value: object) -> "NoReturn":
        raise AttributeError(f"{type(self).__name__} is immutable")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.__dict__)})"

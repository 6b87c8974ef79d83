"""A part of a YAML or JSON document that knows its place, so that every error can name it.

Imports rejection. Every method raises ConfigError with the place, the evidence and a fix.
"""

import re
from collections.abc import Iterator
from typing import Any

from gcp_sa_credential_provider.emulator.rejection import ConfigError


class Node:
    """A mapping within a document."""

    def __init__(self, value: Any, where: str) -> None:
        self.where = where
        if not isinstance(value, dict):
            raise ConfigError(
                where, f"must be a mapping, not {type(value).__name__}", "write `key: value` pairs"
            )
        self.value: dict[str, Any] = value

    def only(self, *keys: str) -> None:
        """Refuse every other key."""
        for key in self.value:
            if key not in keys:
                raise ConfigError(
                    f"{self.where}: {key}", "unknown key", f"use one of {', '.join(keys)}"
                )

    def child(self, key: str) -> "Node":
        """The mapping below a key; an empty one where there is none."""
        return Node(self.value.get(key, {}), f"{self.where}: {key}")

    def items(self, key: str) -> Iterator["Node"]:
        """The mappings of a list."""
        for index, item in enumerate(self._list(key)):
            yield Node(item, f"{self.where}: {key}[{index}]")

    def text(self, key: str, default: str | None = None) -> str:
        """A text, or a number taken as one; without a default it must be there."""
        value = self.value.get(key, default)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # an unquoted project number
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def flag(self, key: str) -> bool:
        """True or false; false where there is none."""
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value

    def number(self, key: str, default: int) -> int:
        """A whole number, 0 or more."""
        value = self.value.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise self._wrong(key, value, "a whole number, 0 or more")
        return value

    def texts(self, key: str) -> list[str]:
        """A list of texts; empty where there is none."""
        values = self._list(key)
        for value in values:
            if not isinstance(value, str):
                raise self._wrong(key, value, "a list of texts")
        return values

    def choice(self, key: str, *allowed: str) -> str:
        """One of these texts; the first is the default."""
        value = self.text(key, allowed[0])
        if value not in allowed:
            raise self._wrong(key, value, " or ".join(allowed))
        return value

    def named(self, pattern: str, example: str) -> str:
        """The member `name`, which must have this form."""
        name = self.text("name")
        if not re.fullmatch(pattern, name):
            raise self._wrong("name", name, f"a resource name like {example}")
        return name

    def _list(self, key: str) -> list[Any]:
        value = self.value.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        return value

    def _wrong(self, key: str, value: Any, wanted: str) -> ConfigError:
        evidence = "missing" if value is None else f"not {value!r}"
        return ConfigError(f"{self.where}: {key}", f"must be {wanted} ({evidence})", "correct it")

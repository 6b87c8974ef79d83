"""HCL as `tofu fmt` writes it: blocks, arguments, and strings that mean what they say.

Imports nothing of ours. Rules: the HCL native syntax specification (hashicorp/hcl,
hclsyntax/spec.md: quoted templates, `$${` and `%%{`) and its formatter (hclwrite/format.go).
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_INDENT = "  "
_ALONE = ("for_each", "depends_on")
_KEYWORDS = frozenset(["for", "null", "true", "false"])


@dataclass(frozen=True)
class Expression:
    """An expression as it stands: a reference, `each.value`, `file("…")`."""

    text: str


@dataclass(frozen=True)
class Call:
    """A function of one argument."""

    function: str
    argument: "Value"


Value = str | bool | Expression | Call | Sequence["Value"] | Mapping[str, "Value"]
"""What an argument may be."""


@dataclass(frozen=True)
class Block:
    """A block: `type "label" { arguments, blocks }`."""

    type: str
    labels: tuple[str, ...] = ()
    arguments: Mapping[str, Value] = field(default_factory=dict)
    blocks: tuple["Block", ...] = ()
    comments: Sequence[str] = ()
    """Whole lines, each with its `#`."""


def document(comments: Sequence[str], blocks: Iterable[Block]) -> str:
    """A file: the comments, then the blocks, with an empty line between."""
    parts = ["\n".join(comments), *("\n".join(_block(block)) for block in blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def quoted(text: str) -> str:
    """A string literal that evaluates to exactly this text."""
    escaped = "".join(_ESCAPES.get(letter) or _escaped(letter) for letter in text)
    # After `$` or `%`, a doubled introducer would be read from the wrong one: spell that one out.
    escaped = re.sub(r"([$%])(?=\1\{)", lambda sign: f"\\u{ord(sign[1]):04x}", escaped)
    return '"' + re.sub(r"([$%])\{", r"\1\1{", escaped) + '"'


def label(text: str) -> str:
    """A resource's name, the same for the same text and different for different texts.

    Lower-case letters, digits, `_` and `-` stay; a text that has others is told apart by a hash.
    """
    plain = re.sub(r"[^a-z0-9_-]+", "_", text.lower())
    plain = plain if re.match(r"[a-z_]", plain) else f"_{plain}"
    if plain == text:
        return plain
    return f"{plain}_{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _escaped(letter: str) -> str:
    return letter if letter.isprintable() else f"\\U{ord(letter):08x}"


def _block(block: Block, indent: str = "") -> list[str]:
    head = " ".join([block.type, *map(quoted, block.labels)])
    inner = indent + _INDENT
    groups = [_group(group, inner) for group in _grouped(block.arguments)]
    groups += [_block(child, inner) for child in block.blocks]
    lines = [f"{indent}{line}" for line in block.comments]
    if not groups:
        return [*lines, f"{indent}{head} {{}}"]
    lines.append(f"{indent}{head} {{")
    for number, group in enumerate(groups):
        lines += ["", *group] if number else group
    return [*lines, f"{indent}}}"]


def _grouped(arguments: Mapping[str, Value]) -> list[list[tuple[str, Value]]]:
    """Neighbours of one line each stand together; what takes more lines stands alone."""
    groups: list[list[tuple[str, Value]]] = []
    open_group = False
    for name, value in arguments.items():
        alone = name in _ALONE or _is_long(value)
        if alone or not open_group:
            groups.append([])
        groups[-1].append((name, value))
        open_group = not alone
    return groups


def _group(pairs: Sequence[tuple[str, Value]], indent: str) -> list[str]:
    width = max(len(name) for name, _ in pairs)
    return [
        line
        for name, value in pairs
        for line in f"{indent}{name:<{width}} = {_value(value, indent)}".split("\n")
    ]


def _is_long(value: Value) -> bool:
    if isinstance(value, Call):
        return _is_long(value.argument)
    if isinstance(value, Mapping):
        return bool(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return len(value) > 1 or any(isinstance(item, str) or _is_long(item) for item in value)
    return False


def _value(value: Value, indent: str) -> str:
    """The expression; its later lines are indented."""
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Expression):
        return value.text
    if isinstance(value, Call):
        return f"{value.function}({_value(value.argument, indent)})"
    inner = indent + _INDENT
    if isinstance(value, Mapping):
        if not value:
            return "{}"
        # As the formatter aligns them: an entry of several lines ends a run of single lines.
        groups = _grouped(dict(zip(_keys(value), value.values(), strict=True)))
        lines = [line for group in groups for line in _group(group, inner)]
        return "\n".join(["{", *lines, f"{indent}}}"])
    if not _is_long(value):
        return "[" + "".join(_value(item, indent) for item in value) + "]"
    return "\n".join(["[", *(f"{inner}{_value(item, inner)}," for item in value), f"{indent}]"])


def _keys(value: Mapping[str, Value]) -> list[str]:
    """Bare where all of them are plain words, as people write them; else quoted."""
    bare = all(re.fullmatch(r"[a-z_]+", key) and key not in _KEYWORDS for key in value)
    return list(value) if bare else [quoted(key) for key in value]

"""YAML that every reader understands alike: YAML 1.1, YAML 1.2, and JSON readers after conversion.

Imports PyYAML and `comment`. Every text is in double quotes, or a literal block where it has
lines, so that no reader takes `1.33`, `0s`, `no` or `*-docker.pkg.dev` for anything else; keys stay
plain where they cannot be mistaken. No anchors, no line folding, keys in the order given.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml

from gcp_sa_credential_provider.render.comment import HEADER, comment

_PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9._/+-]*")
# YAML 1.1, "Boolean Language-Independent Type" and "Null …".
_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null"})
_ENDLESS = 2**31


class _Dumper(yaml.SafeDumper):
    """SafeDumper with our quoting."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: FBT001, FBT002, ARG002 -- PyYAML's signature
        """Indent sequences below their key."""
        super().increase_indent(flow, False)  # noqa: FBT003 -- PyYAML's signature

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 -- PyYAML's signature
        """Write what stands twice twice."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _mapping(dumper: yaml.SafeDumper, mapping: Mapping[str, Any]) -> yaml.MappingNode:
    # Pairs as a list: given a dict, PyYAML would sort it.
    node = dumper.represent_mapping("tag:yaml.org,2002:map", list(mapping.items()))
    for key, _ in node.value:
        if _PLAIN_KEY.fullmatch(key.value) and key.value.lower() not in _WORDS:
            key.style = None
    return node


_Dumper.add_representer(str, _text)
_Dumper.add_representer(dict, _mapping)


def dump(document: Mapping[str, Any] | Sequence[Any]) -> str:
    """One document, without a `---` line; made of dict, list, str, int and bool."""
    text: str = yaml.dump(document, Dumper=_Dumper, width=_ENDLESS, allow_unicode=False)
    return text


def file(*documents: Mapping[str, Any] | Sequence[Any], comments: Iterable[str] = ()) -> str:
    """A generated file: the header, comment lines (each with its `#`), the documents."""
    top = "".join(f"{line}\n" for line in [*comment(HEADER), *comments])
    return top + "---\n".join(map(dump, documents))

"""Every CredentialProviderConfig in rendered files, wherever a distribution keeps it.

Plain files; documents within machine configurations; texts in Butane, in Cluster API and kOps
objects, in here-documents of user data; data URLs of MachineConfigs. Also what is asked of them.
"""

import email
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import yaml

KIND = "CredentialProviderConfig"
_HERE_DOCUMENT = re.compile(
    r"^cat > (\S+) <<'END_OF_FILE'\n(.*?)\nEND_OF_FILE$", re.DOTALL | re.MULTILINE
)
_DATA = "data:,"


@dataclass(frozen=True)
class Found:
    """One configuration."""

    where: str
    """The rendered file, and the place in it."""
    text: str
    """What the kubelet reads."""

    @property
    def document(self) -> dict[str, Any]:
        """The same, parsed."""
        loaded: dict[str, Any] = yaml.safe_load(self.text)
        return loaded

    @property
    def entry(self) -> dict[str, Any]:
        """Our provider's entry."""
        (ours,) = [
            one for one in self.document["providers"] if one["name"] == "gcp-sa-credential-provider"
        ]
        return dict(ours)

    @property
    def is_alpha(self) -> bool:
        """Whether it is for 1.33, which knows no cacheType."""
        return "cacheType" not in self.entry["tokenAttributes"]


def found(files: Mapping[str, str]) -> list[Found]:
    """All of them, by file."""
    return [one for name, text in files.items() for one in _in_file(name, text)]


def script(user_data: str) -> str:
    """The shell script of multi-part user data."""
    (text,) = [part for kind, part in _parts(user_data) if kind == "text/x-shellscript"]
    return text


def _parts(user_data: str) -> list[tuple[str, str]]:
    message = email.message_from_string(user_data)
    parts = list(message.walk())[1:]
    return [(part.get_content_type(), str(part.get_payload())) for part in parts]


def _in_file(name: str, text: str) -> Iterator[Found]:
    if name.endswith(".mime"):
        for path, content in _HERE_DOCUMENT.findall(script(text)):
            yield from _in_text(f"{name}: {path}", content)
    elif name.endswith((".yaml", ".yml")):
        yield from _in_text(name, text)


def _in_text(where: str, text: str) -> Iterator[Found]:
    """Configurations in a text that may be YAML, whole or in some value of it."""
    try:
        documents = list(yaml.safe_load_all(text))
    except yaml.YAMLError:
        return
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == KIND:
            yield Found(where, text)
        else:
            yield from _within(where, document)


def _within(where: str, value: Any) -> Iterator[Found]:
    if isinstance(value, dict):
        if value.get("kind") == KIND:
            yield Found(where, yaml.safe_dump(value))
            return
        for key, inner in value.items():
            yield from _within(f"{where}: {key}", inner)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _within(f"{where}[{index}]", inner)
    elif isinstance(value, str):
        if value.startswith(_DATA):
            value = unquote(value.removeprefix(_DATA))
        if f'kind: "{KIND}"' in value:
            yield from _in_text(where, value)

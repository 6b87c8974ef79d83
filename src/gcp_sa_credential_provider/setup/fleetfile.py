"""fleet.yaml as a text: what a set-up adds to it, everything else as it was.

Values that stay keep their comments; a value that changes takes its new reason along, behind it on
its line. Inside of braces no comment is written, since none can stand there.
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from ruamel.yaml.tokens import CommentToken
from ruamel.yaml.util import load_yaml_guess_indent

from gcp_sa_credential_provider.fleet.document import round_trip
from gcp_sa_credential_provider.fleet.model import Google, Part, Puller, Repository
from gcp_sa_credential_provider.setup.describe import Entry

_HEADER = """\
The fleet: its clusters, and who pulls what from where. Begun by
`gcp-sa-credential-provider setup`, which adds clusters and reads them again;
`gcp-sa-credential-provider render` writes all files out of it.
"""
_OWN_POOLS = """\
Every cluster has a pool of its own (no sharedPool): many clusters say the same issuer
and the same subjects, and in one pool these would be one principal to Google.
"""
# Texts that look like numbers, which people would else write without quotes.
_QUOTED = frozenset(["projectNumber", "kubernetes"])


@dataclass(frozen=True)
class Draft:
    """What is to stand in the file."""

    entry: Entry
    google: Google | None
    """Of a new file."""
    repositories: tuple[Repository, ...]
    """To be added."""
    pull: tuple[Puller, ...]
    """To be added."""
    more: Mapping[int, Sequence[str]] = field(default_factory=dict)
    """Names for the `repositories` of entries of `pull` that are there, by their places."""


def compose(text: str | None, draft: Draft) -> str:
    """The file's new text; `text` is its present one, which is a valid description."""
    yaml = round_trip()
    indent, offset = 4, 2
    if text is None:
        document = _new(draft)
    else:
        document, found, found_offset = load_yaml_guess_indent(text, yaml=yaml)
        if found is not None:
            indent, offset = found, found_offset or 0
    yaml.indent(mapping=2, sequence=indent, offset=offset)
    clusters = document["clusters"]
    _put_cluster(clusters, draft.entry, commented=not _flow(document, clusters))
    for index, names in draft.more.items():
        _put_repositories(document["pull"][index], names)
    for name, parts in (("repositories", draft.repositories), ("pull", draft.pull)):
        document[name].extend(_plain(part) for part in parts)
    written = io.StringIO()
    yaml.dump(document, written)
    return written.getvalue()


def _new(draft: Draft) -> CommentedMap:
    google = draft.google
    assert google is not None, "a new file needs its google part"  # noqa: S101 -- for types
    document = CommentedMap(
        {
            "version": 1,
            "google": _plain(google),
            "clusters": CommentedSeq(),
            "repositories": CommentedSeq(),
            "pull": CommentedSeq(),
        }
    )
    document.yaml_set_start_comment(_HEADER + ("" if google.shared_pool else _OWN_POOLS))
    return document


def _put_cluster(clusters: CommentedSeq, entry: Entry, *, commented: bool) -> None:
    said = _plain(entry.cluster)
    comments = {_alias(entry.cluster, field): text for field, text in entry.comments.items()}
    place = next((old for old in clusters if old["name"] == said["name"]), None)
    if place is None:
        place = CommentedMap()
        clusters.append(place)
    commented = commented and not _flow(place)
    nodes = said.pop("nodes", None)
    # People's alone: read as texts, it would be written with other quotes and without comments.
    said.pop("environment", None)
    for key in [key for key in place if key not in said and key not in ("nodes", "environment")]:
        del place[key]
    _update(place, said, comments if commented else {})
    if nodes is not None:
        _put_nodes(place, nodes, entry.node_comments, commented=commented)


def _put_nodes(
    cluster: CommentedMap,
    nodes: Sequence[CommentedMap],
    reasons: Mapping[str, str],
    *,
    commented: bool,
) -> None:
    """Groups keep their places and comments by name; those that are no more go."""
    present = cluster.get("nodes")
    if present is None:
        present = cluster["nodes"] = CommentedSeq()
    commented = commented and not _flow(present)
    names = [node["name"] for node in nodes]
    for index in reversed(range(len(present))):
        if present[index]["name"] not in names:
            del present[index]
    for node in nodes:
        place = next((old for old in present if old["name"] == node["name"]), None)
        if place is None:
            place = CommentedMap()
            present.append(place)
        noted = commented and not _flow(place)
        reason = reasons.get(node["name"])
        _update(place, node, {"distribution": reason} if noted and reason else {})


def _put_repositories(puller: CommentedMap, names: Sequence[str]) -> None:
    """Behind those that it lists already; the lines below it stay below."""
    if "repositories" not in puller:
        last = next(reversed(puller))
        puller["repositories"] = _yaml([])
        _move_below(puller, last, "repositories")
    puller["repositories"].extend(names)


def _move_below(place: CommentedMap, last: str, key: str) -> None:
    """What people wrote on the lines below a value goes below another, which is the last now."""
    behind = place.ca.items.get(last)
    if not behind or not behind[2]:
        return
    said, newline, below = behind[2].value.partition("\n")
    if below:
        behind[2].value = f"{said}{newline}"
        place.ca.items[key] = [
            None,
            None,
            CommentToken(f"{newline}{below}", behind[2].start_mark, None),
            None,
        ]


def _update(place: CommentedMap, said: CommentedMap, comments: Mapping[str, str]) -> None:
    """Set what differs, each with its comment."""
    for key, value in said.items():
        if key in place and place[key] == value:
            continue
        place[key] = value
        if key in comments:
            _comment(place, key, comments[key])


def _comment(place: CommentedMap, key: str, text: str) -> None:
    """Behind a value; what people wrote on the lines below it stays."""
    behind = place.ca.items.get(key)
    token = behind[2] if behind and len(behind) > 2 else None
    if token is None:
        place.yaml_add_eol_comment(text, key)
    else:
        _, newline, below = token.value.partition("\n")
        token.value = f"# {text}{newline}{below}"


def _plain(part: Part) -> CommentedMap:
    """A part of the model as YAML has it: what was set, in the model's order."""
    given = part.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    order = [field.alias or name for name, field in type(part).model_fields.items()]
    plain: CommentedMap = _yaml(given)
    for key in sorted(plain, key=order.index):
        plain.move_to_end(key)
    return plain


def _yaml(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return CommentedMap((name, _yaml(inner, name)) for name, inner in value.items())
    if isinstance(value, list):
        items = CommentedSeq(_yaml(inner) for inner in value)
        if not any(isinstance(inner, dict) for inner in value):
            items.fa.set_flow_style()
        return items
    return DoubleQuotedScalarString(value) if key in _QUOTED else value


def _alias(part: Part, field: str) -> str:
    return type(part).model_fields[field].alias or field


def _flow(*parts: CommentedMap | CommentedSeq) -> bool:
    """Whether one of them is written in braces or brackets."""
    return any(part.fa.flow_style() is True for part in parts)

"""fleet.yaml to a Fleet, or everything that is wrong with it.

Imports the rooms of fleet. Values that are wrong in themselves do not hide what is wrong between
the others: those parts that can be read are checked whatever stands beside them.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from gcp_sa_credential_provider.fleet import document, keyfile
from gcp_sa_credential_provider.fleet.check import Draft, findings
from gcp_sa_credential_provider.fleet.model import Cluster, Fleet, Google, Part, Puller, Repository
from gcp_sa_credential_provider.fleet.problem import BadFleet, Finding, Location, Problem
from gcp_sa_credential_provider.fleet.shape import shape_findings
from gcp_sa_credential_provider.google.keys import BadKeys, KeySet

__all__ = ["BadFleet", "Problem", "load", "parse"]

_Part = TypeVar("_Part", bound=Part)


def load(path: Path) -> Fleet:
    """The description in a file, with its files of keys checked. Raises BadFleet."""
    try:
        with path.open("rb") as file:
            content = file.read(document.LARGEST + 1)
    except OSError as error:
        problem = Problem(1, 1, "", f"cannot be read ({error.strerror})", "name the file")
        raise BadFleet(str(path), [problem]) from None
    return parse(document.decoded(content, str(path)), str(path), path.parent)


def parse(text: str, file: str, folder: Path | None) -> Fleet:
    """The description in a text; `file` is its name in messages. Raises BadFleet.

    `folder` holds the files of keys; None leaves them alone: they may not be there yet.
    """
    read = document.Document(text, file)
    value = document.plain(read.root)
    try:
        fleet: Fleet | None = _read(Fleet, value)
        wrong: list[Finding] = []
    except ValidationError as error:
        fleet = None
        wrong = shape_findings(error)
    draft = _draft(value, [finding.location for finding in wrong])
    keys, unusable = _keys(draft, folder)
    found = [*wrong, *unusable, *findings(draft, keys)]
    if fleet is None or found:
        problems = dict.fromkeys(map(read.problem, found))
        raise BadFleet(file, sorted(problems, key=lambda one: (one.line, one.column)))
    return fleet


def _read(kind: type[_Part], value: Any) -> _Part:
    """By the names of the file alone: Python's (`project_id`) are for programs."""
    return kind.model_validate(value, by_alias=True, by_name=False)


def _draft(value: Mapping[str, Any], wrong: Sequence[Location]) -> Draft:
    """The parts of a description that nothing is wrong with."""

    def part(kind: type[_Part], *location: str | int) -> _Part | None:
        if any(place[: len(location)] == location for place in wrong):
            return None
        raw: Any = value
        for step in location:
            raw = raw[step]
        return _read(kind, raw)

    def parts(kind: type[_Part], name: str) -> dict[int, _Part]:
        raw = value.get(name)
        read = ((i, part(kind, name, i)) for i in range(len(raw) if isinstance(raw, list) else 0))
        return {index: one for index, one in read if one is not None}

    return Draft(
        google=part(Google, "google"),
        clusters=parts(Cluster, "clusters"),
        repositories=parts(Repository, "repositories"),
        pull=parts(Puller, "pull"),
        cluster_names=_names(value, "clusters"),
        repository_names=_names(value, "repositories"),
        cluster_pulls=frozenset(_texts(value, "pull", "cluster")),
    )


def _names(value: Mapping[str, Any], field: str) -> tuple[str, ...]:
    return tuple(_texts(value, field, "name"))


def _texts(value: Mapping[str, Any], field: str, name: str) -> Iterator[str]:
    """What every entry of a list says in one field, whatever is wrong with it."""
    raw = value.get(field)
    for entry in raw if isinstance(raw, list) else ():
        text = entry.get(name) if isinstance(entry, dict) else None
        if isinstance(text, str):
            yield text


def _keys(draft: Draft, folder: Path | None) -> tuple[dict[int, KeySet], list[Finding]]:
    """Key sets by the cluster's index, and what is wrong with their files."""
    sets: dict[int, KeySet] = {}
    wrong: list[Finding] = []
    if folder is None:
        return sets, wrong
    for index, cluster in draft.clusters.items():
        if cluster.keys == "uploaded" and cluster.jwks is not None:
            try:
                sets[index] = keyfile.read(folder, cluster.jwks)
            except BadKeys as error:
                location = ("clusters", index, "jwks")
                wrong.append(Finding(location, f"{cluster.jwks}: {error.what}", error.fix))
    return sets, wrong

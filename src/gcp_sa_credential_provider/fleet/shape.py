"""What pydantic says of a description's shape, in this project's words.

Imports the model. Fields are named as in the file.
"""

import difflib
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gcp_sa_credential_provider.fleet.model import Fleet
from gcp_sa_credential_provider.fleet.problem import Finding, Location, shown
from gcp_sa_credential_provider.fleet.values import SLIP

_WANTED = {
    "string_type": ("text", "write text; numbers, dates and the like need quotes"),
    "bool_type": ("true or false", "write true or false, without quotes"),
    "tuple_type": ("a list", "begin each entry with a dash"),
    "model_type": ("a mapping", "write `name: value` lines, indented"),
    "model_attributes_type": ("a mapping", "write `name: value` lines, indented"),
}
_GKE = (
    "GKE's nodes have Google's own credential provider",
    "leave them out; their node service account, or GKE's own annotation of ServiceAccounts, pulls",
)


def shape_findings(error: ValidationError) -> list[Finding]:
    """Every error but those that only follow from another one."""
    found = map(_finding, error.errors())
    return [finding for finding in found if finding is not None]


def _finding(detail: ErrorDetails) -> Finding | None:
    location, kind, given = detail["loc"], detail["type"], detail["input"]
    name = str(location[-1])
    if kind == SLIP:
        context = detail["ctx"]
        return Finding(location, str(context["message"]), str(context["fix"]))
    if kind == "missing":
        model = _model_at(location[:-1])
        return Finding(location, "it is missing", f"add `{name}`: {_description(model, name)}")
    if kind in ("extra_forbidden", "invalid_key"):
        return Finding(location, "there is no such field", _meant(_model_at(location[:-1]), name))
    if kind == "literal_error":
        return _not_one_of(location, given, str(detail["ctx"]["expected"]))
    if kind == "too_short":
        # Entries that are wrong do not count for pydantic: then this is no error of its own.
        return None if given else Finding(location, "the list is empty", "add an entry")
    if kind == "string_unicode":
        return Finding(location, f"{shown(given)} has half a character", "write it out, in UTF-8")
    what, fix = _WANTED[kind]
    if given is None:
        return Finding(location, f"it is empty, and {what} belongs here", fix)
    return Finding(location, f"it is {_kind(given)}, and {what} belongs here", fix)


def _not_one_of(location: Location, given: object, expected: str) -> Finding:
    if location[-1] == "distribution" and given == "gke":
        return Finding(location, *_GKE)
    if location == ("version",):
        return Finding(location, f"{shown(given)} is no version of this format", "write 1")
    choices = [word.strip("'") for word in expected.replace(" or ", ", ").split(", ")]
    return Finding(location, f"{shown(given)} is not known here", _nearest(str(given), choices))


def _nearest(text: str, choices: list[str]) -> str:
    near = difflib.get_close_matches(text, choices, 1)
    return f"write {near[0]}" if near else f"write one of {', '.join(choices)}"


def _meant(model: type[BaseModel], name: str) -> str:
    fields = [field.alias or key for key, field in model.model_fields.items()]
    small = {field.lower(): field for field in fields}
    near = difflib.get_close_matches(name.lower().replace("_", ""), small, 1)
    if near:
        return f"write {small[near[0]]}"
    return f"take it out; the fields here are {', '.join(fields)}"


def _description(model: type[BaseModel], name: str) -> str:
    fields = model.model_fields.values()
    return next(str(field.description) for field in fields if field.alias == name)


def _model_at(location: Location) -> type[BaseModel]:
    """The model of a place; indexes stay in the model of their list's entries."""
    model: type[BaseModel] = Fleet
    for step in location:
        if isinstance(step, str):
            field = next(one for one in model.model_fields.values() if one.alias == step)
            model = _entry(field.annotation)
    return model


def _entry(annotation: Any) -> type[BaseModel]:
    """The model in `Model` and in `tuple[Model, ...]`."""
    entry: type[BaseModel] = next(iter(get_args(annotation)), annotation)
    return entry


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    names = {str: "text", int: "a number", float: "a number", list: "a list", dict: "a mapping"}
    return next((name for kind, name in names.items() if isinstance(value, kind)), "a date")

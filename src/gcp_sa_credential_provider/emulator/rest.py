"""What all Google APIs over REST share: JSON bodies, update masks, pages.

Imports received and rejection. Rules: Google's API Improvement Proposals 158 (pagination), 161
(field masks) and protobuf's JSON mapping; texts as Google's front end writes them.
"""

import base64
import binascii
import copy
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from gcp_sa_credential_provider.emulator import received
from gcp_sa_credential_provider.emulator.rejection import ApiError

Shape = Mapping[str, Any]
"""Member names to `str`, `bool`, `int`, `[str]`, `{str: str}`, `[Shape]`, another Shape."""

MAP = {str: str}
PAGE_DEFAULT = 50
PAGE_MAX = 100
SYSTEM_PARAMETERS = frozenset(
    [
        *("$.xgafv", "$alt", "access_token", "alt", "callback", "fields", "key", "oauth_token"),
        *("prettyPrint", "quotaUser", "uploadType", "upload_protocol"),
    ]
)
"""Query parameters of every Google API."""

_T = TypeVar("_T")


def body(content: bytes, shape: Shape) -> dict[str, Any]:
    """The JSON object of a body, in camelCase, checked against a shape. Raises ApiError 400."""
    try:
        document = received.loads(content) if content.strip() else {}
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "Invalid JSON payload received.", str(error)) from error
    if not isinstance(document, dict):
        raise ApiError(400, "Invalid JSON payload received.", "not an object")
    return _object(document, shape, "")


def check_query(query: Mapping[str, str], allowed: Sequence[str]) -> None:
    """Raise ApiError 400 for a query parameter that the method does not have."""
    for key in query:
        if key not in allowed and key not in SYSTEM_PARAMETERS:
            raise ApiError(
                400,
                f'Invalid JSON payload received. Unknown name "{key}": Cannot bind query parameter.'
                f" Field '{key}' could not be found in request message.",
            )


def masked(
    old: Mapping[str, Any], new: Mapping[str, Any], mask: str, shape: Shape
) -> dict[str, Any]:
    """`old` with the masked fields of `new`: set where given, cleared where absent.

    Raises ApiError 400 for an empty mask or a path that the shape does not have.
    """
    paths = [camel(path.strip()) for path in mask.split(",") if path.strip()]
    if not paths:
        raise ApiError(400, "The update mask must be set.", "no updateMask")
    merged = copy.deepcopy(dict(old))
    for path in paths:
        head, _, rest = path.partition(".")
        inner = shape.get(head)
        if inner is None or (rest and (not isinstance(inner, dict) or rest not in inner)):
            raise ApiError(400, f"Invalid field in update mask: {path}.")
        target, source, key = merged, new, head
        if rest:
            target, source, key = merged.setdefault(head, {}), new.get(head, {}), rest
        if key in source:
            target[key] = source[key]
        else:
            target.pop(key, None)
    return merged


def page(items: Mapping[str, _T], query: Mapping[str, str]) -> tuple[list[_T], dict[str, str]]:
    """One page of named items in order of name, and `{"nextPageToken": …}` if more follow."""
    try:
        size = int(query.get("pageSize") or 0)
    except ValueError as error:
        raise ApiError(400, "Invalid value at 'page_size' (TYPE_INT32)") from error
    if size < 0:
        raise ApiError(400, "Page size cannot be negative.")
    size = min(size or PAGE_DEFAULT, PAGE_MAX)
    after = _page_start(query.get("pageToken", ""))
    names = sorted(name for name in items if name > after)
    shown = names[:size]
    more = len(names) > size
    return [items[name] for name in shown], {
        "nextPageToken": _page_token(shown[-1])
    } if more else {}


def truth(query: Mapping[str, str], key: str) -> bool:
    """A boolean query parameter. Raises ApiError 400."""
    value = query.get(key, "false").lower()
    if value not in ("true", "false"):
        raise ApiError(400, f"Invalid value at '{key}' (TYPE_BOOL), \"{query[key]}\"")
    return value == "true"


def camel(name: str) -> str:
    """snake_case to camelCase; camelCase stays."""
    return re.sub(r"_([a-z])", lambda letter: letter[1].upper(), name)


def _page_token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _page_start(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise ApiError(400, "Invalid page token.") from error


def _object(document: Mapping[str, Any], shape: Shape, path: str) -> dict[str, Any]:
    checked = {}
    for written, value in document.items():
        key = camel(written)
        where = f"{path}.{key}" if path else key
        if key not in shape:
            at = f" at '{path}'" if path else ""
            raise ApiError(
                400,
                f'Invalid JSON payload received. Unknown name "{written}"{at}: Cannot find field.',
            )
        if value is not None:  # JSON null is absence
            checked[key] = _value(value, shape[key], where)
    return checked


def _value(value: Any, wanted: Any, where: str) -> Any:
    if isinstance(wanted, list) and isinstance(value, list):
        return [_value(item, wanted[0], f"{where}[{i}]") for i, item in enumerate(value)]
    if wanted == MAP and isinstance(value, dict):
        return {key: _value(item, str, f"{where}[{key}]") for key, item in value.items()}
    if isinstance(wanted, dict) and wanted != MAP and isinstance(value, dict):
        return _object(value, wanted, where)
    if isinstance(wanted, type) and type(value) is wanted:
        return value
    raise ApiError(400, f"Invalid value at '{where}'", f"{type(value).__name__} at {where}")

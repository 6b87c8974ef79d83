"""A method of one of Google's JSON APIs: where it is found and what it is given.

Imports state. `app` turns methods into routes, `openapi` into documentation.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gcp_sa_credential_provider.emulator.log import Entry
from gcp_sa_credential_provider.emulator.state import Google


@dataclass(frozen=True)
class Call:
    """One request."""

    params: Mapping[str, str]
    """By the names in the method's path."""
    query: Mapping[str, str]
    body: bytes
    content_type: str
    authorization: str
    entry: Entry
    """What the log is to know."""


Handler = Callable[[Google, Call], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True)
class Method:
    """One method. Its handler raises ApiError, Invalid or OAuthError."""

    verb: str
    path: str
    name: str
    """As in Google's discovery documents: `iam.projects.locations.workloadIdentityPools.get`."""
    handle: Handler
    query: tuple[str, ...] = ()
    request: str = ""
    """Name of the request's schema in the OpenAPI document."""
    response: str = ""

"""Who may do what at the registry: credentials, registry tokens, names, IAM.

Imports state. Protocol: the Docker token specification (GET with Basic, POST with a form as
containerd sends). Texts: live transcripts of Artifact Registry, published by third parties.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from gcp_sa_credential_provider.emulator.log import Entry
from gcp_sa_credential_provider.emulator.operations import timestamp
from gcp_sa_credential_provider.emulator.principals import PULL, PUSH
from gcp_sa_credential_provider.emulator.realm import access_of
from gcp_sa_credential_provider.emulator.state import Google
from gcp_sa_credential_provider.emulator.tokens import Issued

TOKEN_SECONDS = 3600
_USERS = ("oauth2accesstoken", "_token")
_GCR_LOCATIONS = {"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe", "asia.gcr.io": "asia"}
_AUTH = "https://www.googleapis.com/auth/"
_WRITE_SCOPES = frozenset(
    f"{_AUTH}{scope}"
    for scope in ("cloud-platform", "devstorage.read_write", "devstorage.full_control")
)
_SCOPES = {
    PUSH: _WRITE_SCOPES,
    PULL: _WRITE_SCOPES | {f"{_AUTH}cloud-platform.read-only", f"{_AUTH}devstorage.read_only"},
}


class Denied(Exception):  # noqa: N818  the registry's own word for it
    """The registry refuses: HTTP status, OCI error code, message, and the true reason."""

    def __init__(self, status: int, code: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.reason = reason or message

    def body(self) -> dict[str, Any]:
        """OCI distribution-spec v1.1, "Error codes"."""
        return {"errors": [{"code": self.code, "message": self.message}]}


@dataclass(frozen=True)
class Target:
    """What a path's name means."""

    repository: str
    """`projects/P/locations/L/repositories/R`."""
    image: str


def target(google: Google, name: str, host: str) -> Target:
    """Repository and image of a path's name, by host.

    `L-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE`, `gcr.io/PROJECT/IMAGE`; on loopback the first
    form, in whichever location the repository is. The project of a domain,
    `example.com:my-project`, is two parts there: `example.com/my-project`.
    """
    host = host.partition(":")[0]
    parts = name.split("/")
    if "." in parts[0]:
        parts[:2] = [":".join(parts[:2])]
    project = parts[0]
    if host in _GCR_LOCATIONS:
        location = _GCR_LOCATIONS[host]
        resource = f"projects/{project}/locations/{location}/repositories/{host}"
        return Target(resource, "/".join(parts[1:]))
    repository, image = parts[1] if len(parts) > 1 else "", "/".join(parts[2:])
    if host.endswith("-docker.pkg.dev"):
        location = host.removesuffix("-docker.pkg.dev")
    else:
        location = next(
            (
                known.split("/")[3]
                for known in google.resources.repositories
                if known.startswith(f"projects/{project}/")
                and known.endswith(f"/repositories/{repository}")
            ),
            "us",
        )
    return Target(f"projects/{project}/locations/{location}/repositories/{repository}", image)


def credential(google: Google, authorization: str) -> Issued:
    """Who asks; no identity is the anonymous caller, with a token that was given to nobody.

    Raises Denied 401.
    """
    scheme, _, value = authorization.partition(" ")
    if not authorization:
        raise _unauthorized("No credential was supplied.")
    if scheme.lower() == "basic":
        return _issued(google, _basic(authorization))
    if scheme.lower() != "bearer":
        raise _unauthorized(f"Unsupported authorization scheme {scheme}.")
    registry_token = google.registry_tokens.find(value, google.clock.now())
    return registry_token or _issued(google, value)


def check(google: Google, resource: str, permission: str, caller: Issued) -> None:
    """Raise Denied 403 unless IAM gives the permission; "does not exist" is the same answer."""
    repository = google.resources.repositories.get(resource)
    identity = caller.identity
    strict = google.resources.options.strict_registry_scopes
    if strict and identity is not None and caller.scopes.isdisjoint(_SCOPES[permission]):
        raise Denied(403, "DENIED", "Request had insufficient authentication scopes.")
    if repository is not None and google.allows(repository, permission, identity):
        return
    if identity is None:
        message = (
            "Unauthenticated request. Unauthenticated requests do not have permission"
            f' "{permission}" on resource "{resource}" (or it may not exist)'
        )
        raise Denied(403, "DENIED", message)
    reason = f"{identity.principal} has no role with it" if repository else "no such repository"
    message = f'Permission "{permission}" denied on resource "{resource}" (or it may not exist)'
    raise Denied(403, "DENIED", message, reason)


def token(
    google: Google, pairs: list[tuple[str, str]], authorization: str, entry: Entry, *, form: bool
) -> dict[str, Any]:
    """Answer /v2/token: a registry token for a credential, or for nobody. Raises Denied.

    `pairs`: the fields of the query or the form; `scope` may repeat.
    """
    fields = dict(pairs)
    if form:
        issued: Issued | None = _issued(google, _secret_of_form(fields))
    else:
        issued = _issued(google, _basic(authorization)) if authorization else None
    now = google.clock.now()
    lifetime = TOKEN_SECONDS if issued is None else min(TOKEN_SECONDS, issued.expires_at - now)
    identity = issued.identity if issued else None
    if identity is not None:
        entry["principal"] = identity.principal
    realm = google.resources.options.token_realm
    if realm is not None and fields.get("service") == realm.service:
        scopes = [scope for key, value in pairs if key == "scope" for scope in value.split()]
        granted = [access_of(scope, partial(_granted, google, issued)) for scope in scopes]
        value = google.realm.token(
            realm,
            identity.principal if identity else "",
            [access for access in granted if access],
            now,
            int(lifetime),
        )
    else:
        scopes_of_caller = issued.scopes if issued else frozenset[str]()
        value = google.registry_tokens.issue(
            Issued(identity, scopes_of_caller, now + lifetime, now), now
        )
    return {
        "token": value,
        "access_token": value,
        "expires_in": int(lifetime),
        "issued_at": timestamp(now),
        **({"scope": fields["scope"]} if form and "scope" in fields else {}),
    }


def _granted(google: Google, issued: Issued | None, name: str) -> list[str]:
    """The actions that IAM allows at the repository that an image's name leads to."""
    resource = target(google, name, "localhost").repository
    caller = issued or Issued(None, frozenset(), 0)
    actions = []
    for action, permission in (("pull", PULL), ("push", PUSH)):
        try:
            check(google, resource, permission, caller)
        except Denied:
            continue
        actions.append(action)
    return actions


def _issued(google: Google, access_token: str) -> Issued:
    issued = google.token(access_token)
    if issued is None:
        raise _unauthorized("The credential is invalid or has expired.")
    return issued


def _basic(authorization: str) -> str:
    """The access token of a Basic credential (RFC 7617)."""
    scheme, _, value = authorization.partition(" ")
    try:
        user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError) as error:
        raise _unauthorized("The credential cannot be read.") from error
    if scheme.lower() != "basic" or user not in _USERS:
        raise _unauthorized("The user must be oauth2accesstoken.", f"user {user!r}")
    return password


def _secret_of_form(fields: Mapping[str, str]) -> str:
    grant = fields.get("grant_type")
    if grant == "refresh_token":
        return fields.get("refresh_token", "")
    if grant == "password" and fields.get("username") in _USERS:
        return fields.get("password", "")
    raise _unauthorized("The credential cannot be read.", f"grant_type {grant!r}")


def _unauthorized(detail: str, reason: str = "") -> Denied:
    return Denied(401, "UNAUTHORIZED", f"not authenticated: {detail}", reason)

"""The Artifact Registry front: pulls of the built-in image, decided by IAM.

Imports state and image. Protocol: OCI distribution-spec v1.1 and the Docker token specification
(GET with Basic, POST with a form as containerd sends). Texts: live transcripts of Artifact
Registry, published by third parties.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gcp_sa_credential_provider.emulator.image import MANIFEST_TYPE, built_in
from gcp_sa_credential_provider.emulator.log import Entry
from gcp_sa_credential_provider.emulator.principals import Identity
from gcp_sa_credential_provider.emulator.state import Google
from gcp_sa_credential_provider.emulator.tokens import Issued

PERMISSION = "artifactregistry.repositories.downloadArtifacts"
TOKEN_SECONDS = 3600
_USERS = ("oauth2accesstoken", "_token")
_REFERENCE = re.compile(r"/v2/(?P<name>.+)/(?P<kind>manifests|blobs)/(?P<reference>[^/]+)")
_GCR_LOCATIONS = {"gcr.io": "us", "us.gcr.io": "us", "eu.gcr.io": "europe", "asia.gcr.io": "asia"}


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: JSON where `document` is set, else `content`."""

    status: int = 200
    document: Mapping[str, Any] | None = None
    content: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Credential:
    """Who asks. No identity: anonymous, by a registry token that was given to nobody."""

    identity: Identity | None


class _Denied(Exception):  # noqa: N818  the registry's own word for it
    def __init__(self, status: int, code: str, message: str, reason: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.reason = reason or message


def answer(
    google: Google, path: str, authorization: str, entry: Entry, *, scheme: str, host: str
) -> Answer:
    """Answer a GET or HEAD below /v2/. `scheme`, `host`: as the client sees them, for the realm."""
    headers = {"Docker-Distribution-Api-Version": "registry/2.0"}
    try:
        credential = _credential(google, authorization)
        if credential.identity is not None:
            entry["principal"] = credential.identity.principal
        if path in ("/v2", "/v2/"):
            return Answer(document={}, headers=headers)
        content, media_type, digest = _content(google, path, host, credential)
    except _Denied as denied:
        entry["reason"] = denied.reason
        if denied.status == 401:
            headers["WWW-Authenticate"] = _challenge(path, scheme, host)
        errors = [{"code": denied.code, "message": denied.message}]
        return Answer(denied.status, {"errors": errors}, headers=headers)
    return Answer(
        content=content,
        headers={**headers, "Content-Type": media_type, "Docker-Content-Digest": digest},
    )


def token(
    google: Google,
    fields: Mapping[str, str],
    authorization: str,
    entry: Entry,
    *,
    form: bool,
) -> Answer:
    """Answer /v2/token: a registry token for a credential, or for nobody."""
    try:
        if form:
            issued: Issued | None = _issued(google, _secret_of_form(fields))
        else:
            issued = _issued(google, _basic(authorization)) if authorization else None
    except _Denied as denied:
        entry["reason"] = denied.reason
        return Answer(denied.status, {"errors": [{"code": denied.code, "message": denied.message}]})
    now = google.clock.now()
    lifetime = TOKEN_SECONDS if issued is None else min(TOKEN_SECONDS, issued.expires_at - now)
    identity = issued.identity if issued else None
    if identity is not None:
        entry["principal"] = identity.principal
    value = google.registry_tokens.issue(Issued(identity, frozenset(), now + lifetime), now)
    return Answer(
        document={
            "token": value,
            "access_token": value,
            "expires_in": int(lifetime),
            "issued_at": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            **({"scope": fields["scope"]} if form and "scope" in fields else {}),
        }
    )


def _credential(google: Google, authorization: str) -> _Credential:
    scheme, _, value = authorization.partition(" ")
    if not authorization:
        raise _unauthorized("No credential was supplied.")
    if scheme.lower() == "basic":
        return _Credential(_issued(google, _basic(authorization)).identity)
    if scheme.lower() != "bearer":
        raise _unauthorized(f"Unsupported authorization scheme {scheme}.")
    registry_token = google.registry_tokens.find(value, google.clock.now())
    issued = registry_token or _issued(google, value)
    return _Credential(issued.identity)


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


def _content(
    google: Google, path: str, host: str, credential: _Credential
) -> tuple[bytes, str, str]:
    match = _REFERENCE.fullmatch(path)
    resource, image_name = _names(google, match["name"] if match else path[4:], host)
    repository = google.resources.repositories.get(resource)
    if repository is None or not google.allows(repository, PERMISSION, credential.identity):
        raise _forbidden(resource, credential, exists=repository is not None)
    if match is None:
        raise _Denied(404, "UNSUPPORTED", "The emulator serves manifests and blobs.")
    reference = match["reference"]
    image = built_in()
    tags = [
        tag for name, _, tag in (i.rpartition(":") for i in repository.images) if name == image_name
    ]
    if match["kind"] == "manifests":
        if reference not in tags and not (tags and reference == image.digest):
            raise _Denied(404, "MANIFEST_UNKNOWN", f'Failed to fetch "{reference}"')
        return image.manifest, MANIFEST_TYPE, image.digest
    if not tags or reference not in image.blobs:
        raise _Denied(404, "BLOB_UNKNOWN", f'Failed to fetch "{reference}"')
    return image.blobs[reference], "application/octet-stream", reference


def _names(google: Google, name: str, host: str) -> tuple[str, str]:
    """Repository resource and image name of a path's name, by host.

    `L-docker.pkg.dev/PROJECT/REPOSITORY/IMAGE`, `gcr.io/PROJECT/IMAGE`; on loopback the first
    form, in whichever location the repository is.
    """
    host = host.partition(":")[0]
    parts = name.split("/")
    project = parts[0]
    if host in _GCR_LOCATIONS:
        location = _GCR_LOCATIONS[host]
        return f"projects/{project}/locations/{location}/repositories/{host}", "/".join(parts[1:])
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
    return f"projects/{project}/locations/{location}/repositories/{repository}", image


def _challenge(path: str, scheme: str, host: str) -> str:
    challenge = f'Bearer realm="{scheme}://{host}/v2/token",service="{host}"'
    match = _REFERENCE.fullmatch(path)
    return f'{challenge},scope="repository:{match["name"]}:pull"' if match else challenge


def _unauthorized(detail: str, reason: str = "") -> _Denied:
    return _Denied(401, "UNAUTHORIZED", f"not authenticated: {detail}", reason)


def _forbidden(resource: str, credential: _Credential, *, exists: bool) -> _Denied:
    if credential.identity is None:
        message = (
            "Unauthenticated request. Unauthenticated requests do not have permission"
            f' "{PERMISSION}" on resource "{resource}" (or it may not exist)'
        )
        return _Denied(403, "DENIED", message)
    reason = (
        f"{credential.identity.principal} has no reader role" if exists else "no such repository"
    )
    message = f'Permission "{PERMISSION}" denied on resource "{resource}" (or it may not exist)'
    return _Denied(403, "DENIED", message, reason)

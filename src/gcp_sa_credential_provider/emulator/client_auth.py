"""Client authentication at STS: Basic is taken, as gcloud sends it.

Imports rejection. RFC 6749 section 2.3.1. No client is registered: any id and secret will do, but
they must be readable. "Sending an Authorization header can make the call fail" (STS discovery
document): for Bearer an option decides.
"""

import base64
import binascii
from urllib.parse import unquote

from gcp_sa_credential_provider.emulator.rejection import OAuthError


def check(authorization: str, *, refuse_bearer: bool) -> None:
    """Raise OAuthError 401 for a header that is no client authentication."""
    scheme = authorization.partition(" ")[0].lower()
    if not authorization or (scheme == "bearer" and not refuse_bearer):
        return
    if scheme != "basic" or client_id(authorization) is None:
        raise OAuthError(
            "invalid_client",
            "The OAuth client was not found.",
            f"Authorization: {scheme}",
            status=401,
        )


def client_id(authorization: str) -> str | None:
    """The client's id, or None where the header is not Basic with id and secret."""
    scheme, _, value = authorization.partition(" ")
    try:
        identifier, colon, _ = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return unquote(identifier) if scheme.lower() == "basic" and colon else None

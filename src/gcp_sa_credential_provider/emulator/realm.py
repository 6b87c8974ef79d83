"""The emulator as token server of another registry: signed tokens that distribution checks.

Imports joserfc and tls. Format: CNCF distribution, "Token authentication implementation" (JWT
with `access`, certificate chain in `x5c`); the other side sets `rootcertbundle` to ca.pem.
"""

import secrets
from collections.abc import Callable
from typing import Any

from joserfc import jwt

from gcp_sa_credential_provider.emulator.options import TokenRealm
from gcp_sa_credential_provider.emulator.tls import Authority, Signer


class Realm:
    """Signs tokens; the key is made at the first one."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self._signer: Signer | None = None

    def token(
        self, realm: TokenRealm, subject: str, access: list[dict[str, Any]], now: float, life: int
    ) -> str:
        """An RS256 token for `life` seconds."""
        if self._signer is None:
            self._signer = self._authority.signer()
        claims = {
            "iss": realm.issuer,
            "sub": subject,
            "aud": realm.service,
            "iat": int(now),
            "nbf": int(now) - 10,
            "exp": int(now) + life,
            "jti": secrets.token_hex(16),
            "access": access,
        }
        header = {"typ": "JWT", "alg": "RS256", "x5c": [self._signer.certificate]}
        return jwt.encode(header, claims, self._signer.key)


def access_of(scope: str, granted: Callable[[str], list[str]]) -> dict[str, Any] | None:
    """What of `repository:NAME:ACTIONS` is granted; None for nothing, or another type."""
    kind, _, rest = scope.partition(":")
    name, _, wanted = rest.rpartition(":")
    if kind != "repository" or not name:
        return None
    allowed = granted(name)
    actions = [action for action in wanted.split(",") if action in allowed]
    return {"type": kind, "name": name, "actions": actions} if actions else None

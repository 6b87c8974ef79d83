"""Access tokens that the emulator handed out: opaque strings, looked up here.

Imports principals. Google's federated tokens are opaque too ("the size may change", at most
12288 bytes: STS discovery document).
"""

import secrets
from dataclasses import dataclass

from gcp_sa_credential_provider.emulator.principals import Identity


@dataclass(frozen=True)
class Issued:
    """What a token stands for."""

    identity: Identity | None
    """None: a registry token that was given to an anonymous caller."""
    scopes: frozenset[str]
    expires_at: float
    """Seconds since the epoch."""
    issued_at: float = 0


class Tokens:
    """Live tokens. Expired ones are dropped as new ones are issued."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._live: dict[str, Issued] = {}
        self._purge_at = 1024

    def issue(self, issued: Issued, now: float) -> str:
        """A new random token of about 1000 characters (as long as Google's were measured)."""
        if len(self._live) >= self._purge_at:
            self._live = {
                token: entry for token, entry in self._live.items() if entry.expires_at > now
            }
            self._purge_at = max(1024, 2 * len(self._live))
        token = self._prefix + secrets.token_urlsafe(740)
        self._live[token] = issued
        return token

    def find(self, token: str, now: float) -> Issued | None:
        """The live token's meaning, or None for an unknown or expired one."""
        issued = self._live.get(token)
        return issued if issued is not None and issued.expires_at > now else None

"""Uploaded key sets: what Google takes as `oidc.jwksJson`, and the keys to verify with.

Imports joserfc. Rules: Google, "Workload Identity Federation with other identity providers:
uploaded JWKs"; third-party measurements against real Google, 2026-09-28 (key types).
"""

import contextlib
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from gcp_sa_credential_provider.emulator import received
from gcp_sa_credential_provider.emulator.rejection import Invalid

FIELD = "oidc.jwksJson"
MAX_KEYS = 8
_MEMBERS = frozenset(["kty", "alg", "use", "kid", "n", "e", "x", "y", "crv"])
_STRIP = "upload the set with only kty, alg, use, kid, n, e, x, y, crv in each key"

VerificationKey = RSAKey | ECKey
Keys = dict[str, VerificationKey]


def parse(text: str, *, strict_members: bool = True) -> Keys:
    """Keys by `kid`. Raises Invalid with Google's text.

    `strict_members`: whether unknown members (x5c, …) are refused, as Google's page says. A
    measurement saw a key with `x5c` accepted, hence the switch.
    """
    try:
        document = received.loads(text)
    except (ValueError, RecursionError):
        document = None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise Invalid(
            FIELD,
            "Input JWK is not in a valid json format",
            'give the output of `kubectl get --raw /openid/v1/jwks`: {"keys": [...]}',
        )
    if len(entries) > MAX_KEYS:
        raise Invalid(
            FIELD,
            f"Invalid JWKs. At most {MAX_KEYS} keys are supported, found {len(entries)}.",
            "drop keys that no longer sign",
        )
    keys: Keys = {}
    for entry in entries:
        if strict_members and (unknown := sorted(set(entry) - _MEMBERS)):
            raise Invalid(
                FIELD,
                "Input JWK is not in a valid json format",
                f"{_STRIP} (unknown here: {', '.join(unknown)})",
            )
        keys.setdefault(str(entry.get("kid", "")), _key(entry))
    return keys


def usable(document: dict[str, Any]) -> Keys:
    """The keys of a fetched set that Google can verify with; the others are passed over."""
    keys: Keys = {}
    entries = document.get("keys")
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, dict):
            with contextlib.suppress(Invalid):
                keys.setdefault(str(entry.get("kid", "")), _key(entry))
    return keys


def _key(entry: dict[str, Any]) -> VerificationKey:
    kind = entry.get("kty")
    if kind == "OKP":
        raise _corrupted("Ed25519 keys are not taken; sign with RS256 or ES256")
    if kind not in ("RSA", "EC") or (kind == "EC" and entry.get("crv") != "P-256"):
        raise Invalid(
            FIELD,
            "Invalid JWKs. Only RSA, EC key types are supported.",
            "use RSA keys or EC P-256 keys (P-384 and P-521 are refused)",
        )
    # `use` and `alg` do not bind the key: a set with "alg": "PS256" was measured to be taken.
    material = {name: value for name, value in entry.items() if name not in ("use", "alg")}
    try:
        key = RSAKey.import_key(material) if kind == "RSA" else ECKey.import_key(material)
        # The library decodes lazily: a broken number shows only here.
        if key.is_private:
            raise _corrupted("never upload a private key; take the public half")
        _ = key.public_key
    except (JoseError, ValueError, KeyError, TypeError) as error:
        raise _corrupted("n and e (RSA) or x and y (EC) must be base64url numbers") from error
    return key


def _corrupted(fix: str) -> Invalid:
    return Invalid(FIELD, "Input jwks contains corrupted key material.", fix)

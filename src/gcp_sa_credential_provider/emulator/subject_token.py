"""Verification of a subject token: a JWT against one provider.

Imports joserfc, and the keys of jwks. Rules: STS discovery document (alg, kid, claims). Texts,
60 s of clock skew and the absence of a maximum age: third-party measurements against real
Google, 2026-09-28. The order of the checks is assumed: issuer, audience, times, key, signature.
"""

import math
from collections.abc import Collection
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError

from gcp_sa_credential_provider.emulator import received
from gcp_sa_credential_provider.emulator.jwks import Keys
from gcp_sa_credential_provider.emulator.rejection import OAuthError

SKEW = 60
"""Seconds that a clock may be wrong, each way."""

_KEY_TYPE = {"RS256": "RSA", "ES256": "EC"}
_REGISTRY = jws.JWSRegistry(algorithms=list(_KEY_TYPE), strict_check_header=False)


def read(
    token: str, *, issuer: str, audiences: Collection[str], now: float, max_seconds: int = 0
) -> tuple[jws.CompactSignature, dict[str, Any]]:
    """The token and its claims, checked but for the signature.

    `max_seconds`: longest exp - iat, 0 for none. Raises OAuthError with Google's text and the
    true reason.
    """
    signed = parsed(token)
    claims = claims_of(signed)
    _check_issuer(claims, issuer)
    _check_audience(claims, audiences)
    _check_times(claims, now, max_seconds)
    return signed, claims


def parsed(token: str) -> jws.CompactSignature:
    """The token's parts, unverified. Raises OAuthError."""
    try:
        signed = jws.extract_compact(token.encode())
        received.sound(signed.headers())
    except (JoseError, ValueError, TypeError, RecursionError) as error:
        raise _malformed(f"not a compact JWS: {error}") from error
    return signed


def claims_of(signed: jws.CompactSignature) -> dict[str, Any]:
    """The token's claims, unverified. Raises OAuthError."""
    try:
        claims = received.loads(signed.payload)
    except (ValueError, RecursionError) as error:
        raise _malformed("the payload is not JSON") from error
    if not isinstance(claims, dict):
        raise _malformed("the payload is not a JSON object")
    return claims


def _check_issuer(claims: dict[str, Any], issuer: str) -> None:
    if claims.get("iss") != issuer:
        shown = claims["iss"] if isinstance(claims.get("iss"), str) else "null"
        raise _invalid_grant(
            f"The issuer in ID Token {shown} does not match the expected one in config",
            f"iss is {shown}, issuerUri is {issuer}",
        )


def _check_audience(claims: dict[str, Any], audiences: Collection[str]) -> None:
    given = claims.get("aud", [])
    listed = [str(audience) for audience in (given if isinstance(given, list) else [given])]
    if not any(audience in audiences for audience in listed):
        shown = f"[{', '.join(listed)}]"
        raise _invalid_grant(
            f"The audience in ID Token {shown} does not match the expected audience.",
            f"aud is {shown}, expected one of {sorted(audiences)}",
        )


def _check_times(claims: dict[str, Any], now: float, max_seconds: int) -> None:
    issued, expires = _instant(claims.get("iat")), _instant(claims.get("exp"))
    if issued is None:
        why = "iat is missing"
    elif expires is None:
        why = "exp is missing"
    elif now - expires > SKEW:
        why = f"expired {now - expires:.0f} s ago"
    elif issued - now > SKEW:
        why = f"issued {issued - now:.0f} s in the future"
    elif max_seconds and expires - issued > max_seconds:
        why = f"exp - iat is {expires - issued:.0f} s, more than {max_seconds}"
    else:
        return
    shown = "null" if issued is None else claims["iat"]
    raise _invalid_grant(f"ID Token issued at {shown} is stale to sign-in.", why)


def check_signature(signed: jws.CompactSignature, keys: Keys) -> None:
    """Raise OAuthError unless one of the keys signed the token."""
    header = signed.headers()
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in _KEY_TYPE:
        raise unreachable(f"alg is {algorithm}, not RS256 or ES256")
    key = keys.get(kid) if isinstance(kid, str) else None
    if key is None:
        raise unreachable(f"kid {kid!r} is not among the keys {sorted(keys)}")
    if key.key_type != _KEY_TYPE[algorithm]:
        raise unreachable(f"alg is {algorithm}, but key {kid!r} is {key.key_type}")
    try:
        genuine = jws.validate_compact(signed, key, registry=_REGISTRY)
    except (JoseError, ValueError, TypeError) as error:
        raise _invalid_grant("Unable to verify the ID Token signature.", str(error)) from error
    if not genuine:
        raise _invalid_grant(
            "Unable to verify the ID Token signature.", f"key {kid!r} did not sign this token"
        )


def _instant(value: Any) -> float | None:
    """Seconds since 1970; None for what is no number, or one that no clock can show."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        # As a float: a difference of two has no end of its own.
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # JSON's integers have no end
        return None


def _invalid_grant(description: str, reason: str) -> OAuthError:
    return OAuthError("invalid_grant", description, reason)


def unreachable(reason: str) -> OAuthError:
    """Google's one text for keys that cannot be had and keys that do not fit."""
    return _invalid_grant("Error connecting to the given credential's issuer.", reason)


def _malformed(reason: str) -> OAuthError:
    return _invalid_grant("The given credential is not a valid ID Token.", reason)

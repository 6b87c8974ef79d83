"""Key sets as Google takes them: public, of its types, with its members, at most eight.

Imports limits. Rules: Google, "Workload Identity Federation with other providers" (uploaded JWKs);
RFC 7517, RFC 7518 section 6 (members; which of them are private); third-party measurements against
real Google, 2026-09-28 (types and sizes).
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gcp_sa_credential_provider.google import limits

_PRIVATE = frozenset(["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
_PRINT = "kubectl get --raw /openid/v1/jwks"


class BadKeys(ValueError):  # noqa: N818 -- the keys are bad, not the program
    """A key set that must not or cannot be uploaded. No part of a key is ever quoted."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.what = what
        self.fix = fix


@dataclass(frozen=True)
class KeySet:
    """What is uploaded of a cluster's keys."""

    keys: tuple[Mapping[str, str], ...]
    """Sorted by `kid`, members in Google's order."""
    left_out: tuple[str, ...] = ()
    """`kid KID: reason` of every key that Google does not take."""

    @property
    def text(self) -> str:
        """The JWKS; the same for the same keys in any order."""
        return json.dumps({"keys": self.keys}, indent=2) + "\n"

    @property
    def materials(self) -> frozenset[tuple[str, ...]]:
        """The public numbers: what two clusters must not have in common."""
        return frozenset(
            tuple(key.get(name, "") for name in ("kty", "n", "e", "x", "y")) for key in self.keys
        )


def usable(text: bytes) -> KeySet:
    """Of a JWKS as the API server gives it, what Google takes. Raises BadKeys."""
    kept: dict[str, dict[str, str]] = {}
    left_out: list[str] = []
    for key in _entries(text):
        kid = key.get("kid")
        name = f"kid {kid!a}" if isinstance(kid, str) and kid else "a key without kid"
        reason = _refused(key)
        if reason is not None:
            left_out.append(f"{name}: {reason}")
            continue
        one = {member: key[member] for member in limits.KEY_MEMBERS if member in key}
        if kept.setdefault(one["kid"], one) != one:
            raise BadKeys(f"two keys have the {name}", f"save the output of `{_PRINT}` again")
    if not kept:
        raise BadKeys(
            f"it holds no key that Google takes ({'; '.join(left_out)})",
            "sign ServiceAccount tokens with an RSA key of 2048 bits or more, or with an EC key on"
            " P-256 (kube-apiserver: --service-account-signing-key-file)",
        )
    if len(kept) > limits.KEYS:
        raise BadKeys(
            f"it holds {len(kept)} keys, and Google takes {limits.KEYS}",
            "take keys that no longer sign out of kube-apiserver's --service-account-key-file",
        )
    return KeySet(tuple(kept[kid] for kid in sorted(kept)), tuple(left_out))


def has_private_pem(text: bytes) -> bool:
    """Whether a private key in PEM is in a file."""
    # Without NUL: PowerShell's `>` writes UTF-16.
    return b"PRIVATE KEY-----" in text.replace(b"\0", b"")


def _entries(text: bytes) -> list[dict[str, Any]]:
    try:
        # Bytes, not text: PowerShell's `>` writes UTF-16, which json recognises.
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if has_private_pem(text):
        raise _private()
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        if isinstance(document, dict) and not _PRIVATE.isdisjoint(document):
            raise _private()
        hint = " (it has an issuer: this is the other document)" if _is_discovery(document) else ""
        raise BadKeys(f"it is no JSON object with a list of keys{hint}", f"save `{_PRINT}`")
    if not entries:
        raise BadKeys("its list of keys is empty", f"save `{_PRINT}`")
    if any(not _PRIVATE.isdisjoint(entry) for entry in entries):
        raise _private()
    return entries


def _private() -> BadKeys:
    return BadKeys(
        "it holds a PRIVATE key, with which anybody can be any ServiceAccount of the cluster",
        "delete the file, and wherever it has been, replace the key; the public keys are what"
        f" `{_PRINT}` prints",
    )


def _is_discovery(document: object) -> bool:
    return isinstance(document, dict) and "issuer" in document


def _refused(key: Mapping[str, Any]) -> str | None:
    """Why Google does not take a key; None if it does."""
    if any(not isinstance(key.get(member, ""), str) for member in limits.KEY_MEMBERS):
        return "its members are not texts"
    if not key.get("kid"):
        return "Google finds keys by kid"
    kind = key.get("kty", "")
    if kind not in limits.ALGORITHMS:
        return f"its type is {kind!a}, and Google takes RSA and EC"
    if key.get("use", "sig") != "sig":
        return "it is not for signatures"
    if kind == "EC" and key.get("crv") != limits.EC_CURVE:
        return f"its curve is {key.get('crv', '')!a}, and Google takes {limits.EC_CURVE}"
    if key.get("alg", limits.ALGORITHMS[kind]) != limits.ALGORITHMS[kind]:
        return f"it signs by {key['alg']!a}, and Google takes {limits.ALGORITHMS[kind]}"
    numbers = [_number(key.get(member, "")) for member in ("ne" if kind == "RSA" else "xy")]
    if None in numbers:
        return "its numbers are not base64url"
    bits = (numbers[0] or 0).bit_length()
    if kind == "RSA" and bits < limits.RSA_BITS:
        return f"it has {bits} bits, and {limits.RSA_BITS} are wanted"
    return None


def _number(text: str) -> int | None:
    """A base64url number; None where it is none."""
    try:
        octets = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return None
    return int.from_bytes(octets) if octets else None

"""What a ServiceAccount token says of itself, unverified.

NOTE: nothing here is trusted. Google verifies the token; its claims are read as evidence only, to
say why Google refused it. Before the exchange nothing but the shape counts: a node with a wrong
clock must not fail where Google would say yes.
"""

import binascii

from gcp_sa_credential_provider.plugin import jsonc
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.names import only
from gcp_sa_credential_provider.plugin.value import Value

LARGEST = 16384  # characters
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


class Claims(Value):
    """Header and claims that explain a refusal. A text is "MISSING", a time None where absent."""

    issuer: str
    subject: str
    audience: str
    key_id: str
    algorithm: str
    issued_at: "int | None"
    expires_at: "int | None"
    namespace: str
    service_account: str


def read_claims(token: str) -> Claims:
    """Check the token's shape and return what it says. Raises Failure REQUEST-TOKEN."""
    if len(token) > LARGEST:
        raise Failure("REQUEST-TOKEN", reason=f"it is longer than {LARGEST} characters")
    parts = token.split(".")
    if len(parts) != 3 or not all(only(_ALPHABET, part) for part in parts):
        raise Failure("REQUEST-TOKEN", reason="it is not three base64url parts with dots between")
    header, payload = _part(parts[0], "header"), _part(parts[1], "payload")
    kubernetes = _object(payload.get("kubernetes.io"))
    return Claims(
        issuer=_text(payload.get("iss")),
        subject=_text(payload.get("sub")),
        audience=_texts(payload.get("aud")),
        key_id=_text(header.get("kid")),
        algorithm=_text(header.get("alg")),
        issued_at=_time(payload.get("iat")),
        expires_at=_time(payload.get("exp")),
        namespace=_text(kubernetes.get("namespace")),
        service_account=_text(_object(kubernetes.get("serviceaccount")).get("name")),
    )


def _part(part: str, name: str) -> "dict[str, object]":
    try:
        data = binascii.a2b_base64(part.replace("-", "+").replace("_", "/") + "==")
        value = jsonc.loads(data)
    except ValueError as error:
        reason = str(error) if isinstance(error, jsonc.NotJson) else "no base64url"
        raise Failure("REQUEST-TOKEN", reason=f"its {name} is not JSON: {reason}") from None
    if not isinstance(value, dict):
        raise Failure("REQUEST-TOKEN", reason=f"its {name} is not a JSON object")
    return value


def _object(value: object) -> "dict[str, object]":
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) and value else "MISSING"


def _texts(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_text, value)) or "MISSING"
    return _text(value)


def _time(value: object) -> "int | None":
    # `int` alone: a bool is one too, and a float may be infinite.
    return value if type(value) is int and 0 <= value < 1 << 53 else None

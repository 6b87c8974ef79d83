"""The two documents by which a cluster says who signs its ServiceAccount tokens.

`/.well-known/openid-configuration` and `/openid/v1/jwks`, from the API server or as `kubectl get
--raw` printed them into files. Rules: kubernetes.io, "Configure Service Accounts for Pods", service
account issuer discovery; OpenID Connect Discovery 1.0, section 3; RFC 7517, section 5.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.cluster.failure import BadInput, ClusterFailure, evidence
from gcp_sa_credential_provider.google.keys import has_private_pem

CONFIGURATION_PATH = "/.well-known/openid-configuration"
JWKS_PATH = "/openid/v1/jwks"
_LARGEST = 1024 * 1024  # bytes of a file


@dataclass(frozen=True)
class Issuer:
    """What a cluster says of its tokens."""

    issuer: str
    """Their `iss`, byte for byte."""
    jwks: Mapping[str, Any]
    """The key set as published: nothing left out, nothing checked but its shape."""
    where: str
    """Where the key set was read, for messages."""


def issuer_of(
    configuration: Mapping[str, Any],
    jwks: Mapping[str, Any],
    where: tuple[str, str],
    failure: type[ClusterFailure] = ClusterFailure,
) -> Issuer:
    """Take the two documents together; `where` they were read. Raises `failure`."""
    issuer = configuration.get("issuer")
    if not isinstance(issuer, str) or not issuer:
        hint = " (it has `keys`: the two documents are mixed up)" if "keys" in configuration else ""
        raise failure(
            where[0],
            f"the document has no issuer{hint}",
            f"give what `kubectl get --raw {CONFIGURATION_PATH}` prints",
        )
    keys = jwks.get("keys")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, dict) for key in keys):
        hint = " (it has an `issuer`: the two documents are mixed up)" if "issuer" in jwks else ""
        raise failure(
            where[1],
            f"the document holds no keys{hint}",
            f"give what `kubectl get --raw {JWKS_PATH}` prints",
        )
    return Issuer(issuer, jwks, where[1])


def from_files(configuration: Path, jwks: Path) -> Issuer:
    """The two documents as saved. Raises BadInput."""
    where = (str(configuration), str(jwks))
    return issuer_of(_document(configuration), _document(jwks), where, BadInput)


def _document(path: Path) -> Mapping[str, Any]:
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadInput(str(path), f"cannot be read ({error.strerror})", "name the file") from None
    if len(text) > _LARGEST:
        raise BadInput(str(path), f"is longer than {_LARGEST} bytes", "name the right file")
    try:
        # Bytes, not text: PowerShell's `>` writes UTF-16, which json recognises.
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = None
    if has_private_pem(text):
        raise BadInput(
            str(path),
            "holds a PRIVATE key",
            "save what `kubectl get --raw` prints; if the file is a copy of the key, delete it",
        )
    if not isinstance(value, dict):
        # No more of JSON than its bracket: it may be a private key all the same.
        start = re.split(r"(?<=[{[])", text[:60].decode("utf-8", "replace"), maxsplit=1)[0]
        begins = evidence(start) or "nothing"
        raise BadInput(
            str(path),
            f"is no JSON object (it begins: {begins})",
            "save what `kubectl get --raw` prints, and nothing else",
        )
    return value

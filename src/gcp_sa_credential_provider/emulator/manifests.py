"""Pushed manifests: what is taken, and that all they refer to is there.

Imports store. Rules: OCI distribution-spec v1.1, "Pushing Manifests"; image-spec v1.1.
"""

import hashlib
import json
import re
from typing import Any

from gcp_sa_credential_provider.emulator.registry_access import Denied
from gcp_sa_credential_provider.emulator.store import Store

MAX_BYTES = 4 << 20
"""distribution-spec: a registry should take at least 4 MiB."""
_IMAGES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def put(store: Store, image: str, reference: str, media_type: str, content: bytes) -> str:
    """Store a manifest under a tag or its digest. Returns the digest. Raises Denied."""
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    by_digest = DIGEST.fullmatch(reference)
    if by_digest and reference != digest:
        raise Denied(400, "DIGEST_INVALID", "The digest does not match the manifest.", digest)
    if not by_digest and not TAG.fullmatch(reference):
        raise Denied(400, "MANIFEST_INVALID", f"Invalid reference {reference!r}.")
    for kind, needed in _references(_document(media_type, content), media_type):
        there = store.blob(image, needed) if kind == "blob" else store.manifest(image, needed)
        if there is None:
            raise Denied(400, "MANIFEST_BLOB_UNKNOWN", f"The {kind} {needed} is not known.")
    return store.put_manifest(image, media_type, content, None if by_digest else reference)


def _document(media_type: str, content: bytes) -> dict[str, Any]:
    if media_type not in (*_IMAGES, *_INDEXES):
        raise Denied(400, "MANIFEST_INVALID", f"Unsupported manifest type {media_type!r}.")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Denied(400, "MANIFEST_INVALID", "The manifest is not JSON.") from error
    if (
        not isinstance(document, dict)
        or document.get("schemaVersion") != 2
        or document.get("mediaType", media_type) != media_type
    ):
        raise Denied(400, "MANIFEST_INVALID", "The manifest is not valid.")
    return document


def _references(document: dict[str, Any], media_type: str) -> list[tuple[str, str]]:
    """Kind and digest of all that must be there; foreign layers (with urls) need not."""
    if media_type in _INDEXES:
        kind, descriptors = "manifest", document.get("manifests")
    else:
        layers = document.get("layers")
        kind = "blob"
        descriptors = [document.get("config"), *layers] if isinstance(layers, list) else None
    if not isinstance(descriptors, list):
        raise Denied(400, "MANIFEST_INVALID", "The manifest refers to nothing.")
    found = []
    for descriptor in descriptors:
        digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise Denied(400, "MANIFEST_INVALID", "A descriptor has no sha256 digest.")
        if "urls" not in descriptor:
            found.append((kind, digest))
    return found

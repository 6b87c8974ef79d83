"""A container runtime's pull: challenge, registry token, manifest, blobs, every digest verified.

Imports httpx. Protocol: OCI distribution-spec v1.1, the Docker token specification
(distribution.github.io/distribution/spec/auth/token), OCI image-spec v1.1 for digests.
"""

import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any

import httpx

from gcp_sa_credential_provider.demo.step import UnexpectedError

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class RefusedError(Exception):
    """The registry said no to an authenticated request; `str()` is its own text."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}: {message}")


@dataclass(frozen=True)
class Blob:
    """Content whose bytes were fetched and have this digest."""

    digest: str
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Pulled:
    """An image that came down whole."""

    realm: str
    """Where the registry token came from."""
    scope: str
    manifest: Blob
    config: Blob
    layers: tuple[Blob, ...]


def pull(client: httpx.Client, image: str, tag: str, user: str, password: str) -> Pulled:
    """Pull `image:tag` over https and verify every digest.

    Raises RefusedError for the registry's no, UnexpectedError for all else.
    """
    try:
        return _pull(client, image, tag, (user, password))
    except httpx.HTTPError as error:
        raise UnexpectedError(f"registry: {type(error).__name__}: {error}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UnexpectedError(
            f"registry: an answer has not the form it must have ({error})"
        ) from error


def _pull(client: httpx.Client, image: str, tag: str, credential: tuple[str, str]) -> Pulled:
    registry, _, name = image.partition("/")
    base = f"https://{registry}/v2/{name}"
    challenge = _challenge(client.get(f"{base}/manifests/{tag}"), registry)
    realm = challenge.pop("realm")
    # The one request that carries the Google token; all later ones carry the registry's own.
    answer = _accepted(client.get(realm, params=challenge, auth=credential))
    headers = {"Authorization": f"Bearer {answer.json()['token']}", "Accept": MANIFEST_TYPE}

    answer = _accepted(client.get(f"{base}/manifests/{tag}", headers=headers))
    manifest = _verified("manifest", answer.content, answer.headers["Docker-Content-Digest"])
    document = answer.json()

    def fetch(kind: str, descriptor: dict[str, Any]) -> tuple[Blob, bytes]:
        answer = _accepted(client.get(f"{base}/blobs/{descriptor['digest']}", headers=headers))
        blob = _verified(kind, answer.content, descriptor["digest"])
        if blob.size != descriptor["size"]:
            raise UnexpectedError(
                f"registry: {kind} has {blob.size} bytes, the manifest says {descriptor['size']}"
            )
        return blob, answer.content

    config, content = fetch("config", document["config"])
    diff_ids = json.loads(content)["rootfs"]["diff_ids"]
    layers = []
    for descriptor, diff_id in zip(document["layers"], diff_ids, strict=True):
        layer, compressed = fetch("layer", descriptor)
        _verified("unpacked layer", gzip.decompress(compressed), diff_id)
        layers.append(layer)
    return Pulled(realm, challenge.get("scope", ""), manifest, config, tuple(layers))


def _challenge(answer: httpx.Response, registry: str) -> dict[str, str]:
    """The parameters of `WWW-Authenticate: Bearer`; the realm must be the registry's own host."""
    scheme, _, rest = answer.headers.get("WWW-Authenticate", "").partition(" ")
    parameters = dict(_PARAMETER.findall(rest))
    if answer.status_code != 401 or scheme != "Bearer" or "realm" not in parameters:
        raise UnexpectedError(
            f"registry: {answer.status_code} without a Bearer challenge for a pull without token"
        )
    realm = httpx.URL(parameters["realm"])
    if (realm.scheme, realm.host) != ("https", registry):
        raise UnexpectedError(f"registry: the challenge leads to {realm}, another place")
    return parameters


def _accepted(answer: httpx.Response) -> httpx.Response:
    if answer.is_success:
        return answer
    error = answer.json()["errors"][0]
    raise RefusedError(answer.status_code, error["code"], error["message"])


def _verified(kind: str, content: bytes, digest: str) -> Blob:
    found = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if found != digest:
        raise UnexpectedError(f"registry: {kind} has digest {found}, not {digest}")
    return Blob(found, len(content))

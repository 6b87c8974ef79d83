"""The Artifact Registry front: pull and push of images, decided by IAM.

Imports registry_access, uploads and image. Protocol: OCI distribution-spec v1.1. The built-in
image is there without a push; one that was pushed under its tag comes first.
"""

import contextlib
import re
from collections.abc import AsyncIterator
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response

from gcp_sa_credential_provider.emulator import manifests, registry_access, uploads
from gcp_sa_credential_provider.emulator.image import MANIFEST_TYPE, built_in
from gcp_sa_credential_provider.emulator.principals import PULL, PUSH
from gcp_sa_credential_provider.emulator.registry_access import Denied, Target
from gcp_sa_credential_provider.emulator.state import Google
from gcp_sa_credential_provider.emulator.store import NAME_MAX, Manifest

_PATH = re.compile(
    r"/v2/(?P<name>.+?)/(?:(?P<kind>manifests|blobs)/(?P<reference>[^/]+)"
    r"|blobs/(?P<uploads>uploads)/(?P<upload>[^/]*)|tags/(?P<tags>list))"
)
_IMAGE = re.compile(r"[a-z0-9]+([._-]+[a-z0-9]+)*(/[a-z0-9]+([._-]+[a-z0-9]+)*)*")
_VERSION = {"Docker-Distribution-Api-Version": "registry/2.0"}


async def serve(google: Google, request: Request) -> Response:
    """Answer a request below /v2/."""
    entry, path = request.scope["entry"], request.url.path
    headers = dict(_VERSION)
    try:
        caller = registry_access.credential(google, request.headers.get("authorization", ""))
        if caller.identity is not None:
            entry["principal"] = caller.identity.principal
        if path in ("/v2", "/v2/"):
            return JSONResponse({}, headers=headers)
        match = _PATH.fullmatch(path)
        target = registry_access.target(
            google, match["name"] if match else path[4:], _host(request)
        )
        pulling = request.method in ("GET", "HEAD") and not (match and match["uploads"])
        permission = PULL if pulling else PUSH
        registry_access.check(google, target.repository, permission, caller)
        response = await _answer(google, request, match, target)
    except Denied as denied:
        entry["reason"] = denied.reason
        await _drain(request)
        if denied.status == 401:
            headers["WWW-Authenticate"] = _challenge(request)
        response = JSONResponse(denied.body(), denied.status)
    response.headers.update(headers)
    return response


async def token(google: Google, request: Request, body: bytes) -> Response:
    """Answer /v2/token."""
    entry = request.scope["entry"]
    form = request.method == "POST"
    text = body.decode("utf-8", "replace") if form else request.url.query
    authorization = request.headers.get("authorization", "")
    try:
        answer = registry_access.token(google, parse_qsl(text), authorization, entry, form=form)
    except Denied as denied:
        entry["reason"] = denied.reason
        return JSONResponse(denied.body(), denied.status)
    return JSONResponse(answer)


async def _answer(
    google: Google, request: Request, match: re.Match[str] | None, target: Target
) -> Response:
    if match is None or not _IMAGE.fullmatch(target.image):
        raise Denied(404, "UNSUPPORTED", "The emulator serves manifests, blobs and tags.")
    if len(target.image) > NAME_MAX:
        raise Denied(404, "NAME_UNKNOWN", "The image does not exist.")
    name = f"{target.repository}/{target.image}"
    if match["tags"]:
        return _tags(google, request, target)
    if match["uploads"]:
        return await uploads.answer(google.store, request, name, match["upload"])
    reference = match["reference"]
    if match["kind"] == "blobs":
        return _blob(google, target, reference, request.method)
    if request.method == "PUT":
        content = await _limited(request.stream())
        _add_built_in(google, target)
        media_type = request.headers.get("content-type", "")
        digest = manifests.put(google.store, name, reference, media_type, content)
        location = f"/v2/{match['name']}/manifests/{digest}"
        headers = {"Location": location, "Docker-Content-Digest": digest}
        return Response(b"", 201, headers)
    if request.method not in ("GET", "HEAD"):
        raise Denied(405, "UNSUPPORTED", "The operation is unsupported.")
    manifest = _manifest(google, target, reference)
    return Response(
        b"" if request.method == "HEAD" else manifest.content,
        headers={
            "Content-Type": manifest.media_type,
            "Docker-Content-Digest": manifest.digest,
            "Content-Length": str(len(manifest.content)),
        },
    )


async def _drain(request: Request) -> None:
    """Read to the end: an answer before it would break the connection."""
    with contextlib.suppress(RuntimeError):  # Starlette's word for a stream that was read
        async for _ in request.stream():
            pass


def _manifest(google: Google, target: Target, reference: str) -> Manifest:
    if manifests.TAG.fullmatch(reference) or manifests.DIGEST.fullmatch(reference):
        stored = google.store.manifest(f"{target.repository}/{target.image}", reference)
        if stored is not None:
            return stored
    tags, image = _built_in_tags(google, target), built_in()
    if reference in tags or (tags and reference == image.digest):
        return Manifest(image.digest, MANIFEST_TYPE, image.manifest)
    raise Denied(404, "MANIFEST_UNKNOWN", f'Failed to fetch "{reference}"')


def _blob(google: Google, target: Target, digest: str, method: str) -> Response:
    if method not in ("GET", "HEAD"):
        raise Denied(405, "UNSUPPORTED", "The operation is unsupported.")
    _add_built_in(google, target)
    known = manifests.DIGEST.fullmatch(digest) is not None
    path = google.store.blob(f"{target.repository}/{target.image}", digest) if known else None
    if path is None:
        raise Denied(404, "BLOB_UNKNOWN", f'Failed to fetch "{digest}"')
    return FileResponse(
        path, headers={"Docker-Content-Digest": digest}, media_type="application/octet-stream"
    )


def _add_built_in(google: Google, target: Target) -> None:
    """Put the built-in image's blobs into the store, where the image is it."""
    name = f"{target.repository}/{target.image}"
    if _built_in_tags(google, target):
        for digest, content in built_in().blobs.items():
            if google.store.blob(name, digest) is None:
                google.store.add(name, digest, content)


def _tags(google: Google, request: Request, target: Target) -> Response:
    """In order, `n` at a time from behind `last` (distribution-spec, "Listing Tags")."""
    pushed = google.store.tags(f"{target.repository}/{target.image}")
    tags = sorted({*pushed, *_built_in_tags(google, target)})
    if not tags:
        raise Denied(404, "NAME_UNKNOWN", "The image does not exist.")
    last, wanted = request.query_params.get("last", ""), request.query_params.get("n", "")
    tags = [tag for tag in tags if tag > last]
    name = request.url.path.removeprefix("/v2/").removesuffix("/tags/list")
    headers = {}
    if re.fullmatch(r"[0-9]{1,9}", wanted) and int(wanted) < len(tags):
        tags = tags[: int(wanted)]
        if tags:
            url = f"/v2/{name}/tags/list?n={wanted}&last={tags[-1]}"
            headers["Link"] = f'<{url}>; rel="next"'
    return JSONResponse({"name": name, "tags": tags}, headers=headers)


def _built_in_tags(google: Google, target: Target) -> list[str]:
    repository = google.resources.repositories.get(target.repository)
    pairs = (image.rpartition(":") for image in (repository.images if repository else ()))
    return [tag for name, _, tag in pairs if name == target.image]


def _host(request: Request) -> str:
    """The registry's name: that of a mirror's request is in `ns` (containerd, hosts.toml)."""
    return request.query_params.get("ns") or str(request.scope["entry"]["host"])


def _challenge(request: Request) -> str:
    entry = request.scope["entry"]
    host = entry["host"]
    challenge = f'Bearer realm="{entry["scheme"]}://{host}/v2/token"'
    if request.url.path in ("/v2", "/v2/"):
        return challenge
    challenge += f',service="{host}"'
    match = _PATH.fullmatch(request.url.path)
    # What is no name of an image may hold letters that no header can.
    if match is None or not _IMAGE.fullmatch(match["name"]):
        return challenge
    actions = "pull" if request.method in ("GET", "HEAD") else "pull,push"
    return f'{challenge},scope="repository:{match["name"]}:{actions}"'


async def _limited(stream: AsyncIterator[bytes]) -> bytes:
    content = bytearray()
    async for part in stream:
        if len(content) <= manifests.MAX_BYTES:
            content += part
    if len(content) > manifests.MAX_BYTES:
        raise Denied(413, "MANIFEST_INVALID", "The manifest is too large.")
    return bytes(content)

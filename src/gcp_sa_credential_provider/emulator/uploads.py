"""Blob uploads: whole, in pieces, and by mounting.

Imports store. Protocol: OCI distribution-spec v1.1, "Pushing Blobs".
"""

import re

from starlette.requests import Request
from starlette.responses import Response

from gcp_sa_credential_provider.emulator.manifests import DIGEST
from gcp_sa_credential_provider.emulator.registry_access import Denied
from gcp_sa_credential_provider.emulator.store import NAME_MAX, DigestMismatchError, Store

_ID = re.compile(r"[0-9a-f]{32}")
_RANGE = re.compile(r"(?:bytes[ =])?(\d{1,18})-(\d{1,18})(?:/\S+)?", re.ASCII)


async def answer(store: Store, request: Request, image: str, upload: str) -> Response:
    """Answer a request at `…/blobs/uploads/[ID]` for an image's full name. Raises Denied."""
    path = request.url.path.removesuffix(upload)
    digest = request.query_params.get("digest")
    if not upload:
        if request.method != "POST":
            raise Denied(405, "UNSUPPORTED", "The operation is unsupported.")
        mounted = request.query_params.get("mount", "")
        if DIGEST.fullmatch(mounted) and _mounted(store, request, image, mounted):
            return _created(path, mounted)
        upload = store.start()
        if digest is None:
            return _accepted(path, upload, 0)
        return await _finished(store, request, path, image, upload, digest)
    size = store.size(upload) if _ID.fullmatch(upload) else None
    if size is None:
        raise Denied(404, "BLOB_UPLOAD_UNKNOWN", "The upload is not known.")
    match request.method:
        case "PATCH":
            _check_start(request, size)
            await _append(store, request, upload)
            return _accepted(path, upload, store.size(upload) or 0)
        case "PUT" if digest is not None:
            _check_start(request, size)
            return await _finished(store, request, path, image, upload, digest)
        case "GET":
            response = _accepted(path, upload, size)
            response.status_code = 204
            return response
        case "DELETE":
            store.cancel(upload)
            return Response(status_code=204)
        case _:
            raise Denied(400, "DIGEST_INVALID", "The digest is missing.")


def _mounted(store: Store, request: Request, image: str, digest: str) -> bool:
    """Mount from another image of the same repository, where the caller may read anyway."""
    name = request.query_params.get("from", "")
    repository = "/".join(image.split("/")[:6])
    parts = [part for part in name.split("/") if part]
    candidates = {f"{repository}/{'/'.join(parts[depth:])}" for depth in (1, 2)}
    safe = len(name) <= NAME_MAX and all(
        re.fullmatch(r"[a-z0-9][a-z0-9._-]*", part) for part in parts
    )
    return safe and any(store.mount(image, digest, source) for source in candidates)


async def _append(store: Store, request: Request, upload: str) -> None:
    async for part in request.stream():
        if part:
            store.append(upload, part)


async def _finished(
    store: Store, request: Request, path: str, image: str, upload: str, digest: str
) -> Response:
    await _append(store, request, upload)
    if not DIGEST.fullmatch(digest):
        raise Denied(400, "DIGEST_INVALID", "The digest must be sha256.")
    try:
        store.finish(upload, image, digest)
    except DigestMismatchError as error:
        raise Denied(
            400, "DIGEST_INVALID", "The digest does not match the content.", str(error)
        ) from error
    return _created(path, digest)


def _check_start(request: Request, size: int) -> None:
    """Pieces come in order; one that does not begin where the last ended is a 416."""
    written = request.headers.get("content-range")
    if written is None:
        return
    match = _RANGE.fullmatch(written)
    if match is None or int(match[1]) != size:
        raise Denied(416, "BLOB_UPLOAD_INVALID", f"The upload goes on at {size}.", written)


def _accepted(path: str, upload: str, size: int) -> Response:
    return Response(
        status_code=202,
        headers={
            "Location": f"{path}{upload}",
            "Range": f"0-{max(0, size - 1)}",
            "Docker-Upload-UUID": upload,
            "Content-Length": "0",
        },
    )


def _created(path: str, digest: str) -> Response:
    location = f"{path.removesuffix('uploads/')}{digest}"
    return Response(
        status_code=201, headers={"Location": location, "Docker-Content-Digest": digest}
    )

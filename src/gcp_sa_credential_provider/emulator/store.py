"""Pushed images on disk: blobs by content, and per image its links, manifests and tags.

Imports the standard library. Everything appears whole: written aside, synced, renamed.

    ROOT/blobs/HEX                       content
    ROOT/uploads/ID                      unfinished uploads
    ROOT/images/NAME/_blobs/HEX          empty: this image may serve the blob
    ROOT/images/NAME/_manifests/HEX      the manifest's media type
    ROOT/images/NAME/_tags/TAG           the digest of the manifest

NAME is the image's full name, `projects/P/locations/L/repositories/R/IMAGE`, whose parts never
begin with an underscore.
"""

import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from gcp_sa_credential_provider.emulator.files import write_whole

NAME_MAX = 255
"""Letters of an image's name: no part of a path can have more. Clients keep to it, with the host
(distribution-spec, "Pulling manifests")."""
_READ = 1 << 20


class DigestMismatchError(Exception):
    """The content is not what its digest says."""


@dataclass(frozen=True)
class Manifest:
    """A stored manifest."""

    digest: str
    media_type: str
    content: bytes


class Store:
    """The store below a directory. Names and tags must have been checked by the caller."""

    def __init__(self, root: Path) -> None:
        """Raises OSError where the directory cannot be made."""
        self._root = root
        for name in ("blobs", "uploads", "images"):
            (root / name).mkdir(parents=True, exist_ok=True)

    def blob(self, image: str, digest: str) -> Path | None:
        """The file of a blob that this image may serve."""
        linked = (self._image(image) / "_blobs" / _hex(digest)).exists()
        return self._content(digest) if linked else None

    def mount(self, image: str, digest: str, source: str) -> bool:
        """Let the image serve a blob of another one; whether that one has it."""
        if self.blob(source, digest) is None:
            return False
        self._link(image, digest)
        return True

    def manifest(self, image: str, reference: str) -> Manifest | None:
        """By tag or digest."""
        digest = reference
        if not reference.startswith("sha256:"):
            try:
                digest = (self._image(image) / "_tags" / reference).read_text()
            except FileNotFoundError:
                return None
        try:
            media_type = (self._image(image) / "_manifests" / _hex(digest)).read_text()
        except FileNotFoundError:
            return None
        return Manifest(digest, media_type, self._content(digest).read_bytes())

    def put_manifest(self, image: str, media_type: str, content: bytes, tag: str | None) -> str:
        """Store a manifest, and let the tag lead to it. Returns its digest."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        write_whole(self._content(digest), content)
        write_whole(self._image(image) / "_manifests" / _hex(digest), media_type.encode())
        if tag is not None:
            write_whole(self._image(image) / "_tags" / tag, digest.encode())
        return digest

    def tags(self, image: str) -> list[str]:
        """In order."""
        try:
            names = [path.name for path in (self._image(image) / "_tags").iterdir()]
            # what begins with a dot is still being written
        except FileNotFoundError:
            return []
        return sorted(name for name in names if not name.startswith("."))

    def start(self) -> str:
        """A new upload's id."""
        upload = secrets.token_hex(16)
        (self._root / "uploads" / upload).touch()
        return upload

    def size(self, upload: str) -> int | None:
        """Bytes received; None for no such upload."""
        try:
            return (self._root / "uploads" / upload).stat().st_size
        except FileNotFoundError:
            return None

    def append(self, upload: str, part: bytes) -> None:
        """Add to an upload."""
        with (self._root / "uploads" / upload).open("ab") as file:
            file.write(part)

    def finish(self, upload: str, image: str, digest: str) -> None:
        """Turn an upload into a blob of the image. Raises DigestMismatchError; it is gone then."""
        path = self._root / "uploads" / upload
        found = hashlib.sha256()
        with path.open("rb") as file:
            while part := file.read(_READ):
                found.update(part)
            os.fsync(file.fileno())
        if found.hexdigest() != _hex(digest):
            path.unlink()
            raise DigestMismatchError(f"sha256:{found.hexdigest()}")
        path.replace(self._content(digest))
        self._link(image, digest)

    def cancel(self, upload: str) -> None:
        """Drop an upload."""
        (self._root / "uploads" / upload).unlink(missing_ok=True)

    def add(self, image: str, digest: str, content: bytes) -> None:
        """Let the image have a blob of known content."""
        if not self._content(digest).exists():
            write_whole(self._content(digest), content)
        self._link(image, digest)

    def _content(self, digest: str) -> Path:
        return self._root / "blobs" / _hex(digest)

    def _image(self, image: str) -> Path:
        return self._root / "images" / image

    def _link(self, image: str, digest: str) -> None:
        write_whole(self._image(image) / "_blobs" / _hex(digest), b"")


def _hex(digest: str) -> str:
    return digest.removeprefix("sha256:")

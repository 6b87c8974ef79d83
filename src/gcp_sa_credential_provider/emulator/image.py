"""The built-in image: a small OCI image of real layers, the same bytes on every run.

Imports the standard library. Formats: OCI image-spec v1.1 (manifest.md, config.md, layer.md).
"""

import gzip
import hashlib
import io
import json
import tarfile
from dataclasses import dataclass
from functools import cache
from typing import Any

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
_CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
_LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class Image:
    """A manifest and the blobs it refers to."""

    manifest: bytes
    blobs: dict[str, bytes]
    """By digest."""

    @property
    def digest(self) -> str:
        """The manifest's own."""
        return digest_of(self.manifest)


def digest_of(content: bytes) -> str:
    """`sha256:HEX`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


@cache
def built_in() -> Image:
    """One config and two layers, of about 70 kB together."""
    tars = [
        _tar({"etc/hello/README": b"Pulled from the emulator of gcp-sa-credential-provider.\n"}),
        _tar({"usr/share/hello/payload": _noise(64 * 1024)}),
    ]
    layers = [gzip.compress(tar, mtime=0) for tar in tars]
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Cmd": ["/bin/hello"]},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(tar) for tar in tars]},
            "history": [{"created_by": "gcp-sa-credential-provider emulate"} for _ in tars],
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(_CONFIG_TYPE, config),
            "layers": [_descriptor(_LAYER_TYPE, layer) for layer in layers],
        }
    )
    return Image(manifest, {digest_of(blob): blob for blob in (config, *layers)})


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _noise(size: int) -> bytes:
    """Bytes that do not compress, yet are the same every time."""
    blocks = (hashlib.sha256(number.to_bytes(4)).digest() for number in range(size // 32))
    return b"".join(blocks)


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":")).encode()

"""Images of one static program, and how they get into a registry.

Imports the standard library. Formats: OCI image-spec v1.1; push: OCI distribution-spec v1.1.
"""

import hashlib
import io
import json
import ssl
import tarfile
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urljoin

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Image:
    """A manifest with its configuration and layer."""

    manifest: bytes
    blobs: tuple[bytes, ...]


def of_program(program: Path, *, marker: str) -> Image:
    """An image that runs the program; `marker` makes it differ from others."""
    layer = _tar({"pause": program.read_bytes(), "marker": marker.encode()})
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": ["/pause"], "User": "65535:65535"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, layer)],
        }
    )
    return Image(manifest, (config, layer))


def save(image: Image, reference: str, path: Path) -> None:
    """Write an OCI layout in a tar archive, which `ctr images import` takes."""
    entry = _descriptor(MANIFEST, image.manifest)
    entry["annotations"] = {"io.containerd.image.name": reference}
    files = {
        "oci-layout": _json({"imageLayoutVersion": "1.0.0"}),
        "index.json": _json({"schemaVersion": 2, "manifests": [entry]}),
    }
    for blob in (image.manifest, *image.blobs):
        files[f"blobs/{_digest(blob).replace(':', '/')}"] = blob
    path.write_bytes(_tar(files))


def push(image: Image, registry: str, name: str, tag: str, *, trusted: Path) -> None:
    """Put it into the registry at this base URL. Raises urllib.error.HTTPError."""
    context = ssl.create_default_context(cafile=trusted)

    def send(method: str, url: str, body: bytes, kind: str) -> str:
        asked = urllib.request.Request(
            urljoin(registry, url), body, {"Content-Type": kind}, method=method
        )
        with urllib.request.urlopen(asked, context=context, timeout=30) as answer:
            return str(answer.headers.get("Location", ""))

    for blob in image.blobs:
        upload = send("POST", f"/v2/{name}/blobs/uploads/", b"", "application/octet-stream")
        url = f"{upload}{'&' if '?' in upload else '?'}digest={quote(_digest(blob))}"
        send("PUT", url, blob, "application/octet-stream")
    send("PUT", f"/v2/{name}/manifests/{tag}", image.manifest, MANIFEST)


def _tar(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in files.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True).encode()

"""Pack the static files of dist/ into an OCI image layout, without a daemon and reproducibly.

One image FROM nothing for each architecture, an index over them, and each file's SBOM attached as
a referrer. Rules: OCI image-spec v1.1 (image-layout.md, manifest.md, image-index.md).
"""

import hashlib
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from link import DIST, NAME, version
from pins import ARCHES, ROOT, epoch

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_EMPTY = "application/vnd.oci.empty.v1+json"
_SBOM = "application/vnd.cyclonedx+json"

Descriptor = dict[str, Any]


class Layout:
    """Blobs by digest."""

    def __init__(self) -> None:
        self.blobs: dict[str, bytes] = {}

    def add(self, media_type: str, data: bytes) -> Descriptor:
        """Keep a blob; returns its descriptor."""
        digest = hashlib.sha256(data).hexdigest()
        self.blobs[digest] = data
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(data)}

    def add_json(self, media_type: str, document: dict[str, Any]) -> Descriptor:
        """Keep a document, in one form."""
        data = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
        return self.add(media_type, data)


def entry(name: str, size: int, mode: int) -> tarfile.TarInfo:
    """A file's header: root's, of the pinned time."""
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode, epoch()
    return info


def layer(program: bytes) -> bytes:
    """One file, /gcp-sa-credential-provider. Not compressed: gzip differs between versions."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        archive.addfile(entry(NAME, len(program), 0o755), io.BytesIO(program))
    return out.getvalue()


def image(layout: Layout, arch: str, file: Path) -> Descriptor:
    """One architecture's image."""
    created = datetime.fromtimestamp(epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    packed = layout.add(_LAYER, layer(file.read_bytes()))
    labels = {
        "org.opencontainers.image.title": NAME,
        "org.opencontainers.image.version": version(),
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.description": "Kubelet image credential provider for Google "
        "Artifact Registry",
    }
    config = {
        "architecture": arch,
        "os": "linux",
        "created": created,
        "config": {"Entrypoint": [f"/{NAME}"], "User": "65534:65534", "Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [packed["digest"]]},
        "history": [{"created": created, "created_by": "packaging/static/image.py"}],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": layout.add_json(_CONFIG, config),
        "layers": [packed],
        "annotations": labels,
    }
    described = layout.add_json(_MANIFEST, manifest)
    return {**described, "platform": {"architecture": arch, "os": "linux"}}


def sbom(layout: Layout, subject: Descriptor, file: Path) -> Descriptor:
    """The SBOM as an artifact that refers to its image."""
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "artifactType": _SBOM,
        "config": layout.add(_EMPTY, b"{}"),
        "layers": [layout.add(_SBOM, file.read_bytes())],
        "subject": {key: subject[key] for key in ("mediaType", "digest", "size")},
    }
    return {**layout.add_json(_MANIFEST, manifest), "artifactType": _SBOM}


def build(target: Path, arches: Sequence[str]) -> None:
    """Write the layout as one tar file."""
    layout = Layout()
    files = {arch: DIST / f"{NAME}-{version()}-linux-{arch}" for arch in arches}
    images = {arch: image(layout, arch, file) for arch, file in files.items()}
    bills = [
        sbom(layout, images[arch], file.with_name(f"{file.name}.cdx.json"))
        for arch, file in files.items()
    ]
    index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": list(images.values())}
    top = layout.add_json(_INDEX, index)
    top["annotations"] = {
        "org.opencontainers.image.ref.name": version(),
        "io.containerd.image.name": f"localhost/{NAME}:{version()}",
    }
    root = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": [top, *bills]}
    members = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(root, sort_keys=True, separators=(",", ":")).encode(),
    }
    members |= {f"blobs/sha256/{digest}": layout.blobs[digest] for digest in sorted(layout.blobs)}
    partial = target.with_suffix(".partial")
    with tarfile.open(partial, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            archive.addfile(entry(name, len(data), 0o644), io.BytesIO(data))
    partial.replace(target)


if __name__ == "__main__":
    path = DIST / f"{NAME}-{version()}-image.tar"
    build(path, sys.argv[1:] or list(ARCHES))
    sys.stdout.write(f"{path.relative_to(ROOT)}: {path.stat().st_size} bytes\n")

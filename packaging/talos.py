"""Build dist/NAME-VERSION-talos.tar: `python packaging/talos.py`.

A Talos system extension as an OCI image layout with both architectures. Needs packaging/static on
the path. Rules: siderolabs/talos pkg/machinery/extensions (an extension is manifest.yaml and
rootfs, and nothing else; files below /usr/local); the folder is where Talos has the kubelet look
for credential providers.
"""

import io
import json
import tarfile
from datetime import UTC, datetime
from pathlib import Path

import tree
from image import Descriptor, Layout, entry
from link import DIST, NAME, version
from pins import ARCHES, epoch
from tree import File

HERE = Path(__file__).resolve().parent
PLACE = "rootfs/usr/local/lib/kubelet/credentialproviders"

_OCI = "application/vnd.oci.image"


def manifest() -> bytes:
    """The extension's own manifest, of this version."""
    text = (HERE / "talos/manifest.yaml").read_text(encoding="utf-8")
    return text.replace("VERSION", version()).encode()


def layer(arch: str) -> bytes:
    """The extension's files."""
    data = tree.static_file(arch).read_bytes()
    return tree.archive(
        [
            File(path="manifest.yaml", data=manifest()),
            File(path=f"{PLACE}/{NAME}", data=data, mode=0o755),
        ]
    )


def image(layout: Layout, arch: str) -> Descriptor:
    """One architecture's image."""
    created = datetime.fromtimestamp(epoch(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    packed = layout.add(f"{_OCI}.layer.v1.tar", layer(arch))
    labels = {
        "org.opencontainers.image.title": f"{NAME}, Talos system extension",
        "org.opencontainers.image.version": version(),
        "org.opencontainers.image.licenses": "Apache-2.0",
    }
    config = {
        "architecture": arch,
        "os": "linux",
        "created": created,
        "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [packed["digest"]]},
        "history": [{"created": created, "created_by": "packaging/talos.py"}],
    }
    described = {
        "schemaVersion": 2,
        "mediaType": f"{_OCI}.manifest.v1+json",
        "config": layout.add_json(f"{_OCI}.config.v1+json", config),
        "layers": [packed],
        "annotations": labels,
    }
    added = layout.add_json(f"{_OCI}.manifest.v1+json", described)
    return {**added, "platform": {"architecture": arch, "os": "linux"}}


def build() -> bytes:
    """The layout as one tar file."""
    layout = Layout()
    images = [image(layout, arch) for arch in ARCHES]
    index = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": images}
    top = layout.add_json(f"{_OCI}.index.v1+json", index)
    top["annotations"] = {"org.opencontainers.image.ref.name": version()}
    root = {"schemaVersion": 2, "mediaType": f"{_OCI}.index.v1+json", "manifests": [top]}
    members = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps(root, sort_keys=True, separators=(",", ":")).encode(),
        **{f"blobs/sha256/{digest}": layout.blobs[digest] for digest in sorted(layout.blobs)},
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, data in members.items():
            archive.addfile(entry(name, len(data), 0o644), io.BytesIO(data))
    return out.getvalue()


if __name__ == "__main__":
    tree.write(DIST / f"{NAME}-{version()}-talos.tar", build())

"""The image: what the layout holds, and that containerd runs it."""

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gcp_sa_credential_provider.version import VERSION
from static.files import DIST, built
from static.packages import blob, oci_layout, run

IMAGE = DIST / f"gcp-sa-credential-provider-{VERSION}-image.tar"


@pytest.fixture(scope="module")
def layout() -> dict[str, bytes]:
    """Its members by name."""
    if not IMAGE.exists():
        pytest.skip(f"{IMAGE} is not there; make image builds it")
    return oci_layout(IMAGE)


def test_both_architectures(layout: dict[str, bytes]) -> None:
    """One index over two images, each of one layer with the built file in it."""
    top, *_ = json.loads(layout["index.json"])["manifests"]
    images = json.loads(blob(layout, top))["manifests"]
    assert [image["platform"]["architecture"] for image in images] == ["amd64", "arm64"]
    for image in images:
        manifest = json.loads(blob(layout, image))
        [layer] = manifest["layers"]
        config = json.loads(blob(layout, manifest["config"]))
        assert config["rootfs"]["diff_ids"] == [layer["digest"]]
        assert config["config"]["User"] == "65534:65534"
        file = built(image["platform"]["architecture"]).read_bytes()
        assert file in blob(layout, layer)


def test_sboms_refer_to_their_images(layout: dict[str, bytes]) -> None:
    """As OCI referrers."""
    top, *bills = json.loads(layout["index.json"])["manifests"]
    images = json.loads(blob(layout, top))["manifests"]
    for image, bill in zip(images, bills, strict=True):
        manifest = json.loads(blob(layout, bill))
        assert manifest["subject"]["digest"] == image["digest"]
        [layer] = manifest["layers"]
        assert json.loads(blob(layout, layer))["bomFormat"] == "CycloneDX"


def test_it_is_copied(layout: dict[str, bytes], tmp_path: Path) -> None:
    """By skopeo, as docs/helm.md says, with both architectures."""
    assert layout
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed. Fix: apt-get install skopeo")
    source, copy = f"oci-archive:{IMAGE}:{VERSION}", tmp_path / "copy"
    done = run("skopeo", "copy", "--all", source, f"oci:{copy}:{VERSION}")
    assert done.returncode == 0, done.stderr
    [top] = json.loads((copy / "index.json").read_text())["manifests"]
    index = copy / "blobs/sha256" / top["digest"].removeprefix("sha256:")
    assert len(json.loads(index.read_text())["manifests"]) == 2


@contextlib.contextmanager
def containerd(folder: Path) -> Iterator[list[str]]:
    """A daemon of our own, and the client's command for it."""
    socket = folder / "containerd.sock"
    configuration = folder / "config.toml"
    configuration.write_text(
        f'version = 2\nroot = "{folder}/root"\nstate = "{folder}/state"\n'
        'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
        f'[grpc]\naddress = "{socket}"\n'
    )
    with subprocess.Popen(
        ["containerd", "--config", str(configuration)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as daemon:
        try:
            assert daemon.stderr is not None
            for line in daemon.stderr:
                if "containerd successfully booted" in line:
                    break
            yield ["ctr", "--address", str(socket)]
        finally:
            daemon.terminate()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: containerd")
@pytest.mark.skipif(
    not (shutil.which("containerd") and shutil.which("runc")), reason="needs containerd and runc"
)
def test_containerd_runs_it(layout: dict[str, bytes], tmp_path: Path) -> None:
    """Imported from the file; under the runtime's default seccomp profile, read-only, no network.

    It asks for its request, as the kubelet's exec would give it one.
    """
    assert layout
    with containerd(tmp_path) as ctr:
        subprocess.run([*ctr, "images", "import", str(IMAGE)], check=True, capture_output=True)
        started = [*ctr, "run", "--rm", "--read-only", "--seccomp"]
        name = f"localhost/gcp-sa-credential-provider:{VERSION}"
        plugin = subprocess.run(
            [*started, name, "plugin"], stdin=subprocess.DEVNULL, capture_output=True, check=False
        )
        program = "/gcp-sa-credential-provider"
        version = subprocess.run(
            [*started, name, "version", program, "--version"], capture_output=True, check=False
        )
    assert b"[SETTINGS-AUDIENCE-MISSING]" in plugin.stderr
    assert plugin.returncode == 2
    assert version.stdout.startswith(f"gcp-sa-credential-provider {VERSION}\n".encode())

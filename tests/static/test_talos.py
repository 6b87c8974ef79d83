"""The Talos extension: what the image holds, and that Talos's own code takes it."""

import io
import json
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import yaml

from gcp_sa_credential_provider.render.distributions import talos
from gcp_sa_credential_provider.version import VERSION
from kubelet.build import go_problem
from process.launch import NAME
from static.files import built
from static.packages import ARCHES, blob, content, files, members, oci_layout, package, run

by_arch = pytest.mark.parametrize("arch", ARCHES)


@pytest.fixture(scope="module")
def talos_image() -> dict[str, bytes]:
    """The layout's members by name."""
    return oci_layout(package(f"{NAME}-{VERSION}-talos.tar"))


def layer(layout: dict[str, bytes], arch: str) -> bytes:
    """The one layer of an architecture's image."""
    [top] = json.loads(layout["index.json"])["manifests"]
    images = json.loads(blob(layout, top))["manifests"]
    assert [image["platform"]["architecture"] for image in images] == list(ARCHES)
    manifest = json.loads(blob(layout, images[ARCHES.index(arch)]))
    [packed] = manifest["layers"]
    config = json.loads(blob(layout, manifest["config"]))
    assert config["rootfs"]["diff_ids"] == [packed["digest"]]
    assert (config["architecture"], config["os"]) == (arch, "linux")
    return blob(layout, packed)


@by_arch
def test_talos_contents(talos_image: dict[str, bytes], arch: str) -> None:
    """The manifest that `render` writes too, and the program where Talos's kubelet looks."""
    data = layer(talos_image, arch)
    program = f"rootfs{talos._BIN_DIR}/{NAME}"
    assert files(members(data)) == {"manifest.yaml": 0o644, program: 0o755}
    assert content(data, program) == built(arch).read_bytes()
    assert yaml.safe_load(content(data, "manifest.yaml")) == yaml.safe_load(talos._manifest())


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Talos's own code."""
    if problem := go_problem():
        pytest.skip(problem)
    program = tmp_path_factory.mktemp("talos") / "judge"
    subprocess.run(
        ["go", "build", "-mod=readonly", "-trimpath", "-o", program, "."],
        cwd=Path(__file__).parent / "talos",
        env=os.environ | {"CGO_ENABLED": "0"},
        check=True,
        capture_output=True,
    )
    return program


@pytest.mark.timeout(600)  # the first build fetches and compiles
@pytest.mark.xdist_group("talos-judge")
@by_arch
def test_talos_takes_it(
    talos_image: dict[str, bytes], judge: Path, tmp_path: Path, arch: str
) -> None:
    """As an extension of 1.12 and newer, and of no older one."""
    with tarfile.open(fileobj=io.BytesIO(layer(talos_image, arch))) as archive:
        archive.extractall(tmp_path, filter="data")
    for version in ("v1.12.0", "v1.14.1"):
        assert run(judge, tmp_path, version).stdout == f"{NAME} {VERSION}\n"
    older = run(judge, tmp_path, "v1.11.5")
    assert older.returncode == 1
    assert "version constraint >= v1.12.0 can't be satisfied" in older.stderr
    (tmp_path / "rootfs/opt").mkdir()
    (tmp_path / "rootfs/opt/program").touch()
    assert "is not allowed in extensions" in run(judge, tmp_path, "v1.12.0").stderr


def test_talos_image_is_copied(tmp_path: Path) -> None:
    """By skopeo, with all that is in it."""
    if not shutil.which("skopeo"):
        pytest.skip("skopeo is not installed. Fix: apt-get install skopeo")
    source = f"oci-archive:{package(f'{NAME}-{VERSION}-talos.tar')}"
    done = run("skopeo", "copy", "--all", source, f"oci:{tmp_path}/copy:{VERSION}")
    assert done.returncode == 0, done.stderr
    [top] = json.loads((tmp_path / "copy/index.json").read_text())["manifests"]
    index = tmp_path / "copy/blobs/sha256" / top["digest"].removeprefix("sha256:")
    assert len(json.loads(index.read_text())["manifests"]) == len(ARCHES)

"""`setup` against the real kube-apiserver: its documents, its lists, its refusals."""

import base64
import json
import os
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from gcp_sa_credential_provider.demo.issuer import ISSUER
from kubelet.control_plane import ControlPlane

NODES, ACCOUNTS = 150, 700  # more than a page of each
NAMESPACE = "setup-test"
SAID = [
    *("--name", "east", "--project-id", "my-project", "--project-number", "123456789012"),
    *("--repository", "europe-docker.pkg.dev/my-project/images", "--pull", f"{NAMESPACE}/robot-0"),
]


@pytest.fixture(scope="module")
def cluster(api: ControlPlane) -> Iterator[ControlPlane]:
    """The API server with k3s nodes of two architectures, and with many ServiceAccounts."""
    api.create("/api/v1/namespaces", metadata={"name": NAMESPACE})
    for index in range(NODES):
        info = {
            "kubeletVersion": "v1.34.1+k3s1",
            "osImage": "Debian GNU/Linux 12 (bookworm)",
            "operatingSystem": "linux",
            "architecture": "arm64" if index < 50 else "amd64",
            "containerRuntimeVersion": "containerd://2.1.4-k3s1",
        }
        # Fields that the API server wants, with nothing in them that matters here.
        rest = {"machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": ""}
        api.create(
            "/api/v1/nodes",
            metadata={"name": f"setup-{index}"},
            status={"nodeInfo": info | rest | {"kubeProxyVersion": ""}},
        )
    for index in range(ACCOUNTS):
        name = f"robot-{index}" if index < ACCOUNTS - 1 else "a" * 100
        api.create(f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts", metadata={"name": name})
    yield api
    for index in range(NODES):
        api.delete(f"/api/v1/nodes/setup-{index}")
    api.delete(f"/api/v1/namespaces/{NAMESPACE}")


def setup(folder: Path, kubeconfig: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder."""
    program = Path(sysconfig.get_path("scripts")) / "gcp-sa-credential-provider"
    return subprocess.run(
        [program, "setup", "--kubeconfig", kubeconfig, *words],
        cwd=folder,
        env=os.environ | {"HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_real_cluster(cluster: ControlPlane, tmp_path: Path) -> None:
    """All nodes and all ServiceAccounts are counted; the keys are those that sign tokens."""
    ended = setup(tmp_path, cluster.folder / "admin.kubeconfig", *SAID)
    assert ended.stderr == ""
    assert ended.returncode == 0
    assert "nodes 100 x k3s 1.34 amd64 (containerd)" in ended.stdout
    assert "nodes 50 x k3s 1.34 arm64 (containerd)" in ended.stdout
    # node-1 and node-2 of this tier have never reported.
    assert "left out 2 x unknown: the plugin runs on Linux" in ended.stdout
    assert f"    {NAMESPACE}/{'a' * 100} (133 bytes)" in ended.stdout
    listed = json.loads(cluster.read("/api/v1/serviceaccounts"))["items"]
    assert f"ServiceAccounts {len(listed)}, of which 1 cannot pull" in ended.stdout
    fleet = yaml.safe_load((tmp_path / "fleet.yaml").read_text())
    (written,) = fleet["clusters"]
    assert written["issuer"] == ISSUER
    assert written["nodes"] == [
        {
            "name": "nodes",
            "distribution": "k3s",
            "kubernetes": "1.34",
            "architectures": ["amd64", "arm64"],
        }
    ]
    token = cluster.create(
        f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts/robot-0/token",
        spec={"audiences": ["anybody"]},
    )["status"]["token"]
    head, body, _ = token.split(".")
    header, claims = (json.loads(base64.urlsafe_b64decode(part + "==")) for part in (head, body))
    assert claims["iss"] == written["issuer"]
    keys = json.loads((tmp_path / "east.jwks.json").read_text())["keys"]
    assert header["kid"] in [key["kid"] for key in keys]


def test_an_identity_that_may_not(cluster: ControlPlane, tmp_path: Path) -> None:
    """A node's kubelet may not read the issuer: the server's own words, and the way out."""
    ended = setup(tmp_path, cluster.node_kubeconfig("node-1"), *SAID)
    assert ended.returncode == 1
    assert (
        'HTTP 403 (forbidden: User "system:node:node-1" cannot get path "/.well-known/openid'
        in (ended.stderr)
    )
    assert "Fix: bind the ClusterRole system:service-account-issuer-discovery" in ended.stderr
    assert list(tmp_path.iterdir()) == []

"""What an operator reads in the kubelet's log when a pull gets no credential."""

import json
import re
import subprocess
import time

import pytest

from kubelet.harness import Pull, Pulled
from kubelet.node import PLUGIN, Node

IMAGE = "us-docker.pkg.dev/project/repository/app"


def plugin_lines(pulled: Pulled) -> list[str]:
    """The plugin's stderr as the kubelet logged it.

    Up to 1.34 klog writes the error as it is, from 1.35 on in a structured entry: quoted, or
    indented where it has several lines.
    """
    lines = []
    for entry in pulled.errors:
        quoted = re.search(r'err=("(?:[^"\\]|\\.)*")', entry)
        error: str = json.loads(quoted[1]) if quoted else entry
        lines += re.findall(rf"exit status \d: ({PLUGIN}: .*)", error)
    return lines


def run_directly(node: Node, image: str, token: str) -> subprocess.CompletedProcess[str]:
    """The plugin as a process, with the environment and the request that the kubelet gives it."""
    variables = {item["name"]: item["value"] for item in node.provider()["env"]}
    request = {
        "kind": "CredentialProviderRequest",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "image": image,
        "serviceAccountToken": token,
    }
    return subprocess.run(
        [node.bin_dir / PLUGIN],
        input=json.dumps(request),
        env={"PATH": "/usr/bin:/bin"} | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_one_line_stands_in_the_kubelets_log(node: Node) -> None:
    """Google's refusal reaches the log whole, as the plugin wrote it."""
    token = node.google.token(audiences=["somebody-else"])
    expected = run_directly(node, IMAGE, token)
    assert expected.returncode == 1
    pulled = node.start().pull(Pull(image=IMAGE, token=token))
    assert pulled.exec_errors == {PLUGIN: 1}
    assert plugin_lines(pulled) == [expected.stderr.rstrip("\n")]
    assert "[STS-AUDIENCE]" in expected.stderr
    assert "somebody-else" in expected.stderr


def test_no_secret_in_the_kubelets_log(node: Node) -> None:
    """Neither token is logged, at verbosity 5 and whether the exchange fails or succeeds."""
    kubelet = node.start()
    refused = node.google.token(audiences=["somebody-else"])
    taken = node.google.token()
    log = kubelet.pull(Pull(image=IMAGE, token=refused)).log
    success = kubelet.pull(Pull(image=IMAGE, token=taken))
    log += success.log
    secrets = [success.credential.password, *refused.split("."), *taken.split(".")]
    assert [secret for secret in secrets if any(secret in entry for entry in log)] == []


def test_no_service_account_token(node: Node) -> None:
    """With requireServiceAccount false the plugin is run without a token, and says why not."""
    kubelet = node.start(node.provider(require_service_account=False))
    pulled = kubelet.pull(Pull(image=IMAGE, service_account=""))
    assert pulled.credentials == [[]]
    assert pulled.exec_errors == {PLUGIN: 1}
    (line,) = plugin_lines(pulled)
    assert line.startswith(f"{PLUGIN}: [REQUEST-NO-TOKEN] ")
    assert node.google.exchanges() == 0


def test_image_outside_the_registries(node: Node) -> None:
    """The refusal names the image."""
    kubelet = node.start(node.provider(match_images=["registry.example.com"]))
    pulled = kubelet.pull(Pull(image="registry.example.com/app", token=node.google.token()))
    (line,) = plugin_lines(pulled)
    assert "registry.example.com/app" in line
    assert node.google.exchanges() == 0


def test_the_budget_ends_before_the_kubelets(node: Node) -> None:
    """A Google that never answers costs GCP_TIMEOUT; the kubelet's own 60 s are not reached.

    Reached, they would leave "context deadline exceeded" in the log and no word of the cause.
    """
    kubelet = node.start(node.provider(env={"GCP_TIMEOUT": "1"}))
    node.google.stall()
    before = time.monotonic()
    pulled = kubelet.pull(Pull(image=IMAGE, token=node.google.token()))
    assert time.monotonic() - before < 10
    assert pulled.exec_errors == {PLUGIN: 1}
    (line,) = plugin_lines(pulled)
    assert "TIMEOUT" in line
    assert "deadline exceeded" not in "".join(pulled.errors)


@pytest.mark.parametrize("seconds", ["56", "60", "0"])
def test_no_budget_as_long_as_the_kubelets(node: Node, seconds: str) -> None:
    """GCP_TIMEOUT cannot be set to where the kubelet would kill the plugin first."""
    kubelet = node.start(node.provider(env={"GCP_TIMEOUT": seconds}))
    pulled = kubelet.pull(Pull(image=IMAGE, token=node.google.token()))
    (line,) = plugin_lines(pulled)
    assert "GCP_TIMEOUT" in line
    assert node.google.exchanges() == 0

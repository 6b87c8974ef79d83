"""node/api.py: one call to the API server, and each way in which there is no answer."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from gcp_sa_credential_provider.node.api import MERGE, Denied, Unanswered, in_cluster
from gcp_sa_credential_provider.node.failure import Refused
from unit.kube_objects import TOKEN, KubeObjects

NODE = "/api/v1/nodes/node-1"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KubeObjects]:
    """An API server with one node."""
    with KubeObjects(tmp_path) as running:
        running.put(NODE, {"spec": {"taints": [{"key": "a"}]}})
        yield running


def test_call_returns_the_object(server: KubeObjects) -> None:
    """With the token of the pod."""
    found = server.api.call("GET", NODE)
    assert found["spec"] == {"taints": [{"key": "a"}]}
    assert server.tokens == [f"Bearer {TOKEN}"]


def test_call_sends_a_patch(server: KubeObjects) -> None:
    """Of the kind that is asked for."""
    server.api.call("PATCH", NODE, {"spec": {"taints": None}}, MERGE)
    assert server.get(NODE)["spec"] == {}


def test_call_reads_the_token_each_time(server: KubeObjects, tmp_path: Path) -> None:
    """The kubelet replaces it while the pod runs."""
    server.api.call("GET", NODE)
    (tmp_path / "token").write_text("renewed\n")
    server.api.call("GET", NODE)
    assert server.tokens[1:] == ["Bearer renewed"]


def test_call_denied(server: KubeObjects) -> None:
    """The server's reason is told."""
    with pytest.raises(Denied) as denied:
        server.api.call("GET", "/api/v1/nodes/other")
    assert denied.value.status == 404
    assert str(denied.value) == "GET /api/v1/nodes/other: 404: /api/v1/nodes/other not found"


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]"])
def test_call_denied_without_a_reason(server: KubeObjects, body: bytes) -> None:
    """By whatever stands between."""
    server.instead = 503, body
    with pytest.raises(Denied, match=r"^GET /api/v1/nodes/node-1: 503: no reason given$"):
        server.api.call("GET", NODE)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]"])
def test_call_answered_by_no_object(server: KubeObjects, body: bytes) -> None:
    """Is no answer."""
    server.instead = 200, body
    with pytest.raises(Unanswered, match=r"the answer is no JSON object \(\d bytes\)"):
        server.api.call("GET", NODE)


def test_call_redirected_is_denied(server: KubeObjects) -> None:
    """Redirects are not followed: the token is for this server."""
    server.instead = 307, b"{}"
    with pytest.raises(Denied) as denied:
        server.api.call("GET", NODE)
    assert denied.value.status == 307
    assert len(server.tokens) == 1


def test_call_while_the_server_is_away(server: KubeObjects) -> None:
    """Says where nobody answers."""
    server.down = True
    with pytest.raises(Unanswered, match=r"no answer from https://127\.0\.0\.1:\d+ "):
        server.api.call("GET", NODE)


def test_call_to_a_closed_port(server: KubeObjects) -> None:
    """Is no answer either."""
    with pytest.raises(Unanswered, match="CONNECT-REFUSED"):
        replace(server.api, port=1).call("GET", NODE)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"hello", "5 bytes that are no HTTP"),
        (b"HTTP/1.1 2xx\r\n\r\n", "16 bytes that are no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "it ends after 2 bytes"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{}", "within a chunk"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}", "invalid literal"),
    ],
)
def test_call_answered_by_half(server: KubeObjects, answer: bytes, said: str) -> None:
    """What is cut off is never taken for an answer."""
    server.raw = answer
    with pytest.raises(Unanswered, match=rf"^GET /api/v1/nodes/node-1: no answer .*{said}"):
        server.api.call("GET", NODE)


def test_call_answered_in_chunks(server: KubeObjects) -> None:
    """As the API server does where it begins before it knows the length."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    server.raw = head + b'a;x=y\r\n{"kind": "\r\n6\r\nNode"}\r\n0\r\n\r\n'
    assert server.api.call("GET", NODE) == {"kind": "Node"}


def test_call_to_a_server_of_another_authority(server: KubeObjects, tmp_path: Path) -> None:
    """It gets no token."""
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.crt")
    with pytest.raises(Unanswered, match="unable to get local issuer"):
        server.api.call("GET", NODE)
    assert server.tokens == []


@pytest.mark.parametrize("content", ["sec\nret", "sec ret", "sécret", "sec\x00ret"])
def test_call_with_a_broken_token_does_not_show_it(
    server: KubeObjects, tmp_path: Path, content: str
) -> None:
    """It stands in no error."""
    (tmp_path / "token").write_text(content)
    with pytest.raises(Unanswered) as refused:
        server.api.call("GET", NODE)
    assert str(refused.value).endswith("(the token's file holds no token)")
    assert server.tokens == []


def test_in_cluster(server: KubeObjects, tmp_path: Path) -> None:
    """From the variables that every pod has."""
    port = str(server.api.port)
    environment = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": port}
    assert in_cluster(environment, tmp_path) == server.api


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1"},
        {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "tcp://10.0.0.1:443"},
    ],
)
def test_in_cluster_outside(environment: dict[str, str], tmp_path: Path) -> None:
    """Says what to use there."""
    with pytest.raises(Refused, match=r"KUBERNETES_SERVICE_HOST.*Fix: .*`node install`"):
        in_cluster(environment, tmp_path)


def test_in_cluster_without_a_token(tmp_path: Path) -> None:
    """Says what the pod lacks."""
    environment = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    with pytest.raises(Refused, match=r"token: not there\. Fix: .*automountServiceAccountToken"):
        in_cluster(environment, tmp_path)

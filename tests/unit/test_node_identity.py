"""The kubelet's own identity, used for one question."""

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from gcp_sa_credential_provider.node import identity
from gcp_sa_credential_provider.node.api import Unanswered
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.identity import Answer, Unusable, json_of, of_kubeconfig
from unit.small_server import SmallServer, serving

Write = Callable[..., Root]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """The cluster's."""
    return trustme.CA()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[SmallServer]:
    """Of the API."""
    with serving({"/x": [(200, '{"a": 1}')]}, authority.issue_cert("127.0.0.1"), authority) as made:
        yield made


@pytest.fixture
def write(tmp_path: Path, authority: trustme.CA, server: SmallServer) -> Write:
    """Write a kubeconfig, and what it names, into a host's tree; fields in place of the usual."""
    client = authority.issue_cert(common_name="system:node:n-1.example")
    folder = tmp_path / "etc/kubernetes"
    folder.mkdir(parents=True)
    (folder / "ca.crt").write_bytes(authority.cert_pem.bytes())
    (folder / "both.pem").write_bytes(client.private_key_and_cert_chain_pem.bytes())
    (folder / "key.pem").write_bytes(client.private_key_pem.bytes())
    (folder / "cert.pem").write_bytes(client.cert_chain_pems[0].bytes())
    (folder / "token").write_text("t-1\n")
    (folder / "empty").touch()

    def made(cluster: dict[str, Any] | None = None, user: dict[str, Any] | None = None) -> Root:
        usual = {
            "server": f"https://127.0.0.1:{server.server_port}/",
            "certificate-authority": "ca.crt",
        }
        own = user or {"client-certificate": "both.pem", "client-key": "both.pem"}
        config = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}, 7],
            "clusters": [{"name": "k", "cluster": usual | (cluster or {})}],
            "users": [{"name": "other"}, {"name": "u", "user": own}],
        }
        (folder / "kubelet.conf").write_text(json.dumps(config))
        return Root(tmp_path)

    return made


def data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def test_by_the_certificate_in_a_file(write: Write, server: SmallServer) -> None:
    found = of_kubeconfig(write(), "/etc/kubernetes/kubelet.conf")
    assert found.node == "n-1.example"
    assert json_of(found.get("/x")) == {"a": 1}
    assert server.asked == [("/x", None, "system:node:n-1.example")]


def test_by_certificate_and_key_apart(write: Write, server: SmallServer) -> None:
    user = {"client-certificate": "/etc/kubernetes/cert.pem", "client-key": "key.pem"}
    of_kubeconfig(write(user=user), "/etc/kubernetes/kubelet.conf").get("/x")
    assert server.asked == [("/x", None, "system:node:n-1.example")]


def test_by_what_stands_in_the_kubeconfig_itself(
    write: Write, server: SmallServer, tmp_path: Path
) -> None:
    folder = tmp_path / "etc/kubernetes"
    user = {
        "client-certificate-data": data(folder / "cert.pem"),
        "client-key-data": data(folder / "key.pem"),
    }
    root = write({"certificate-authority-data": data(folder / "ca.crt")}, user)
    (folder / "ca.crt").unlink()
    of_kubeconfig(root, "/etc/kubernetes/kubelet.conf").get("/x")
    assert server.asked == [("/x", None, "system:node:n-1.example")]


@pytest.mark.parametrize("user", [{"token": "t-1"}, {"tokenFile": "token"}])
def test_by_a_token(write: Write, server: SmallServer, user: dict[str, str]) -> None:
    found = of_kubeconfig(write(user=user), "/etc/kubernetes/kubelet.conf")
    assert found.node is None
    found.get("/x")
    assert server.asked == [("/x", "Bearer t-1", None)]


def test_the_servers_prefix_and_name(
    write: Write, server: SmallServer, authority: trustme.CA
) -> None:
    server.answers["/k8s/x"] = [(201, "")]
    url = f"https://127.0.0.1:{server.server_port}/k8s/"
    root = write({"server": url, "tls-server-name": "127.0.0.1"})
    found = of_kubeconfig(root, "/etc/kubernetes/kubelet.conf")
    assert found.get("/x") == Answer(201, b"")
    assert json_of(Answer(201, b"")) == {}
    assert json_of(Answer(200, b"[]")) == {}


@pytest.mark.parametrize(
    ("cluster", "user", "said"),
    [
        ({"server": "http://127.0.0.1:1"}, None, "its server is not one that is reached directly"),
        ({"proxy-url": "http://p"}, None, "its server is not one that is reached directly, by"),
        ({"insecure-skip-tls-verify": True}, None, "its server is not one that is reached"),
        ({}, {"exec": {"command": "aws"}}, "it has neither a certificate nor a token of its own"),
        ({}, {"token": "two words"}, "it has neither a certificate nor a token of its own"),
        ({}, {"token": "t\ntwo"}, "it has neither a certificate nor a token of its own"),
        ({}, {"client-certificate": "gone.pem"}, "/etc/kubernetes/gone.pem: not there"),
        ({}, {"client-certificate": "../../etc"}, "/etc/kubernetes/../../etc: Is a directory"),
        ({}, {"client-certificate-data": "?"}, "client-certificate-data is not base64"),
        ({}, {"client-certificate": "cert.pem"}, "certificate and key cannot be used: "),
        ({"certificate-authority": "empty"}, None, "no authority is named"),
    ],
)
def test_a_kubeconfig_that_cannot_be_used(
    write: Write, cluster: dict[str, Any], user: dict[str, Any] | None, said: str
) -> None:
    with pytest.raises(Unusable) as caught:
        of_kubeconfig(write(cluster, user), "/etc/kubernetes/kubelet.conf")
    assert said in str(caught.value)
    assert "two words" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a: [", "/k: not YAML"),
        ("[]", "/k: not there, or no kubeconfig"),
        ("{}", "its server is not"),
    ],
)
def test_a_file_that_is_no_kubeconfig(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "k").write_text(content)
    with pytest.raises(Unusable, match=said):
        of_kubeconfig(Root(tmp_path), "/k")


def test_a_folder_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    with pytest.raises(Unusable, match="/k: Is a directory"):
        of_kubeconfig(Root(tmp_path), "/k")


def test_an_authority_that_is_damaged() -> None:
    pem = b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n"
    with pytest.raises(Unusable, match="the authorities cannot be read: "):
        identity.trusting(pem)


def test_a_server_of_another_authority(write: Write, tmp_path: Path) -> None:
    root = write()
    (tmp_path / "etc/kubernetes/ca.crt").write_bytes(trustme.CA().cert_pem.bytes())
    with pytest.raises(Unanswered, match="TLS-UNTRUSTED"):
        of_kubeconfig(root, "/etc/kubernetes/kubelet.conf").get("/x")


def test_a_server_that_is_away(write: Write) -> None:
    root = write({"server": "https://127.0.0.1:1"})
    with pytest.raises(Unanswered, match=r"127\.0\.0\.1:1: CONNECT-REFUSED"):
        of_kubeconfig(root, "/etc/kubernetes/kubelet.conf").get("/x")


def test_an_answer_that_is_no_http() -> None:
    with pytest.raises(ValueError, match="5 bytes that are no HTTP"):
        identity._answer(b"hello")


def test_the_token_of_a_pod(tmp_path: Path) -> None:
    assert identity.bearer(tmp_path) == ""
    (tmp_path / "token").write_text("abc\n")
    assert identity.bearer(tmp_path) == "abc"
    (tmp_path / "token").write_text("a\nb")
    assert identity.bearer(tmp_path) == ""

"""Whether the kubelet is well: its node's Lease, and the hash of what it has read."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from gcp_sa_credential_provider.node import health
from gcp_sa_credential_provider.node.kubelet import Kubelet
from unit.processes import Processes, processes
from unit.restarted import HASH, KUBELET, SHORT, ended, failure, waited
from unit.small_server import Answers, SmallServer, serving

LEASE = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/n1"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Processes]:
    """A host on which only the processes of the test run."""
    with processes(tmp_path) as made:
        yield made


@pytest.fixture
def before(host: Processes) -> Kubelet:
    """The kubelet of before, which has ended."""
    return ended(host)


@pytest.fixture
def server() -> Iterator[SmallServer]:
    """The kubelet's own ports without TLS."""
    with serving({"/healthz": [(200, "ok")]}) as made:
        yield made


# Its Lease


def renewed(time: str) -> tuple[int, str]:
    return 200, json.dumps({"spec": {"renewTime": time}})


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Callable[..., SmallServer]]:
    """An API server that answers for the node's Lease, and a kubeconfig that names it."""
    authority = trustme.CA()
    with serving({}, authority.issue_cert("127.0.0.1"), authority) as made:
        client = authority.issue_cert(common_name="system:node:n1")
        (tmp_path / "client.pem").write_bytes(client.private_key_and_cert_chain_pem.bytes())
        (tmp_path / "ca.pem").write_bytes(authority.cert_pem.bytes())
        config: dict[str, Any] = {
            "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [
                {
                    "name": "k",
                    "cluster": {
                        "server": f"https://127.0.0.1:{made.server_port}",
                        "certificate-authority": "ca.pem",
                    },
                }
            ],
            "users": [
                {
                    "name": "u",
                    "user": {"client-certificate": "client.pem", "client-key": "client.pem"},
                }
            ],
        }
        (tmp_path / "kubeconfig").write_text(json.dumps(config))

        def answers(listed: Answers) -> SmallServer:
            made.answers[LEASE] = list(listed)
            return made

        yield answers


def start(host: Processes, tmp_path: Path, *more: str) -> None:
    """A kubelet with that kubeconfig."""
    host.start(KUBELET, "--healthz-port=0", f"--kubeconfig={tmp_path}/kubeconfig", *more)


def test_it_is_renewed(
    host: Processes, before: Kubelet, lease: Callable[..., SmallServer], tmp_path: Path
) -> None:
    """Once is not enough: it may have been renewed by the kubelet of before."""
    server = lease([(503, ""), (404, "{}"), renewed("1"), renewed("1"), renewed("2")])
    start(host, tmp_path)
    assert len(waited(host, before)) == 1
    assert server.asked == [(LEASE, None, "system:node:n1")] * 5


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([renewed("1")], "last renewed 1"),
        ([(404, "{}")], "404 for n1"),
        ([(200, '{"spec": null}')], "200 for n1"),
    ],
)
def test_it_is_not_renewed(
    host: Processes,
    before: Kubelet,
    lease: Callable[..., SmallServer],
    tmp_path: Path,
    answers: Answers,
    why: str,
) -> None:
    lease(answers)
    start(host, tmp_path)
    assert failure(host, before) == f"the node's Lease was not renewed: {why}"


def test_the_api_server_does_not_answer(
    host: Processes, before: Kubelet, lease: Callable[..., SmallServer], tmp_path: Path
) -> None:
    lease([])
    file = tmp_path / "kubeconfig"
    config = json.loads(file.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file.write_text(json.dumps(config))
    start(host, tmp_path)
    assert failure(host, before) == (
        "the node's Lease was not renewed: 127.0.0.1:1: CONNECT-REFUSED"
    )


def test_an_api_server_that_only_the_host_reaches(
    host: Processes,
    before: Kubelet,
    lease: Callable[..., SmallServer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As k3s' own on an agent, from a pod with a network of its own."""
    lease([])
    file = tmp_path / "kubeconfig"
    config = json.loads(file.read_text())
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file.write_text(json.dumps(config))
    monkeypatch.setattr(health, "_shares_network", lambda *_: False)
    start(host, tmp_path)
    assert waited(host, before, patience=SHORT)[1:] == [
        "the node's Lease cannot be looked at from here: 127.0.0.1:1: CONNECT-REFUSED"
    ]


@pytest.mark.parametrize("status", [401, 403])
def test_it_may_not_be_read(
    host: Processes,
    before: Kubelet,
    lease: Callable[..., SmallServer],
    tmp_path: Path,
    status: int,
) -> None:
    lease([(status, "{}")])
    start(host, tmp_path)
    assert waited(host, before)[1:] == [
        f"the API server does not let the node read its Lease ({status})"
    ]


def test_a_kubeconfig_that_has_a_program_fetch_its_token(
    host: Processes, before: Kubelet, lease: Callable[..., SmallServer], tmp_path: Path
) -> None:
    file = tmp_path / "kubeconfig"
    config = json.loads(file.read_text())
    config["users"][0]["user"] = {"exec": {"command": "aws"}}
    file.write_text(json.dumps(config))
    start(host, tmp_path)
    assert waited(host, before)[1:] == [
        (
            f"the node's Lease cannot be looked at from here: {file}: it has neither a certificate"
            " nor a token of its own"
        )
    ]


def test_the_nodes_name_where_no_certificate_says_it(
    host: Processes, before: Kubelet, lease: Callable[..., SmallServer], tmp_path: Path
) -> None:
    server = lease([renewed("1"), renewed("2")])
    file = tmp_path / "kubeconfig"
    config = json.loads(file.read_text())
    config["users"][0]["user"] = {"token": "t"}
    file.write_text(json.dumps(config))
    start(host, tmp_path, "--hostname-override=n1")
    waited(host, before)
    assert server.asked == [(LEASE, "Bearer t", None)] * 2


# What it has read


def metrics(found: str) -> str:
    return (
        "# HELP kubelet_credential_provider_config_info [ALPHA]\n"
        f'kubelet_credential_provider_config_info{{hash="{found}"}} 1\n'
    )


def told(host: Processes, *more: str) -> None:
    """A kubelet that was given a configuration."""
    words = ("--image-credential-provider-config=/etc/passwd", "--healthz-port=0")
    host.start(KUBELET, *words, *more)


def test_it_tells_the_hash(host: Processes, before: Kubelet, server: SmallServer) -> None:
    server.answers["/metrics"] = [(200, metrics(HASH))]
    told(host, f"--read-only-port={server.server_port}", "--port=1")
    assert len(waited(host, before, HASH)) == 2


def test_it_tells_another(host: Processes, before: Kubelet, server: SmallServer) -> None:
    server.answers["/metrics"] = [(200, metrics("sha256:0"))]
    told(host, f"--read-only-port={server.server_port}")
    assert failure(host, before, HASH) == (
        f"the kubelet has read another configuration (sha256:0) than was written ({HASH})"
    )


@pytest.mark.parametrize(
    ("answer", "why"), [((200, "x 1\n"), "it tells none"), ((403, ""), "answer 403")]
)
def test_it_does_not_tell(
    host: Processes, before: Kubelet, server: SmallServer, answer: tuple[int, str], why: str
) -> None:
    server.answers["/metrics"] = [answer]
    told(host, f"--read-only-port={server.server_port}", "--tls-cert-file=/nowhere")
    assert waited(host, before, HASH)[-1] == (
        f"the hash of the kubelet's configuration is not to be seen: {why}"
    )


def test_it_tells_the_pod_that_may_ask(host: Processes, before: Kubelet, tmp_path: Path) -> None:
    """Known by its very certificate, be that for another name."""
    certificate = trustme.CA().issue_cert("kubelet.example")
    file = tmp_path / "kubelet.crt"
    file.write_bytes(certificate.cert_chain_pems[0].bytes())
    (tmp_path / "token").write_text("pods")
    with serving({"/metrics": [(200, metrics(HASH))]}, certificate) as server:
        told(host, f"--port={server.server_port}", f"--tls-cert-file={file}")
        assert len(waited(host, before, HASH, account=tmp_path)) == 2
    assert server.asked == [("/metrics", "Bearer pods", None)]


def test_nobody_else_is_told_the_pods_token(
    host: Processes, before: Kubelet, tmp_path: Path
) -> None:
    file = tmp_path / "kubelet.crt"
    file.write_bytes(trustme.CA().issue_cert("k").cert_chain_pems[0].bytes())
    (tmp_path / "token").write_text("pods")
    with serving({"/metrics": [(200, "")]}, trustme.CA().issue_cert("k")) as server:
        told(host, f"--port={server.server_port}", f"--tls-cert-file={file}")
        said = waited(host, before, HASH, account=tmp_path)
    assert "TLS-UNTRUSTED" in said[-1]
    assert server.asked == []


def test_a_certificate_that_is_none(host: Processes, before: Kubelet, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("no PEM")
    told(host, f"--tls-cert-file={tmp_path}/x", f"--cert-dir={tmp_path}")
    assert waited(host, before, HASH)[-1] == (
        "the hash of the kubelet's configuration is not to be seen: from here"
    )

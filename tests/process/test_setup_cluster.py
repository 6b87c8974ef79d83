"""`setup` reads a cluster: what the API server, TLS and credentials may be like.

See test_setup.py for what it writes.
"""

import json
import os
import socket
import subprocess
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
import trustme

from process import launch
from process.api_server import METADATA_ONLY, TOKEN, ApiServer, status
from process.setup_command import SAID, Setup


def peak(setup: Setup, cluster: ApiServer) -> int:
    """Kilobytes of memory that a run needed at most."""
    command = [*launch.console().command, "setup", "--kubeconfig", str(cluster.kubeconfig())]
    environment = {**launch.console().environment, "HOME": str(setup.folder)}
    with subprocess.Popen(
        [*command, *SAID, "--dry-run"],
        cwd=setup.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    ) as running:
        _, code, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(code)
    assert running.returncode == 0
    return usage.ru_maxrss


def test_a_large_cluster(setup: Setup, cluster: ApiServer) -> None:
    """5,000 nodes and 50,000 ServiceAccounts: pages come and go, names alone are kept."""
    small = peak(setup, cluster)
    cluster.asked.clear()
    cluster.nodes, cluster.accounts, cluster.sent = 5_000, 50_000, 0
    assert peak(setup, cluster) - small < 20 * 1024
    assert cluster.sent > 30_000_000
    lists = [path for path, _, _ in cluster.asked if "limit=" in path]
    assert len([path for path in lists if path.startswith("/api/v1/nodes")]) == 50
    assert len([path for path in lists if path.startswith("/api/v1/serviceaccounts")]) == 100
    kinds = {accept for path, accept, _ in cluster.asked if "serviceaccounts" in path}
    assert kinds == {METADATA_ONLY}


def test_lists_that_expire_are_begun_again(setup: Setup, cluster: ApiServer) -> None:
    """410 Gone halfway: every object is counted once."""
    cluster.nodes, cluster.accounts = 250, 1_200
    cluster.expire_once = {"/api/v1/nodes", "/api/v1/serviceaccounts"}
    ended = setup(cluster.kubeconfig(), *SAID)
    assert ended.code == 0
    assert b"nodes 225 x k3s" in ended.stdout
    assert b"ServiceAccounts 1200, of which 0 cannot pull" in ended.stdout
    assert cluster.expire_once == set()


@pytest.mark.parametrize(
    ("path", "answer", "said"),
    [
        (
            "/openid/v1/jwks",
            status(403, 'forbidden: User "me" cannot get path "/openid/v1/jwks"'),
            (
                'HTTP 403 (forbidden: User "me" cannot get path "/openid/v1/jwks"). Fix: bind the'
                " ClusterRole system:service-account-issuer-discovery to your user, or have an"
                " administrator run"
            ),
        ),
        (
            "/.well-known/openid-configuration",
            status(401, "Unauthorized"),
            "HTTP 401 (Unauthorized). Fix: log in to the cluster again",
        ),
        (
            "/api/v1/nodes",
            status(403, 'nodes is forbidden: User "me" cannot list resource "nodes"'),
            "Fix: let your user list nodes, or say with --distribution and --kubernetes how they",
        ),
        (
            "/api/v1/serviceaccounts",
            status(403, "serviceaccounts is forbidden"),
            "Fix: let your user list serviceaccounts, or give --no-service-accounts",
        ),
        ("/version", status(500, "etcd is away"), "HTTP 500 (etcd is away). Fix: see whether"),
        (
            "/version",
            status(403, "forbidden"),
            "HTTP 403 (forbidden). Fix: bind the ClusterRole system:public-info-viewer to your",
        ),
        ("/version", (302, b""), "HTTP 302 (no text). Fix: see whether `kubectl get --raw`"),
        (
            "/version",
            (200, b"<html><title>Log in</title>"),
            (
                "the answer is no JSON object (it begins: <html><title>Log in</title>). Fix: see"
                " whether the kubeconfig's server is a Kubernetes API server, not a login page"
            ),
        ),
        ("/version", (200, b"[]"), "the answer is no JSON object (it begins: [])"),
        ("/version", (200, b"{}"), "gitVersion is None, not v1.N.P"),
        ("/version", (200, b" " * 1048577), "the answer is longer than 1048576 bytes"),
        ("/api/v1/nodes", (200, b'{"kind":"Pod"}'), "the answer is no list (kind Pod)"),
        (
            "/api/v1/nodes",
            (200, b'{"items":[],"metadata":{"continue":"x"}}'),
            "the list does not go on: the same continue token came twice",
        ),
        ("/openid/v1/jwks", (200, b'{"keys":[]}'), "the document holds no keys"),
        (
            "/version",
            (500, f"echo: {TOKEN} eyJhbGciOiJSUzI1NiJ9.e30.AAAA".replace(TOKEN, "").encode()),
            "HTTP 500 (echo: [REDACTED])",
        ),
    ],
)
def test_answers(
    setup: Setup, cluster: ApiServer, path: str, answer: tuple[int, bytes], said: str
) -> None:
    """Every answer that is not what was asked for: where, what, and what to do."""
    cluster.instead[path] = answer
    code, text = setup.refusal(cluster.kubeconfig(), *SAID)
    assert code == 1
    assert text.startswith(f"{cluster.url} (context admin@east){path}: ")
    assert said in text


def test_nodes_need_not_be_read(setup: Setup, cluster: ApiServer) -> None:
    """Who may not list nodes says how they are."""
    cluster.instead["/api/v1/nodes"] = status(403, "forbidden")
    words = ["--distribution", "rke2", "--kubernetes", "1.33", "--architecture", "arm64"]
    assert setup(cluster.kubeconfig(), *SAID, *words).code == 0
    (written,) = setup.fleet()["clusters"]
    assert written["kubernetes"] == "1.34", "the API server still says its own"
    assert written["nodes"] == [
        {
            "name": "nodes",
            "distribution": "rke2",
            "kubernetes": "1.33",
            "architectures": ["arm64"],
        }
    ]


def test_the_wrong_ca(setup: Setup, cluster: ApiServer) -> None:
    code, text = setup.refusal(cluster.kubeconfig(ca=trustme.CA()), *SAID)
    assert code == 1
    assert "TLS failed" in text
    assert "certificate verify failed" in text
    assert "Fix: correct certificate-authority-data" in text
    assert cluster.asked == []


def test_no_answer(setup: Setup, cluster: ApiServer) -> None:
    """A request that is never answered ends when --request-timeout says so."""
    cluster.silent.add("/version")
    words = (*SAID, "--request-timeout", "0.5")
    code, text = setup.refusal(cluster.kubeconfig(), *words)
    assert code == 1
    assert "/version: no answer within 0.5 s. Fix: see whether the API server is reached" in text


def test_nobody_listens(setup: Setup, cluster: ApiServer) -> None:
    kubeconfig = cluster.kubeconfig()
    with socket.socket() as bound:  # held, but not listened on
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        kubeconfig.write_text(
            kubeconfig.read_text().replace(cluster.url, f"https://127.0.0.1:{port}")
        )
        code, text = setup.refusal(kubeconfig, *SAID)
    assert code == 1
    assert "not reached" in text
    assert "Connection refused" in text


def plugin(folder: Path, **credential: str) -> dict[str, Any]:
    """The `exec` of a user whose credential plugin gives this."""
    version = "client.authentication.k8s.io/v1"
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": credential}
    file = folder / "plugin"
    file.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(answer)}\nEND\n")
    file.chmod(0o755)
    return {"apiVersion": version, "command": str(file)}


@pytest.mark.parametrize("by_plugin", [False, True])
def test_a_client_key(setup: Setup, cluster: ApiServer, *, by_plugin: bool) -> None:
    """Embedded or from a credential plugin: it is used."""
    made = cluster.client("somebody")
    (chain,) = made.cert_chain_pems
    pair = chain.bytes(), made.private_key_pem.bytes()
    certificate, key = (part.decode() for part in (pair if by_plugin else map(b64encode, pair)))
    user: dict[str, Any] = (
        {"exec": plugin(cluster.folder, clientCertificateData=certificate, clientKeyData=key)}
        if by_plugin
        else {"client-certificate-data": certificate, "client-key-data": key}
    )
    ended = setup(cluster.kubeconfig(**user), *SAID)
    assert (ended.code, ended.stderr) == (0, b"")
    assert cluster.clients == {"somebody"}


def test_a_credential_plugin(setup: Setup, cluster: ApiServer) -> None:
    """Its token is sent, and shown nowhere."""
    execution = plugin(cluster.folder, token=TOKEN)
    assert setup(cluster.kubeconfig(exec=execution), *SAID).code == 0
    assert {authorization for _, _, authorization in cluster.asked} == {f"Bearer {TOKEN}"}

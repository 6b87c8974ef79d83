"""What is refused of a kubeconfig, and that no message quotes its secrets."""

import base64
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from gcp_sa_credential_provider.cluster.api import connect
from gcp_sa_credential_provider.cluster.failure import ClusterFailure

SECRET = "s3cr3t-of-the-kubeconfig"


def kubeconfig(folder: Path, *, cluster: Any = None, user: Any = None, **top: Any) -> Path:
    """One with a single context `here`; `top` are fields to replace."""
    content = {
        "clusters": [{"name": "c", "cluster": cluster or {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": SECRET} if user is None else user}],
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "here",
    } | top
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not ...}))
    return path


def refusal(path: Path | str, context: str | None = None) -> tuple[int, str]:
    """Exit code and message, whose place is cut."""
    with pytest.raises(ClusterFailure) as caught, connect(str(path), context, 1.0):
        pass
    said = str(caught.value)
    assert SECRET not in said
    return caught.value.code, said.removeprefix(f"kubeconfig {path}")


OTHERS: dict[str, tuple[dict[str, Any], str | None, tuple[int, str]]] = {
    "no context of that name": (
        {},
        "there",
        (2, ": has no context there (contexts: here). Fix: name another with --context"),
    ),
    "no current context": (
        {"current-context": ...},
        None,
        (2, ": has no current context (contexts: here). Fix: name one with --context"),
    ),
    "no such cluster": (
        {"contexts": [{"name": "here", "context": {"cluster": "x", "user": "u"}}]},
        None,
        (
            2,
            (
                ", context here: its cluster x is not in the file. Fix: add it to clusters, or name"
                " another context with --context"
            ),
        ),
    ),
    "no server": (
        {"cluster": {"proxy-url": "http://127.0.0.1:1"}},
        None,
        (2, ", context here: its cluster has no server. Fix: add the API server's URL"),
    ),
    "a server that is no URL": (
        {"cluster": {"server": "https://[::1"}},
        None,
        (
            2,
            (
                ", context here: its server is no URL (https://[::1). Fix: write the API server's"
                " address, as in https://HOST:6443"
            ),
        ),
    ),
    "a password in the server": (
        {"cluster": {"server": f"https://me:{SECRET}@127.0.0.1:1"}},
        None,
        (
            2,
            (
                ", context here: its server has a user or password in it. Fix: take these out; a"
                " client is known by its user in the kubeconfig"
            ),
        ),
    ),
    "a password in a server without a scheme": (
        {"cluster": {"server": f"me:{SECRET}@127.0.0.1:1"}},
        None,
        (
            2,
            (
                ", context here: its server has a user or password in it. Fix: take these out; a"
                " client is known by its user in the kubeconfig"
            ),
        ),
    ),
    "a password with a slash": (
        {"cluster": {"server": f"https://me:/{SECRET}@127.0.0.1:1"}},
        None,
        (
            2,
            (
                ", context here: its server has a user or password in it. Fix: take these out; a"
                " client is known by its user in the kubeconfig"
            ),
        ),
    ),
    "TLS unverified": (
        {"cluster": {"server": "https://127.0.0.1:1", "insecure-skip-tls-verify": True}},
        None,
        (
            2,
            (
                ", context here: insecure-skip-tls-verify is set, so that anybody in between could"
                " hand out keys of their own. Fix: put the cluster's CA into"
                " certificate-authority-data instead, or give the cluster's two documents with"
                " --openid-configuration and --jwks"
            ),
        ),
    ),
    "plain http": (
        {"cluster": {"server": "http://k.example.com"}},
        None,
        (
            2,
            (
                ", context here: its server is not https (http://k.example.com). Fix: use the API"
                " server's https address (plain http is taken on loopback alone)"
            ),
        ),
    ),
    "auth-provider": (
        {"user": {"auth-provider": {"name": "gcp", "config": {"access-token": SECRET}}}},
        None,
        (
            2,
            (
                ", context here: its user has an auth-provider, which Kubernetes clients no longer"
                " know. Fix: use the provider's exec plugin (gke-gcloud-auth-plugin, kubelogin,"
                " ...)"
            ),
        ),
    ),
    "impersonation": (
        {"user": {"token": SECRET, "as": "admin", "as-groups": ["system:masters"]}},
        None,
        (
            2,
            (
                ", context here: its user acts as somebody else (as, as-groups), which is not done"
                " here. Fix: name a context without that, or give the cluster's two documents with"
                " --openid-configuration and --jwks"
            ),
        ),
    ),
    "key that is not base64": (
        {"user": {"client-certificate-data": "?", "client-key-data": SECRET}},
        None,
        (
            2,
            ", context here: client-certificate-data is not base64. Fix: write the file anew",
        ),
    ),
    "CA that is not there": (
        {"cluster": {"server": "https://127.0.0.1:1", "certificate-authority": "/nowhere/ca"}},
        None,
        (2, ", context here: /nowhere/ca: no such file. Fix: correct the path in the kubeconfig"),
    ),
    "exec without a version": (
        {"user": {"exec": {"command": "/bin/true"}}},
        None,
        (
            1,
            (
                ", context here: the credential plugin /bin/true failed (exec: malformed request."
                " missing key 'apiVersion'). Fix: run `kubectl get nodes`, which runs the same"
                " plugin"
            ),
        ),
    ),
    "users that are a text": (
        {"users": SECRET},
        None,
        (
            2,
            (
                ": is no kubeconfig (clusters, contexts and users are not lists of named entries)."
                " Fix: see whether `kubectl config view` can read it"
            ),
        ),
    ),
    "user that is a text": (
        {"users": [{"name": "u", "user": SECRET}]},
        None,
        (
            2,
            (
                ": is no kubeconfig (clusters, contexts and users are not lists of named entries)."
                " Fix: see whether `kubectl config view` can read it"
            ),
        ),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_refused(tmp_path: Path, name: str) -> None:
    changed, context, expected = OTHERS[name]
    assert refusal(kubeconfig(tmp_path, **changed), context) == expected


@pytest.mark.parametrize(
    "proxy", [f"http://me:{SECRET}@127.0.0.1:99999", f"ftp://me:{SECRET}@127.0.0.1:1"]
)
@pytest.mark.parametrize("place", ["kubeconfig", "environment"])
def test_a_proxy_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, proxy: str, place: str
) -> None:
    """The client's message would quote its password."""
    cluster = {"server": "https://k.example.com"}
    if place == "kubeconfig":
        cluster["proxy-url"] = proxy
    else:
        monkeypatch.setenv("HTTPS_PROXY", proxy)
        monkeypatch.delenv("https_proxy", raising=False)
    assert refusal(kubeconfig(tmp_path, cluster=cluster)) == (
        2,
        (
            ", context here: the address of the proxy cannot be used. Fix: write it as in"
            " http://proxy.example.com:3128, in proxy-url of the kubeconfig or in HTTPS_PROXY"
        ),
    )


def test_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none") == (
        2,
        (
            ": no such file. Fix: name it with --kubeconfig or KUBECONFIG, or give the cluster's"
            " two documents with --openid-configuration and --jwks"
        ),
    )


@pytest.mark.parametrize("text", [f"users: [{SECRET}", f"\t{SECRET}", f"a: {SECRET}: b"])
def test_not_yaml(tmp_path: Path, text: str) -> None:
    """The parser would quote the line, token and all."""
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    code, said = refusal(path)
    assert (code, said[:22]) == (2, ": is not YAML (line 1,")


@pytest.mark.parametrize("content", [b"", b"[]", SECRET.encode(), b"\xff\xfe\x00", b"clusters: 1"])
def test_other_yaml(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "kubeconfig"
    path.write_bytes(content)
    code, said = refusal(path)
    assert code == 2
    assert said.startswith((": is no kubeconfig", ": is not YAML"))


def test_a_directory(tmp_path: Path) -> None:
    expected = ": cannot be read (Is a directory). Fix: let this user read it"
    assert refusal(tmp_path) == (2, expected)


PLUGINS = {
    "exit 1": (f"echo token {SECRET[:0]}eyJhbGciOiJub25lIn0.e30.AAAA >&2; exit 1", "[REDACTED]"),
    "its answer on stderr": (
        f"""echo '{{"status": {{"token": "{SECRET}"}}}}' >&2; exit 1""",
        '"token": "[REDACTED]"',
    ),
    "a key on stderr": (
        f"""echo '"clientKeyData": "-----BEGIN PRIVATE KEY----- {SECRET}"' >&2; exit 1""",
        '"clientKeyData": "[REDACTED]',
    ),
    "a shell's trace": (f"echo '+ AWS_SECRET_KEY={SECRET}' >&2; exit 1", "KEY=[REDACTED]"),
    "a token of EKS": (f"echo k8s-aws-v1.{SECRET} >&2; exit 1", "returned 1. [REDACTED]"),
    "no JSON": (f"echo '{SECRET}'", "exec: failed to decode process output"),
    "another kind": ("echo '{}'", "exec: malformed response. missing key 'apiVersion'"),
    "no credential": (
        (
            'echo \'{"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",'
            '"status":{}}\''
        ),
        "exec: missing token or clientCertificateData field in plugin output",
    ),
}


@pytest.mark.parametrize("name", PLUGINS)
def test_credential_plugin(tmp_path: Path, capfd: pytest.CaptureFixture[str], name: str) -> None:
    """Without a credential the command ends; the client alone would go on as nobody."""
    script, said = PLUGINS[name]
    plugin = tmp_path / "plugin"
    plugin.write_text(f"#!/bin/sh\n{script}\n")
    plugin.chmod(0o755)
    exec_part = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(plugin),
        "installHint": "install it from https://example.com",
    }
    code, text = refusal(kubeconfig(tmp_path, user={"exec": exec_part}))
    assert code == 1
    assert f"the credential plugin {plugin} failed" in text
    assert said in text
    assert text.endswith("Fix: install it from https://example.com")
    assert capfd.readouterr() == ("", "")


def embedded(_: Path) -> dict[str, Any]:
    """A user with certificate and key in the kubeconfig."""
    return {
        "client-certificate-data": base64.b64encode(b"certificate").decode(),
        "client-key-data": base64.b64encode(SECRET.encode()).decode(),
    }


def from_plugin(folder: Path) -> dict[str, Any]:
    """One whose credential plugin gives both."""
    version = "client.authentication.k8s.io/v1"
    given = {"clientCertificateData": "certificate", "clientKeyData": SECRET}
    answer = folder / "answer.json"
    answer.write_text(
        json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": given})
    )
    return {"exec": {"apiVersion": version, "command": "/bin/cat", "args": [str(answer)]}}


@pytest.mark.parametrize("user", [embedded, from_plugin])
def test_a_client_key_is_in_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: Callable[[Path], dict[str, Any]]
) -> None:
    """A process that is killed leaves none behind, and one that ends no open one."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with connect(str(kubeconfig(tmp_path, user=user(tmp_path))), None, 1.0) as api:
        file = Path(api._client.configuration.key_file)
        assert file.read_text() == SECRET
        assert list(temporary.iterdir()) == []
    assert not file.exists()


def test_missing_plugin(tmp_path: Path) -> None:
    exec_part = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/nowhere/plugin"}
    code, text = refusal(kubeconfig(tmp_path, user={"exec": exec_part}))
    assert code == 1
    assert "failed ([Errno 2] No such file or directory: '/nowhere/plugin')" in text

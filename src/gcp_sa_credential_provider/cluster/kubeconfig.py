"""Which API server a kubeconfig names, as whom to speak to it, and what is refused of it.

No client here: `api` reads the files, runs credential plugins and carries the requests with the
official one. What that does otherwise than kubectl, or less safely, is settled here:

- its messages quote parts of the file, credentials included: none of them is passed on;
- it logs a failed credential plugin and goes on as nobody: here that is an error;
- it writes embedded keys, and a credential plugin's, to temporary files: here they stay in memory
  where the system can;
- `insecure-skip-tls-verify` and plain http are refused, since the keys read here are what Google
  will trust: whoever sits in between could add one of their own;
- `auth-provider` is refused, as kubectl does from 1.26 on (kubernetes CHANGELOG-1.26);
- `as` is refused: the client would pass it over, and ask as another user than kubectl does.

Rules: kubernetes.io, "Organizing Cluster Access Using kubeconfig Files".
"""

import base64
import binascii
import contextlib
import ipaddress
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gcp_sa_credential_provider.cluster.failure import BadInput, ClusterFailure, evidence

_SAVED_FILES = "give the cluster's two documents with --openid-configuration and --jwks"
HAS_MEMORY = hasattr(os, "memfd_create")
# Embedded text, and the field that names a file in its place.
_EMBEDDED = {
    "certificate-authority-data": "certificate-authority",
    "client-certificate-data": "client-certificate",
    "client-key-data": "client-key",
}
# What a credential plugin may print beside what `evidence` masks: tokens of EKS and OpenShift, and
# any by its name, as a JSON field or a variable.
_OF_PLUGINS = re.compile(
    r"(?:k8s-aws-v1\.|sha256~)[\w-]+"
    r"""|(?P<name>(?i:token|secret|password|key)\w*(?:=|"\s*:\s*)["']?)[^\s"']+"""
)


@dataclass(frozen=True)
class Chosen:
    """One context of a kubeconfig; the mappings are the file's own, to be changed in place."""

    where: str
    """How to call it in a message."""
    context: str
    server: str
    """Its URL."""
    cluster: dict[str, Any]
    user: dict[str, Any]


def default_path() -> str:
    """What kubectl reads: one or more files, with colons between."""
    return os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")


def require(path: str) -> None:
    """Raise BadInput unless one of the files of `path` is there."""
    files = [Path(part).expanduser() for part in path.split(os.pathsep) if part]
    if not any(file.exists() for file in files):
        raise BadInput(
            f"kubeconfig {path}",
            "no such file",
            f"name it with --kubeconfig or KUBECONFIG, or {_SAVED_FILES}",
        )


def choose(
    path: str, lists: Mapping[str, Sequence[Any]], current: str | None, context: str | None
) -> Chosen:
    """The context named `context`, else `current`, of a kubeconfig's three lists.

    Raises BadInput where it is not there, or not safe to read a cluster's keys by.
    """
    contexts, clusters, users = (
        _named(path, lists, *kind)
        for kind in (("contexts", "context"), ("clusters", "cluster"), ("users", "user"))
    )
    every = f"contexts: {', '.join(contexts) or 'none'}"
    name = context or current
    if not name:
        what = f"has no current context ({every})"
        raise BadInput(f"kubeconfig {path}", what, "name one with --context")
    chosen = contexts.get(name)
    if chosen is None:
        what = f"has no context {name} ({every})"
        raise BadInput(f"kubeconfig {path}", what, "name another with --context")
    where = f"kubeconfig {path}, context {name}"
    cluster = clusters.get(str(chosen.get("cluster")))
    if cluster is None:
        raise BadInput(
            where,
            f"its cluster {chosen.get('cluster')} is not in the file",
            "add it to clusters, or name another context with --context",
        )
    user = users.get(str(chosen.get("user")), {})
    if "auth-provider" in user:
        raise BadInput(
            where,
            "its user has an auth-provider, which Kubernetes clients no longer know",
            "use the provider's exec plugin (gke-gcloud-auth-plugin, kubelogin, ...)",
        )
    if acting := sorted(key for key in user if str(key) == "as" or str(key).startswith("as-")):
        raise BadInput(
            where,
            f"its user acts as somebody else ({', '.join(acting)}), which is not done here",
            f"name a context without that, or {_SAVED_FILES}",
        )
    return Chosen(where, name, _server(cluster, where), cluster, user)


def not_understood(path: str) -> BadInput:
    """The file is YAML, and something else."""
    return BadInput(
        f"kubeconfig {path}",
        "is no kubeconfig (clusters, contexts and users are not lists of named entries)",
        "see whether `kubectl config view` can read it",
    )


def _named(
    path: str, lists: Mapping[str, Sequence[Any]], plural: str, kind: str
) -> dict[str, dict[str, Any]]:
    """Mappings by name of one of the three lists."""
    found: dict[str, dict[str, Any]] = {}
    for entry in lists[plural]:
        body = entry.get(kind) if isinstance(entry, dict) else None
        if not isinstance(body, dict):
            raise not_understood(path)
        found.setdefault(str(entry.get("name")), body)
    return found


def _server(cluster: dict[str, Any], where: str) -> str:
    """The URL; only what authenticates the server is accepted."""
    server = cluster.get("server")
    if not isinstance(server, str) or not server:
        raise BadInput(where, "its cluster has no server", "add the API server's URL")
    if "@" in server:
        # Every message names the server, and a password with a slash is no user to a parser.
        what = "its server has a user or password in it"
        fix = "take these out; a client is known by its user in the kubeconfig"
        raise BadInput(where, what, fix)
    try:
        parts = urlsplit(server)
    except ValueError:
        what = f"its server is no URL ({evidence(server)})"
        fix = "write the API server's address, as in https://HOST:6443"
        raise BadInput(where, what, fix) from None
    if cluster.get("insecure-skip-tls-verify"):
        raise BadInput(
            where,
            "insecure-skip-tls-verify is set, so that anybody in between could hand out keys of"
            " their own",
            "put the cluster's CA into certificate-authority-data instead, or " + _SAVED_FILES,
        )
    if parts.scheme != "https" and not (parts.scheme == "http" and _loopback(parts.hostname)):
        raise BadInput(
            where,
            f"its server is not https ({evidence(server)})",
            "use the API server's https address (plain http is taken on loopback alone)",
        )
    return server.rstrip("/")


def _loopback(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return False


def in_memory(content: bytes, stack: contextlib.ExitStack) -> str:
    """The name of a file that only this process has, until `stack` ends."""
    number = os.memfd_create("credential")
    stack.callback(os.close, number)
    with os.fdopen(os.dup(number), "wb") as file:
        file.write(content)
    return f"/proc/self/fd/{number}"


def into_memory(part: dict[str, Any], stack: contextlib.ExitStack, where: str) -> None:
    """Replace embedded certificates and keys by names of files that only this process has."""
    if not HAS_MEMORY:
        return  # not Linux: the client's temporary file, mode 0600, removed at exit
    for field, file_field in _EMBEDDED.items():
        if field not in part:
            continue
        try:
            content = base64.b64decode(part.pop(field), validate=True)
        except (binascii.Error, TypeError, ValueError):
            raise BadInput(where, f"{field} is not base64", "write the file anew") from None
        part[file_field] = in_memory(content, stack)


def not_loaded(where: str, error: Exception) -> BadInput:
    """Of the client's messages only what cannot quote the file."""
    text = str(error)
    if missing := re.match(r"File does not exist: (\S+)", text):
        return BadInput(where, f"{missing[1]}: no such file", "correct the path in the kubeconfig")
    if isinstance(error, OSError) and error.filename:
        named = f"{error.filename}: cannot be read ({error.strerror})"
        return BadInput(where, named, "correct the path or its permissions")
    key = re.search(r"Expected key (\S+) in", text)
    what = f"lacks the key {key[1]}" if key else "is not understood"
    return BadInput(where, what, "see whether `kubectl get nodes` works with it")


def bad_proxy(where: str) -> BadInput:
    """The client cannot read the proxy's address; not quoted, since it may hold a password."""
    return BadInput(
        where,
        "the address of the proxy cannot be used",
        "write it as in http://proxy.example.com:3128, in proxy-url of the kubeconfig or in"
        " HTTPS_PROXY",
    )


def plugin_failed(where: str, settings: Any, told: Sequence[str]) -> ClusterFailure:
    """The credential plugin gave no credential; `told` is what the client logged."""
    command = settings.get("command") if isinstance(settings, dict) else None
    hint = settings.get("installHint") if isinstance(settings, dict) else None
    said = told[-1] if told else "no credential in its answer"
    # On a terminal the plugin speaks for itself, and the client trips over the missing text.
    if "has no attribute" in said:
        said = "it ended with an error"
    # Second: a key is known by its first line, which this would take away.
    said = _OF_PLUGINS.sub(lambda found: f"{found['name'] or ''}[REDACTED]", evidence(said))
    fix = evidence(str(hint)) if hint else "run `kubectl get nodes`, which runs the same plugin"
    return ClusterFailure(where, f"the credential plugin {command} failed ({said})", fix)

"""What is wrong within one cluster: its issuer, its keys, its versions, its nodes.

Imports the model and google. Findings have places below the cluster. Rules of versions: Kubernetes,
"Version Skew Policy" (kubelet); kubernetes pkg/features/kube_features.go, v1.33 to v1.37; KEP-4412.
"""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from gcp_sa_credential_provider.fleet.model import Cluster, NodeGroup
from gcp_sa_credential_provider.fleet.problem import Finding, shown
from gcp_sa_credential_provider.google import issuers

OLDEST = 33
"""The first minor of Kubernetes 1 with tokens for image pulls."""
SKEW = 3
"""Minors by which a kubelet may be older than the API server; it is never newer."""

DISCOVERY = "`kubectl get --raw /.well-known/openid-configuration`"
"""Where a cluster says its issuer."""
_AS_SHOWN = f"write the issuer as {DISCOVERY} shows it"
_NEW_ISSUER = (
    "start kube-apiserver with --service-account-issuer=https://... in front of the present one,"
    " and write that here"
)
_SAVE = "`kubectl get --raw /openid/v1/jwks`"
_DOCUMENTS = ("/.well-known/openid-configuration", "/openid/v1/jwks")


def findings(cluster: Cluster) -> Iterator[Finding]:
    """Everything, in no order."""
    slip = _issuer_slip(cluster.issuer)
    if slip is not None:
        yield Finding(("issuer",), *slip)
    else:
        yield from _keys(cluster)
    yield from _versions(cluster)
    yield from _nodes(cluster)


def _issuer_slip(issuer: str) -> tuple[str, str] | None:
    """Message and fix; None for an issuer that Google takes."""
    if issuer.startswith("http://"):
        return (
            f"{_named(issuer)} is http, and Google takes https only, even where keys are uploaded",
            _NEW_ISSUER,
        )
    if not issuer.startswith("https://"):
        return f"{_named(issuer)} does not begin with https://", _AS_SHOWN
    try:
        parts = urlsplit(issuer)
        wrong = not parts.hostname or "@" in parts.netloc or parts.port == 0
    except ValueError:
        return f"{_named(issuer)} is no URL", _AS_SHOWN
    if re.search(r"[${}<>]", issuer):
        return f"{_named(issuer)} has a placeholder left in it", _AS_SHOWN
    if wrong or not re.fullmatch("[!-~]+", issuer) or "?" in issuer or "#" in issuer:
        return f"{_named(issuer)} is not https:// with a host and at most a path", _AS_SHOWN
    for document in _DOCUMENTS:
        if issuer.endswith(document):
            return f"{_named(issuer)} is the address of a document", f"leave {document} out"
    return _form_slip(issuer)


def _form_slip(issuer: str) -> tuple[str, str] | None:
    """Issuers whose form is known: to Google a slash more or less is another issuer."""
    parts = urlsplit(issuer)
    known = issuers.managed(issuer)
    if known and (parts.netloc != parts.netloc.lower() or not parts.path.strip("/")):
        return (
            f"{_named(issuer)} is no issuer of a cluster",
            f"write it as in {known.example}, with your cluster's values",
        )
    slash = issuer.endswith("/")
    if known and known.example.endswith("/") and not slash:
        return f"{_named(issuer)} has no slash at its end, as {known.title}'s have", "add the slash"
    if slash and (known or issuers.host(issuer).startswith("kubernetes.default")):
        if known and known.example.endswith("/"):
            return None
        who = f"{known.title}'s issuers" if known else "the tokens' iss"
        return (
            f"{_named(issuer)} ends in a slash, and {who} {'do' if known else 'does'} not",
            "take the slash away",
        )
    return None


def _named(issuer: str) -> str:
    """As evidence; not where it may hold a password."""
    return "it" if "@" in issuer else shown(issuer)


def _keys(cluster: Cluster) -> Iterator[Finding]:
    known, name = issuers.managed(cluster.issuer), issuers.host(cluster.issuer)
    if cluster.keys == "fetched":
        if issuers.is_private(name):
            yield Finding(
                ("keys",),
                f"Google cannot fetch from {name}, which is not public",
                f"write uploaded, save {_SAVE} beside this file, and name that in `jwks`",
            )
        elif cluster.jwks is not None:
            yield Finding(
                ("jwks",),
                "Google fetches this cluster's keys, so that no file of them is uploaded",
                "take it out" if known else "take it out, or write `keys: uploaded`",
            )
    elif known is not None:
        yield Finding(
            ("keys",),
            f"{known.rotation}: uploaded ones would soon be wrong",
            "write fetched" + (", and take `jwks` out" if cluster.jwks else ""),
        )
    elif cluster.jwks is None:
        yield Finding(
            ("jwks",), "it is missing", f"save {_SAVE} beside this file, and name that here"
        )


def _versions(cluster: Cluster) -> Iterator[Finding]:
    server = _minor(cluster.kubernetes)
    if server < OLDEST:
        yield Finding(("kubernetes",), *_too_old(cluster.kubernetes, "upgrade the cluster first"))
    if cluster.api_server_gate and server != OLDEST:
        yield Finding(
            ("apiServerGate",),
            f"API servers of {cluster.kubernetes} need no gate, only those of 1.{OLDEST}",
            "take it out",
        )
    if cluster.map_pod and cluster.cache_type != "Token":
        yield Finding(
            ("mapPod",),
            "with cacheType ServiceAccount one pod's credential serves all pods of its"
            " ServiceAccount",
            "write `cacheType: Token`, or take it out",
        )
    if cluster.cache_type == "Token":
        old = [group.name for group in cluster.nodes if _minor(group.kubernetes) <= OLDEST]
        if old or server <= OLDEST:
            who = f"the nodes {', '.join(old)}" if old else "nodes of this cluster"
            yield Finding(
                ("cacheType",),
                f"kubelets of 1.{OLDEST} cannot cache by token ({who})",
                f"write ServiceAccount, or upgrade to 1.{OLDEST + 1} first",
            )


def _nodes(cluster: Cluster) -> Iterator[Finding]:
    server = _minor(cluster.kubernetes)
    seen: set[str] = set()
    for index, group in enumerate(cluster.nodes):
        where = ("nodes", index)
        if group.name in seen:
            yield Finding(
                (*where, "name"),
                f"there is another group {group.name} in this cluster",
                "give each a name of its own",
            )
        seen.add(group.name)
        old = _minor(group.kubernetes)
        if old < OLDEST:
            fix = "upgrade these nodes first, or leave the group out"
            yield Finding((*where, "kubernetes"), *_too_old(group.kubernetes, fix))
        elif old > server:
            yield Finding(
                (*where, "kubernetes"),
                f"{group.kubernetes} is newer than the API server ({cluster.kubernetes}), which"
                " Kubernetes does not support",
                "correct the version; the API server is upgraded first",
            )
        elif old < server - SKEW:
            yield Finding(
                (*where, "kubernetes"),
                f"{group.kubernetes} is more than {SKEW} minors behind the API server"
                f" ({cluster.kubernetes}), which Kubernetes does not support",
                "correct the version, or upgrade these nodes first",
            )
        yield from _group(group, where)


def _group(group: NodeGroup, where: tuple[str, int]) -> Iterator[Finding]:
    if group.directory and _minor(group.kubernetes) <= OLDEST:
        yield Finding(
            (*where, "directory"),
            f"kubelets of {group.kubernetes} take one file, no directory",
            f"take it out until these nodes have 1.{OLDEST + 1}",
        )
    for index, architecture in enumerate(group.architectures):
        if architecture in group.architectures[:index]:
            yield Finding(
                (*where, "architectures", index), f"{architecture} stands here twice", "keep one"
            )


def _too_old(minor: str, fix: str) -> tuple[str, str]:
    return f"{minor} has no tokens for image pulls; 1.{OLDEST} is the first that does", fix


def _minor(text: str) -> int:
    return int(text.partition(".")[2])

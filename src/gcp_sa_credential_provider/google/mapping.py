"""What a provider makes of a Kubernetes token: attribute mapping and attribute condition, in CEL.

Imports limits. Rules: Google, "Workload Identity Federation with Kubernetes" and "Workload Identity
Federation: attribute mappings". Optional claims are guarded with `has()`: what an absent claim does
to a mapping is told differently by those who met it.
"""

from collections.abc import Iterable, Mapping

from gcp_sa_credential_provider.google.limits import CONDITION_CHARACTERS

_CLAIMS = "assertion['kubernetes.io']"
_NAMESPACE = f"has({_CLAIMS}.namespace) ? {_CLAIMS}.namespace : ''"
_POD = f"has({_CLAIMS}.pod) ? {_CLAIMS}.pod.name : ''"


def subject(namespace: str, name: str) -> str:
    """A ServiceAccount as Kubernetes writes it into `sub`."""
    return f"system:serviceaccount:{namespace}:{name}"


def prefix(cluster: str) -> str:
    """What stands before every value of a cluster in a shared pool."""
    return f"{cluster}::"


def own_pool(*, pod: bool) -> dict[str, str]:
    """The mapping where a pool has one cluster."""
    mapping = {"google.subject": "assertion.sub", "attribute.namespace": _NAMESPACE}
    if pod:
        mapping["attribute.pod"] = _POD
    return mapping


def shared_pool(cluster: str, *, pod: bool) -> dict[str, str]:
    """The mapping where clusters share a pool: every attribute says which cluster."""
    before = f"'{prefix(cluster)}' + "
    mapping = {
        "google.subject": f"{before}assertion.sub",
        "attribute.cluster": f"'{cluster}'",
        "attribute.cluster_namespace": f"{before}({_NAMESPACE})",
    }
    if pod:
        mapping["attribute.pod"] = f"{before}({_POD})"
    return mapping


def condition(namespaces: Iterable[str], accounts: Mapping[str, Iterable[str]]) -> str:
    """Who may federate: whole namespaces, and ServiceAccounts by namespace.

    The names are Kubernetes names, so that none has a quote in it.
    """
    whole = sorted(set(namespaces))
    subjects = sorted(
        {
            subject(namespace, name)
            for namespace, names in accounts.items()
            if namespace not in whole
            for name in names
        }
    )
    parts = []
    if subjects:
        parts.append(f"assertion.sub in [{_quoted(subjects)}]")
    if whole:
        parts.append(f"{_CLAIMS}['namespace'] in [{_quoted(whole)}]")
    return " || ".join(parts)


def fits(text: str) -> bool:
    """Whether Google takes a condition of this length."""
    return len(text) <= CONDITION_CHARACTERS


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)

"""A cluster's ServiceAccounts: their names, and which of these are too long for Google.

Pure. `google.subject` may have 127 bytes; a Kubernetes subject alone may have 339: 22 of
`system:serviceaccount:`, 63 of the namespace, a colon, 253 of the name.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from gcp_sa_credential_provider.google.limits import SUBJECT_BYTES
from gcp_sa_credential_provider.google.mapping import subject


@dataclass(frozen=True, slots=True, order=True)
class ServiceAccount:
    """Its name."""

    namespace: str
    name: str

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.namespace}/{self.name}"

    def subject(self, prefix: str) -> str:
        """What Google sees as google.subject; `prefix` is that of a shared pool, or empty."""
        return prefix + subject(self.namespace, self.name)


def account_of(document: Mapping[str, Any]) -> ServiceAccount:
    """Of a ServiceAccount's metadata, as the API server gives it."""
    metadata = document.get("metadata") or {}
    return ServiceAccount(str(metadata.get("namespace")), str(metadata.get("name")))


def too_long(accounts: Iterable[ServiceAccount], prefix: str) -> list[tuple[ServiceAccount, int]]:
    """Those whose subject exceeds the limit, with its bytes, sorted by name."""
    sized = ((account, len(account.subject(prefix).encode())) for account in accounts)
    return sorted(pair for pair in sized if pair[1] > SUBJECT_BYTES)

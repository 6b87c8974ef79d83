"""Who may federate: a provider's attribute condition, from the entries of those who may pull.

Imports the model and google. RBAC is no such fence: any pod may project a token for the provider's
audience by itself (kubernetes plugin/pkg/admission/noderestriction/admission.go checks nodes only).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gcp_sa_credential_provider.fleet.model import Puller
from gcp_sa_credential_provider.google.limits import CONDITION_CHARACTERS
from gcp_sa_credential_provider.google.mapping import condition, fits


@dataclass(frozen=True)
class Fence:
    """A condition, and how close it is."""

    condition: str | None
    """None: every ServiceAccount of the cluster may federate."""
    choice: str
    reason: str


class TooMany(ValueError):  # noqa: N818 -- the entries are too many, not the program
    """No condition that Google takes has room for all of them."""


def fence_of(pullers: Sequence[Puller]) -> Fence:
    """By ServiceAccount, else by namespace. Raises TooMany."""
    accounts: dict[str, set[str]] = {}
    namespaces: set[str] = set()
    for puller in pullers:
        if puller.namespace is None:
            return Fence(
                None,
                "none",
                "The whole cluster may pull, so every ServiceAccount of it may federate.",
            )
        if puller.service_account is None:
            namespaces.add(puller.namespace)
        else:
            accounts.setdefault(puller.namespace, set()).add(puller.service_account)
    exact = condition(namespaces, accounts)
    if fits(exact):
        return Fence(
            exact,
            "those that may pull",
            "RBAC is no fence: any pod may project a token for this audience by itself, and only"
            " the condition and the grants refuse it.",
        )
    coarse = condition(namespaces | set(accounts), {})
    if not fits(coarse):
        raise TooMany(f"{len(namespaces | set(accounts))} namespaces make {len(coarse)} characters")
    return Fence(
        coarse,
        "the namespaces of those that may pull",
        f"Single ServiceAccounts make {len(exact)} characters, and Google takes"
        f" {CONDITION_CHARACTERS}; the grants still name them.",
    )

"""The emulated Google at run time: resources, live tokens, clock, faults and log in one place.

Imports the modules below the protocols. Thread-safe where a test's thread and the server's meet:
`resources` is immutable and replaced as a whole.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gcp_sa_credential_provider.emulator.clock import Clock
from gcp_sa_credential_provider.emulator.config import Config, check_member
from gcp_sa_credential_provider.emulator.faults import FaultRules
from gcp_sa_credential_provider.emulator.log import RequestLog
from gcp_sa_credential_provider.emulator.principals import (
    Federated,
    Identity,
    Policy,
    allows,
    granted,
    revoked,
)
from gcp_sa_credential_provider.emulator.rejection import ConfigError
from gcp_sa_credential_provider.emulator.resources import Repository, Resources, ServiceAccount
from gcp_sa_credential_provider.emulator.tokens import Issued, Tokens


class Google:
    """Everything that a request may read or change."""

    def __init__(self, config: Config) -> None:
        self.clock = Clock()
        self.faults = FaultRules()
        self.log = RequestLog()
        self.access_tokens = Tokens("ya29.d.")
        self.registry_tokens = Tokens("ar.")
        self._lock = threading.Lock()
        self.resources = Resources()
        self.load(config)

    def load(self, config: Config) -> None:
        """Put this configuration in force. Live tokens, clock and log stay as they are."""
        with self._lock:
            self.resources = config.resources
        self.faults.replace(config.faults)

    def grant(self, resource: str, role: str, member: str) -> None:
        """Give a role on a project, service account or repository, at once.

        `resource` is a full name (`projects/ID/…`). Raises ConfigError.
        """
        check_member(resource, member)
        self._change_policy(resource, lambda policy: granted(policy, role, member))

    def revoke(self, resource: str, role: str, member: str) -> None:
        """Take a role away, at once. Raises ConfigError for an unknown resource."""
        self._change_policy(resource, lambda policy: revoked(policy, role, member))

    def token(self, value: str) -> Issued | None:
        """What a live access token stands for.

        A token outlives its provider's disabling (measured), but not its pool's (IAM v1 API).
        """
        issued = self.access_tokens.find(value, self.clock.now())
        if issued is not None and isinstance(issued.identity, Federated):
            pool = self.resources.pools.get(issued.identity.pool)
            if pool is None or not pool.usable:
                return None
        return issued

    def allows(
        self, resource: ServiceAccount | Repository, permission: str, identity: Identity | None
    ) -> bool:
        """Whether the resource's own policy, or its project's, gives the permission."""
        project = self.resources.projects[resource.project]
        return allows([resource.policy, project.policy], permission, identity)

    def _change_policy(self, name: str, change: Callable[[Policy], Policy]) -> None:
        with self._lock:
            kind = _kind_of(name)
            key = name if kind == "repositories" else name.rpartition("/")[2]
            table = getattr(self.resources, kind)
            if key not in table:
                raise ConfigError(
                    name,
                    "no such resource",
                    "name a declared projects/ID, projects/ID/serviceAccounts/EMAIL"
                    " or projects/ID/locations/L/repositories/R",
                )
            old = table[key]
            new = replace(old, policy=change(old.policy))
            # A project stands in its table under two names, an account may.
            table = {key: new if entry is old else entry for key, entry in table.items()}
            self.resources = replace(self.resources, **dict[str, Any]({kind: table}))


def _kind_of(name: str) -> str:
    """The field of Resources that holds a resource of this name."""
    if "/repositories/" in name:
        return "repositories"
    return "service_accounts" if "/serviceAccounts/" in name else "projects"

"""The emulated Google at run time: resources, live tokens, clock, faults and log in one place.

Imports the modules below the protocols. Thread-safe where a test's thread and the server's meet:
`resources` is immutable and replaced as a whole.
"""

import threading
from collections.abc import Callable, Mapping

from gcp_sa_credential_provider.emulator.clock import Clock
from gcp_sa_credential_provider.emulator.config import Config, check_member, check_role
from gcp_sa_credential_provider.emulator.faults import FaultRules
from gcp_sa_credential_provider.emulator.history import GRANT_SECONDS, REMOVAL_SECONDS, History
from gcp_sa_credential_provider.emulator.issuers import Issuers
from gcp_sa_credential_provider.emulator.log import Entry, RequestLog
from gcp_sa_credential_provider.emulator.operations import Operations
from gcp_sa_credential_provider.emulator.principals import (
    Federated,
    Identity,
    Policy,
    allows,
    granted,
    revoked,
)
from gcp_sa_credential_provider.emulator.quota import Quotas
from gcp_sa_credential_provider.emulator.realm import Realm
from gcp_sa_credential_provider.emulator.resources import (
    Repository,
    Resources,
    ServiceAccount,
    with_policy,
)
from gcp_sa_credential_provider.emulator.store import Store
from gcp_sa_credential_provider.emulator.tokens import Issued, Tokens


class Google:
    """Everything that a request may read or change."""

    store: Store
    """Pushed images; given by the server, as is the next."""
    realm: Realm
    """Signs tokens for another registry."""

    def __init__(self, config: Config) -> None:
        self.clock = Clock()
        self.faults = FaultRules()
        self.log = RequestLog()
        self.access_tokens = Tokens("ya29.d.")
        self.registry_tokens = Tokens("ar.")
        self.quotas = Quotas()
        self.operations = Operations()
        self.issuers = Issuers()
        self._lock = threading.RLock()
        self._history = History()
        self.audit: Callable[[Entry], None] | None = None
        self._save: Callable[[Resources], None] | None = None
        self.resources = Resources()
        self.load(config)

    def load(self, config: Config) -> None:
        """Put this configuration in force. Live tokens, clock and log stay as they are."""
        with self._lock:
            self._publish(config.resources)
            self._history.restart(config.resources)
        self.quotas.clear()
        self.issuers.clear()
        self.faults.replace(config.faults)

    def record(self, entry: Entry) -> None:
        """Note a request that was answered: in the log, and in the audit file if there is one."""
        self.log.add(entry)
        if self.audit is not None:
            self.audit(entry)

    def keep(self, save: Callable[[Resources], None], resources: Resources) -> None:
        """Have every version saved before it is in force, beginning with this one.

        `save` raises OSError where it cannot; the change is then refused.
        """
        with self._lock:
            self._save = save
            self._publish(resources)
            self._history.restart(resources)

    def change(self, edit: Callable[[Resources], Resources]) -> None:
        """Replace the resources by an edited copy. What `edit` raises changes nothing."""
        with self._lock:
            self._publish(edit(self.resources))
            self._history.add(self.resources, self.clock.now())

    def settled(self, seconds: float) -> Resources:
        """The resources as requests see them that notice a change after so many seconds."""
        if not self.resources.options.propagation:
            return self.resources
        return self._history.at(self.clock.now() - seconds)

    def grant(self, resource: str, role: str, member: str) -> None:
        """Give a role on a project, service account or repository.

        At once, or with the option `propagation` as late as at Google. `resource` is a full name
        (`projects/ID/…`). Raises ConfigError.
        """
        check_role(resource, role)
        check_member(resource, member)
        self._change_policy(resource, lambda policy: granted(policy, role, member))

    def revoke(self, resource: str, role: str, member: str) -> None:
        """Take a role away, likewise. Raises ConfigError for an unknown resource."""
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
        return any(
            self._allowed(self.settled(seconds), resource, permission, identity)
            for seconds in (GRANT_SECONDS, REMOVAL_SECONDS)
        )

    @staticmethod
    def _allowed(
        resources: Resources,
        resource: ServiceAccount | Repository,
        permission: str,
        identity: Identity | None,
    ) -> bool:
        table: Mapping[str, ServiceAccount | Repository] = (
            resources.repositories
            if isinstance(resource, Repository)
            else resources.service_accounts
        )
        key = resource.name if isinstance(resource, Repository) else resource.email
        policies = [
            entry.policy
            for entry in (table.get(key), resources.projects.get(resource.project))
            if entry is not None
        ]
        return allows(policies, permission, identity)

    def _publish(self, resources: Resources) -> None:
        if self._save is not None:
            self._save(resources)
        self.resources = resources

    def _change_policy(self, name: str, change: Callable[[Policy], Policy]) -> None:
        self.change(lambda resources: with_policy(resources, name, change))

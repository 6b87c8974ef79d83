"""IAM v1: workload identity pools and their providers.

Imports state and the rules of resources. Methods, members and soft delete: IAM v1 API messages
(WorkloadIdentityPool, WorkloadIdentityPoolProvider, Oidc). Any bearer is taken, or none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from gcp_sa_credential_provider.emulator import rest
from gcp_sa_credential_provider.emulator.call import Call, Handler, Method
from gcp_sa_credential_provider.emulator.operations import timestamp
from gcp_sa_credential_provider.emulator.projects import admitted
from gcp_sa_credential_provider.emulator.rejection import (
    ApiError,
    Invalid,
    failed_precondition,
    not_found,
)
from gcp_sa_credential_provider.emulator.resources import (
    Pool,
    Provider,
    Resources,
    pool_from,
    provider_from,
)
from gcp_sa_credential_provider.emulator.state import Google

_LRO = "Operation"
SOFT_DELETE_SECONDS = 30 * 86400

_COMMON = {"displayName": str, "description": str, "disabled": bool}
_OUTPUT = {"name": str, "state": str, "expireTime": str}
POOL_SHAPE: rest.Shape = {**_COMMON, "sessionDuration": str, "mode": str}
PROVIDER_SHAPE: rest.Shape = {
    **_COMMON,
    "attributeMapping": rest.MAP,
    "attributeCondition": str,
    "oidc": {"issuerUri": str, "jwksJson": str, "allowedAudiences": [str]},
    "aws": dict,
    "saml": dict,
    "x509": dict,
}

Entry = Pool | Provider


@dataclass(frozen=True)
class _Collection:
    """Pools or providers: what differs between the two."""

    table: str
    """The field of Resources."""
    segment: str
    kind: str
    id_parameter: str
    listed: str
    shape: rest.Shape
    build: Callable[[Resources, str, Mapping[str, Any]], Entry]
    parent: str
    """The path of the parent, with parameters."""
    own: str
    """The name of the path's last parameter."""

    def entries(self, resources: Resources) -> dict[str, Entry]:
        return dict(getattr(resources, self.table))

    def name(self, google: Google, call: Call, *, write: bool) -> str:
        """The resource's full name, of the path or, on creation, of the query."""
        own = call.params.get(self.own) or call.query.get(self.id_parameter, "")
        if "/" in own:
            raise Invalid(self.id_parameter, f"Invalid identifier {own!r}.", "use a-z, 0-9 and -")
        return f"{self.parent_name(google, call, write=write)}/{self.segment}/{own}"

    def parent_name(self, google: Google, call: Call, *, write: bool) -> str:
        kind = "iamWrites" if write else "iamReads"
        project = admitted(google, call.params["project"], kind)
        if call.params["location"] != "global":
            raise ApiError(400, f"Invalid location: {call.params['location']}.")
        parent = f"projects/{project.number}/locations/global"
        if "pool" in self.parent:
            parent += f"/workloadIdentityPools/{call.params['pool']}"
        return parent

    def started(self, google: Google, name: str, verb: str) -> dict[str, Any]:
        entry = self.entries(google.resources)[name]
        return google.operations.start(
            name,
            verb,
            (self.kind, entry.resource),
            google.clock.now(),
            google.resources.options.operation_seconds,
        )

    def create(self, google: Google, call: Call) -> dict[str, Any]:
        name = self.name(google, call, write=True)
        given = rest.body(call.body, {**self.shape, **_OUTPUT})
        given = {key: value for key, value in given.items() if key not in _OUTPUT}

        def edit(resources: Resources) -> Resources:
            resources = purged(resources, google.clock.now())
            entries = self.entries(resources)
            if name in entries:
                raise ApiError(409, "Requested entity already exists", f"{name} exists")
            built = self.build(resources, name, given)
            return replace(resources, **dict[str, Any]({self.table: {**entries, name: built}}))

        google.change(edit)
        return self.started(google, name, "create")

    def get(self, google: Google, call: Call) -> Mapping[str, Any]:
        return self._found(
            purged(google.resources, google.clock.now()), self.name(google, call, write=False)
        ).resource

    def list(self, google: Google, call: Call) -> Mapping[str, Any]:
        parent = self.parent_name(google, call, write=False)
        resources = purged(google.resources, google.clock.now())
        if self.own == "provider" and parent not in resources.pools:
            raise not_found(parent)
        deleted = rest.truth(call.query, "showDeleted")
        entries = {
            name: entry.resource
            for name, entry in self.entries(resources).items()
            if name.startswith(f"{parent}/{self.segment}/")
            and "/" not in name.removeprefix(f"{parent}/{self.segment}/")
            and (deleted or entry.resource["state"] == "ACTIVE")
        }
        shown, more = rest.page(entries, call.query)
        return {**({self.listed: shown} if shown else {}), **more}

    def patch(self, google: Google, call: Call) -> dict[str, Any]:
        name = self.name(google, call, write=True)
        given = rest.body(call.body, {**self.shape, **_OUTPUT})

        def edited(resources: Resources, old: Entry) -> Entry:
            _must_be(old, "ACTIVE")
            mask = call.query.get("updateMask", "")
            return self.build(resources, name, rest.masked(old.resource, given, mask, self.shape))

        self._edit(google, name, edited)
        return self.started(google, name, "update")

    def delete(self, google: Google, call: Call) -> dict[str, Any]:
        name = self.name(google, call, write=True)
        expires = timestamp(google.clock.now() + SOFT_DELETE_SECONDS)

        def deleted(_: Resources, old: Entry) -> Entry:
            _must_be(old, "ACTIVE")
            resource = {**old.resource, "state": "DELETED", "expireTime": expires}
            return replace(old, resource=resource)

        self._edit(google, name, deleted)
        return self.started(google, name, "delete")

    def undelete(self, google: Google, call: Call) -> dict[str, Any]:
        name = self.name(google, call, write=True)
        rest.body(call.body, {})

        def restored(_: Resources, old: Entry) -> Entry:
            _must_be(old, "DELETED")
            resource = {key: old.resource[key] for key in old.resource if key != "expireTime"}
            return replace(old, resource={**resource, "state": "ACTIVE"})

        self._edit(google, name, restored)
        return self.started(google, name, "undelete")

    def operation(self, google: Google, call: Call) -> dict[str, Any]:
        name = f"{self.name(google, call, write=False)}/operations/{call.params['id']}"
        return google.operations.get(name, google.clock.now())

    def _found(self, resources: Resources, name: str) -> Entry:
        entry = self.entries(resources).get(name)
        if entry is None:
            raise not_found(name)
        return entry

    def _edit(self, google: Google, name: str, edited: Callable[[Resources, Entry], Entry]) -> None:
        def edit(resources: Resources) -> Resources:
            resources = purged(resources, google.clock.now())
            new = edited(resources, self._found(resources, name))
            entries = {**self.entries(resources), name: new}
            return replace(resources, **dict[str, Any]({self.table: entries}))

        google.change(edit)

    def methods(self) -> tuple[Method, ...]:
        """The seven methods."""
        collection = f"/v1/{self.parent}/{self.segment}"
        one = f"{collection}/{{{self.own}}}"
        prefix = "iam.projects.locations.workloadIdentityPools"
        prefix += "" if self.own == "pool" else ".providers"
        lists = ("pageSize", "pageToken", "showDeleted")
        table: tuple[tuple[str, str, str, Handler, tuple[str, ...], str, str], ...] = (
            ("POST", collection, "create", self.create, (self.id_parameter,), self.kind, _LRO),
            ("GET", collection, "list", self.list, lists, "", f"List{self.kind}sResponse"),
            ("GET", one, "get", self.get, (), "", self.kind),
            ("PATCH", one, "patch", self.patch, ("updateMask",), self.kind, _LRO),
            ("DELETE", one, "delete", self.delete, (), "", _LRO),
            ("POST", f"{one}:undelete", "undelete", self.undelete, (), "", _LRO),
            ("GET", f"{one}/operations/{{id}}", "operations.get", self.operation, (), "", _LRO),
        )
        return tuple(
            Method(verb, path, f"{prefix}.{name}", handle, query, request, response)
            for verb, path, name, handle, query, request, response in table
        )


def purged(resources: Resources, now: float) -> Resources:
    """Without what was deleted more than 30 days ago, and without the providers of such pools."""
    pools = {name: pool for name, pool in resources.pools.items() if not _expired(pool, now)}
    providers = {
        name: provider
        for name, provider in resources.providers.items()
        if provider.pool in pools and not _expired(provider, now)
    }
    return replace(resources, pools=pools, providers=providers)


def _expired(entry: Entry, now: float) -> bool:
    written = entry.resource.get("expireTime")
    return written is not None and datetime.fromisoformat(written).timestamp() <= now


def _must_be(entry: Entry, state: str) -> None:
    if entry.resource["state"] != state:
        raise failed_precondition(
            f"{entry.name} is {'deleted' if state == 'ACTIVE' else 'not deleted'}."
        )


def _pool(resources: Resources, name: str, resource: Mapping[str, Any]) -> Pool:
    if resource.get("mode", "FEDERATION_ONLY") not in ("FEDERATION_ONLY", "MODE_UNSPECIFIED"):
        raise Invalid("mode", "The emulator knows FEDERATION_ONLY pools only.", "leave mode out")
    project = name.partition("/locations/")[0]
    others = [other for other in resources.pools if other.startswith(f"{project}/")]
    _check_count(resources.options.pools_per_project, name, others, "pools in the project")
    return pool_from(name, resource)


def _provider(resources: Resources, name: str, resource: Mapping[str, Any]) -> Provider:
    pool = resources.pools.get(name.rpartition("/providers/")[0])
    if pool is None:
        raise not_found(name.rpartition("/providers/")[0])
    _must_be(pool, "ACTIVE")
    if any(kind in resource for kind in ("aws", "saml", "x509")):
        raise Invalid("oidc", "The emulator knows OIDC providers only.", "give oidc")
    if "google.subject" not in resource.get("attributeMapping", {}):
        raise Invalid(
            "attributeMapping",
            "The attribute mapping must include google.subject.",
            'map it: {"google.subject": "assertion.sub"}',
        )
    others = [other for other in resources.providers if other.startswith(f"{pool.name}/")]
    _check_count(resources.options.providers_per_pool, name, others, "providers in the pool")
    return provider_from(name, resource, resources.options)


def _check_count(limit: int, name: str, others: list[str], what: str) -> None:
    if limit and name not in others and len(others) >= limit:
        raise ApiError(429, f"Quota exceeded: at most {limit} {what}.")


_LOCATION = "projects/{project}/locations/{location}"
POOLS = _Collection(
    "pools",
    "workloadIdentityPools",
    "WorkloadIdentityPool",
    "workloadIdentityPoolId",
    "workloadIdentityPools",
    POOL_SHAPE,
    _pool,
    _LOCATION,
    "pool",
)
PROVIDERS = _Collection(
    "providers",
    "providers",
    "WorkloadIdentityPoolProvider",
    "workloadIdentityPoolProviderId",
    "workloadIdentityPoolProviders",
    PROVIDER_SHAPE,
    _provider,
    f"{_LOCATION}/workloadIdentityPools/{{pool}}",
    "provider",
)
METHODS = (*POOLS.methods(), *PROVIDERS.methods())

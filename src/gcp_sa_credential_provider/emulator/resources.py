"""What exists in the emulated Google: projects, pools, providers, accounts, repositories.

Imports the rule modules of this package. Shapes and limits: Google's IAM v1 API messages
(WorkloadIdentityPool, WorkloadIdentityPoolProvider, Oidc) and its error texts as measured by
third parties on 2026-09-28.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from gcp_sa_credential_provider.emulator import jwks
from gcp_sa_credential_provider.emulator.mapping import AttributeMapping, compile_mapping
from gcp_sa_credential_provider.emulator.options import Options
from gcp_sa_credential_provider.emulator.principals import Policy
from gcp_sa_credential_provider.emulator.rejection import ConfigError, Invalid

_ID = re.compile(r"(?!gcp-)[a-z0-9-]{4,32}")
_CLAIM = re.compile(r"\bassertion\s*[.\[]")
_MULTI_TENANT_ISSUERS = (
    "https://token.actions.githubusercontent.com",
    "https://gitlab.com",
    "https://app.terraform.io",
)


@dataclass(frozen=True)
class Project:
    """A project under both its names."""

    id: str
    number: str
    policy: Policy = ()
    disabled_services: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Pool:
    """A workload identity pool."""

    name: str
    """`projects/NUMBER/locations/global/workloadIdentityPools/POOL`."""
    resource: Mapping[str, Any] = field(default_factory=dict)
    """The REST resource, as the IAM API shows it."""
    session_seconds: int | None = None

    @property
    def usable(self) -> bool:
        """Neither disabled nor deleted. An unusable pool also ends the tokens it gave."""
        return _usable(self.resource)

    @property
    def project(self) -> str:
        """The project's number."""
        return self.name.split("/")[1]


@dataclass(frozen=True)
class Provider:
    """An OIDC provider of a pool, compiled for use."""

    name: str
    """`POOL_NAME/providers/PROVIDER`."""
    issuer: str
    audiences: frozenset[str]
    """What a subject token's `aud` must hold one of."""
    keys: jwks.Keys | None
    """None: not uploaded."""
    mapping: AttributeMapping
    resource: Mapping[str, Any] = field(default_factory=dict)
    """The REST resource, as the IAM API shows it."""

    @property
    def usable(self) -> bool:
        """Neither disabled nor deleted. The tokens it gave live on."""
        return _usable(self.resource)

    @property
    def pool(self) -> str:
        """The pool's name."""
        return self.name.rpartition("/providers/")[0]


@dataclass(frozen=True)
class ServiceAccount:
    """A Google service account."""

    email: str
    project: str
    """The project's id."""
    unique_id: str
    policy: Policy = ()
    resource: Mapping[str, Any] = field(default_factory=dict)
    """displayName and description."""

    @property
    def name(self) -> str:
        """`projects/ID/serviceAccounts/EMAIL`."""
        return f"projects/{self.project}/serviceAccounts/{self.email}"


@dataclass(frozen=True)
class Repository:
    """An Artifact Registry repository that serves the built-in image."""

    name: str
    """`projects/ID/locations/LOCATION/repositories/REPOSITORY`."""
    policy: Policy = ()
    images: frozenset[str] = frozenset(["hello:latest"])
    """`IMAGE:TAG` each; every one is the built-in image."""

    @property
    def project(self) -> str:
        """The project's id."""
        return self.name.split("/")[1]


@dataclass(frozen=True)
class Resources:
    """Everything that exists, by name."""

    projects: Mapping[str, Project] = field(default_factory=dict)
    """By id and by number."""
    pools: Mapping[str, Pool] = field(default_factory=dict)
    providers: Mapping[str, Provider] = field(default_factory=dict)
    service_accounts: Mapping[str, ServiceAccount] = field(default_factory=dict)
    """By e-mail and by unique id."""
    repositories: Mapping[str, Repository] = field(default_factory=dict)
    options: Options = field(default_factory=Options)


def pool_from(name: str, resource: Mapping[str, Any]) -> Pool:
    """A pool from its REST resource. Raises Invalid."""
    _check_id(name)
    _check_texts(resource)
    return Pool(
        name, _shown(name, resource), _session_seconds(resource.get("sessionDuration") or None)
    )


def provider_from(name: str, resource: Mapping[str, Any], options: Options) -> Provider:
    """A provider from its REST resource. Raises Invalid with Google's text."""
    _check_id(name)
    _check_texts(resource)
    oidc = resource.get("oidc", {})
    issuer = oidc.get("issuerUri", "")
    _check_issuer(issuer, options)
    condition = resource.get("attributeCondition", "")
    mapping = compile_mapping(
        resource.get("attributeMapping", {}), condition, strict=options.strict_absent_claims
    )
    public = options.public_issuer_condition and issuer in _MULTI_TENANT_ISSUERS
    if public and not _CLAIM.search(condition):
        raise Invalid(
            "attributeCondition",
            "The attribute condition must reference one of the provider's claims.",
            "restrict who of this public issuer may come in, on a claim of the token",
        )
    text = oidc.get("jwksJson", "")
    return Provider(
        name,
        issuer,
        _audiences(name, oidc.get("allowedAudiences", []), options),
        jwks.parse(text, strict_members=options.strict_jwk_members) if text else None,
        mapping,
        _shown(name, resource),
    )


def unique_id(email: str) -> str:
    """A numeric id of 21 digits for an account that was given none; the same for the same one."""
    return f"1{int(hashlib.sha256(email.encode()).hexdigest(), 16) % 10**20:020}"


def policy_of(resources: Resources, name: str) -> Policy:
    """The policy of a project, account or repository. Raises ConfigError."""
    table, key = _entry(resources, name)
    policy: Policy = table[key].policy
    return policy


def with_policy(resources: Resources, name: str, change: Callable[[Policy], Policy]) -> Resources:
    """The resources with one policy changed. Raises ConfigError."""
    table, key = _entry(resources, name)
    old = table[key]
    new = replace(old, policy=change(old.policy))
    # A project and an account stand in their tables under two names.
    table = {key: new if entry is old else entry for key, entry in table.items()}
    return replace(resources, **dict[str, Any]({_kind_of(name): table}))


def _entry(resources: Resources, name: str) -> tuple[Mapping[str, Any], str]:
    kind = _kind_of(name)
    key = name if kind == "repositories" else name.rpartition("/")[2]
    table: Mapping[str, Any] = getattr(resources, kind)
    if key not in table:
        raise ConfigError(
            name,
            "no such resource",
            "name a declared projects/ID, projects/ID/serviceAccounts/EMAIL"
            " or projects/ID/locations/L/repositories/R",
        )
    return table, key


def _kind_of(name: str) -> str:
    """The field of Resources that holds a resource of this name."""
    if "/repositories/" in name:
        return "repositories"
    return "service_accounts" if "/serviceAccounts/" in name else "projects"


def _shown(name: str, resource: Mapping[str, Any]) -> dict[str, Any]:
    """The resource without empty members (protobuf's JSON mapping leaves defaults out)."""
    shown = {"name": name, "state": "ACTIVE", **resource}
    if "oidc" in shown:
        shown["oidc"] = {key: value for key, value in shown["oidc"].items() if value}
    return {key: value for key, value in shown.items() if value not in ("", False, None, {}, [])}


def _usable(resource: Mapping[str, Any]) -> bool:
    return not resource.get("disabled", False) and resource.get("state", "ACTIVE") == "ACTIVE"


def _check_id(name: str) -> None:
    if not _ID.fullmatch(name.rpartition("/")[2]):
        raise Invalid(
            "name",
            f"Invalid identifier {name.rpartition('/')[2]!r}.",
            "use 4 to 32 of a-z, 0-9 and -, not beginning with gcp-",
        )


def _check_texts(resource: Mapping[str, Any]) -> None:
    for key, limit in (("displayName", 32), ("description", 256)):
        if (length := len(resource.get(key, ""))) > limit:
            raise Invalid(
                key, f"The value exceeds {limit} characters.", f"shorten it ({length} now)"
            )


def _check_issuer(issuer: str, options: Options) -> None:
    scheme, separator, host = issuer.partition("://")
    if not separator or not host:
        raise Invalid(
            "oidc.issuerUri", "Invalid OIDC issuer URI.", "give the token's iss, byte for byte"
        )
    if scheme != "https":
        raise Invalid(
            "oidc.issuerUri",
            "Invalid OIDC issuer URI. The scheme must be https.",
            "change --service-account-issuer of kube-apiserver to an https URL",
        )
    if options.allowed_issuers is not None and issuer not in options.allowed_issuers:
        raise Invalid(
            "oidc.issuerUri",
            "Org Policy violated for value",
            "allow the issuer in constraints/iam.workloadIdentityPoolProviders"
            " (options.allowedIssuers)",
        )


def _audiences(name: str, allowed: list[str], options: Options) -> frozenset[str]:
    if len(allowed) > 10 or any(len(audience) > 256 for audience in allowed):
        raise Invalid(
            "oidc.allowedAudiences",
            "At most 10 audiences of at most 256 characters are allowed.",
            "leave the list empty for the default, the provider's own name",
        )
    own = f"iam.{options.universe}/{name}"
    return frozenset(allowed or [f"//{own}", f"https://{own}"])


def _session_seconds(text: str | None) -> int | None:
    if text is None:
        return None
    written = re.fullmatch(r"([0-9]{1,9})s", text)
    seconds = int(written[1]) if written else 0
    if not 120 <= seconds <= 43200:
        raise Invalid(
            "sessionDuration",
            "The session duration must be between 2 minutes and 12 hours.",
            'write seconds, "120s" to "43200s"',
        )
    return seconds

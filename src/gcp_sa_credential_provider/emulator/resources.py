"""What exists in the emulated Google: projects, pools, providers, accounts, repositories.

Imports the rule modules of this package. Shapes and limits: Google's IAM v1 API messages
(WorkloadIdentityPool, WorkloadIdentityPoolProvider, Oidc) and its error texts as measured by
third parties on 2026-09-28.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gcp_sa_credential_provider.emulator import jwks
from gcp_sa_credential_provider.emulator.mapping import AttributeMapping, compile_mapping
from gcp_sa_credential_provider.emulator.principals import Policy
from gcp_sa_credential_provider.emulator.rejection import Invalid

_ID = re.compile(r"(?!gcp-)[a-z0-9-]{4,32}")
_MULTI_TENANT_ISSUERS = (
    "https://token.actions.githubusercontent.com",
    "https://gitlab.com",
    "https://app.terraform.io",
)


@dataclass(frozen=True)
class Options:
    """Choices: where Google's behaviour is a setting, is contradictory or was never measured."""

    strict_absent_claims: bool = True
    """A custom attribute whose claim is absent refuses the exchange (else: is left out)."""
    strict_jwk_members: bool = True
    """Unknown members of a JWK refuse the provider (Google's page says so; a test saw x5c pass)."""
    allowed_issuers: frozenset[str] | None = None
    """The organization policy constraints/iam.workloadIdentityPoolProviders; None: not set."""
    lifetime_extension: frozenset[str] = frozenset()
    """E-mails under constraints/iam.allowServiceAccountCredentialLifetimeExtension."""
    universe: str = "googleapis.com"


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
    usable: bool = True
    """Neither disabled nor deleted. An unusable pool also ends the tokens it gave."""
    session_seconds: int | None = None

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
    usable: bool = True

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
    unique_id: str = ""
    policy: Policy = ()


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
    options: Options = Options()


def pool_from(name: str, resource: Mapping[str, Any]) -> Pool:
    """A pool from its REST resource. Raises Invalid."""
    _check_id(name)
    _check_texts(resource)
    return Pool(name, _usable(resource), _session_seconds(resource.get("sessionDuration")))


def provider_from(name: str, resource: Mapping[str, Any], options: Options) -> Provider:
    """A provider from its REST resource. Raises Invalid with Google's text."""
    _check_id(name)
    _check_texts(resource)
    oidc = resource["oidc"]
    issuer = oidc.get("issuerUri", "")
    _check_issuer(issuer, options)
    condition = resource.get("attributeCondition", "")
    mapping = compile_mapping(
        resource.get("attributeMapping", {}), condition, strict=options.strict_absent_claims
    )
    if issuer in _MULTI_TENANT_ISSUERS and "assertion." not in condition:
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
        _usable(resource),
    )


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
    seconds = text.removesuffix("s")
    if not text.endswith("s") or not seconds.isdecimal() or not 120 <= int(seconds) <= 43200:
        raise Invalid(
            "sessionDuration",
            "The session duration must be between 2 minutes and 12 hours.",
            'write seconds, "120s" to "43200s"',
        )
    return int(seconds)

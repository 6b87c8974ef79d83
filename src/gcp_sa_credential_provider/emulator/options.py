"""Choices: where Google's behaviour is a setting, is contradictory or was never measured.

Imports document. docs/emulator.md explains every key.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gcp_sa_credential_provider.emulator.document import Node

QUOTAS = {"sts": 6000, "generateAccessToken": 60_000, "iamReads": 600, "iamWrites": 60}
"""Requests a minute and project (Google, "Quotas and limits" of IAM)."""


@dataclass(frozen=True)
class IssuerFetch:
    """How issuers without uploaded keys are reached."""

    ca: str = ""
    """File of the CA certificates to trust; empty: the system's."""
    hosts: Mapping[str, str] = field(default_factory=dict)
    """Host name of an issuer to the HOST:PORT to connect to, in place of name resolution."""
    cache_seconds: int = 300


@dataclass(frozen=True)
class TokenRealm:
    """The emulator as token server of another registry (distribution's token authentication)."""

    service: str
    issuer: str


@dataclass(frozen=True)
class Options:
    """The emulator's options."""

    strict_absent_claims: bool = True
    """A custom attribute whose claim is absent refuses the exchange (else: is left out)."""
    strict_jwk_members: bool = True
    """Unknown members of a JWK refuse the provider (Google's page says so; a test saw x5c pass)."""
    allowed_issuers: frozenset[str] | None = None
    """The organization policy constraints/iam.workloadIdentityPoolProviders; None: not set."""
    lifetime_extension: frozenset[str] = frozenset()
    """E-mails under constraints/iam.allowServiceAccountCredentialLifetimeExtension."""
    universe: str = "googleapis.com"
    public_issuer_condition: bool = True
    """A provider of a public multi-tenant issuer needs a condition (reported, not for clusters)."""
    subject_token_max_seconds: int = 0
    """Longest exp - iat; 0: none, as measured (Google's pages say 24 or 48 hours)."""
    session_duration_lifts: bool = True
    """sessionDuration takes the place of the remaining life (else: can only shorten it)."""
    refuse_user_project: bool = False
    """`options.userProject` of a workload pool is refused (a client library says so)."""
    refuse_bearer_at_sts: bool = False
    """A Bearer header at STS is refused ("can make the call fail": STS discovery document)."""
    strict_registry_scopes: bool = False
    """A pull needs cloud-platform or a devstorage scope (else: any scope will do)."""
    pools_per_project: int = 0
    """0: no limit (published numbers disagree)."""
    providers_per_pool: int = 0
    propagation: bool = False
    """Changes take effect as late as was measured at Google (else: at once)."""
    operation_seconds: int = 0
    """How long a long-running operation runs."""
    quotas: Mapping[str, int] = field(default_factory=lambda: dict(QUOTAS))
    """Requests a minute and project, by kind; 0: no limit."""
    issuer_fetch: IssuerFetch | None = None
    """None: no issuer is ever contacted."""
    token_realm: TokenRealm | None = None


def options_from(node: Node) -> Options:
    """The options of a configuration. Raises ConfigError."""
    node.only(
        "absentCustomClaim",
        "unknownJwkMembers",
        "allowedIssuers",
        "lifetimeExtension",
        "universeDomain",
        "publicIssuerCondition",
        "subjectTokenMaxSeconds",
        "sessionDuration",
        "userProject",
        "bearerAtSts",
        "registryScopes",
        "poolsPerProject",
        "providersPerPool",
        "propagation",
        "operationSeconds",
        "quotas",
        "issuerFetch",
        "tokenRealm",
    )
    quotas = node.child("quotas")
    quotas.only(*QUOTAS)
    return Options(
        strict_absent_claims=node.choice("absentCustomClaim", "strict", "lenient") == "strict",
        strict_jwk_members=node.choice("unknownJwkMembers", "strict", "lenient") == "strict",
        allowed_issuers=(
            frozenset(node.texts("allowedIssuers")) if "allowedIssuers" in node.value else None
        ),
        lifetime_extension=frozenset(node.texts("lifetimeExtension")),
        universe=node.text("universeDomain", "googleapis.com"),
        public_issuer_condition=(
            node.choice("publicIssuerCondition", "required", "optional") == "required"
        ),
        subject_token_max_seconds=node.number("subjectTokenMaxSeconds", 0),
        session_duration_lifts=node.choice("sessionDuration", "lifts", "caps") == "lifts",
        refuse_user_project=node.choice("userProject", "ignored", "refused") == "refused",
        refuse_bearer_at_sts=node.choice("bearerAtSts", "ignored", "refused") == "refused",
        strict_registry_scopes=node.choice("registryScopes", "any", "storage") == "storage",
        pools_per_project=node.number("poolsPerProject", 0),
        providers_per_pool=node.number("providersPerPool", 0),
        propagation=node.choice("propagation", "none", "measured") == "measured",
        operation_seconds=node.number("operationSeconds", 0),
        quotas={kind: quotas.number(kind, default) for kind, default in QUOTAS.items()},
        issuer_fetch=_issuer_fetch(node),
        token_realm=_token_realm(node),
    )


def _issuer_fetch(node: Node) -> IssuerFetch | None:
    if "issuerFetch" not in node.value:
        return None
    fetch = node.child("issuerFetch")
    fetch.only("ca", "hosts", "cacheSeconds")
    hosts = fetch.child("hosts")
    return IssuerFetch(
        fetch.text("ca", ""),
        {host: hosts.text(host) for host in hosts.value},
        fetch.number("cacheSeconds", IssuerFetch.cache_seconds),
    )


def _token_realm(node: Node) -> TokenRealm | None:
    if "tokenRealm" not in node.value:
        return None
    realm = node.child("tokenRealm")
    realm.only("service", "issuer")
    return TokenRealm(realm.text("service"), realm.text("issuer", "gcp-sa-credential-provider"))

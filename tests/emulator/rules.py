"""What the emulator knows of Google: each rule, from where, and how sure that is.

Tests pin rules with `@pytest.mark.rule("ID", …)`; the table in docs/emulator.md is made of both.

    python tests/emulator/rules.py      writes the table anew, and docs/emulator-openapi.json
"""

import ast
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

TESTS = Path(__file__).parent
PAGE = TESTS.parents[1] / "docs" / "emulator.md"
OPENAPI = PAGE.with_name("emulator-openapi.json")
BEGIN, END = "<!-- rules: begin -->\n", "<!-- rules: end -->\n"

DISCOVERY = "STS discovery document (sts/v1)"
MESSAGES = "IAM v1 API messages"
MEASURED = "third parties against real Google, 2026-09-28"
TROUBLE = "Google: troubleshooting-workload-identity-federation"
OIDC = "Google: workload-identity-federation-with-other-providers"
OVERVIEW = "Google: workload-identity-federation"
QUOTAS = "Google: iam/quotas"
WIRE = "published transcripts of Artifact Registry"
OCI = "OCI distribution-spec v1.1"
REPORTED = "google-github-actions/auth issues 60, 202, 211, 370"


@dataclass(frozen=True)
class Rule:
    """One rule."""

    text: str
    status: Literal["measured", "documented", "reported", "assumed", "contradictory"]
    source: str


RULES: dict[str, Rule] = {
    # Security Token Service: the request
    "body-forms": Rule(
        "STS takes a form, JSON in camelCase and JSON in snake_case",
        "documented",
        "google-auth, google-github-actions/auth, kubernetes/cloud-provider-gcp",
    ),
    "parameters": Rule(
        "grant type, audience, scope, requested and subject token type are required; the wording"
        " of the refusals is assumed",
        "documented",
        DISCOVERY,
    ),
    "client-authentication": Rule(
        "client authentication by Basic or in the body is taken; whether a Bearer header makes the"
        " call fail is an option (`bearerAtSts`)",
        "documented",
        f"gcloud; {DISCOVERY}",
    ),
    "sts-options": Rule("limits of `options`; the wording is assumed", "documented", DISCOVERY),
    "user-project": Rule(
        "`userProject` is ignored for workload pools, or refused (option `userProject`)",
        "contradictory",
        "google-auth external_account.py",
    ),
    "algorithms": Rule("RS256 and ES256 with a `kid`", "documented", DISCOVERY),
    "skew": Rule("60 s of clock skew each way", "measured", MEASURED),
    "no-maximum-age": Rule(
        "exp - iat has no maximum; Google's pages say 24 and 48 hours (option"
        " `subjectTokenMaxSeconds`)",
        "contradictory",
        f"{MEASURED}; {OIDC}; {DISCOVERY}",
    ),
    # its answer
    "answer": Rule("members of the answer, opaque token", "documented", DISCOVERY),
    "expires-in": Rule(
        "`expires_in` is the remaining life less 2 s, at most 3599; absent with 2 s left; HTTP 500"
        " with 1 s left; 59 within the skew (assumed but for 59 s past)",
        "measured",
        MEASURED,
    ),
    "session-duration": Rule(
        "`sessionDuration`, 2 minutes to 12 hours, takes the place of the remaining life; that it"
        " can lengthen it was not measured (option `sessionDuration`)",
        "documented",
        MESSAGES,
    ),
    "introspect": Rule("/v1/introspect and its members", "documented", f"{DISCOVERY}; RFC 7662"),
    # its refusals
    "text-audience": Rule("text for an audience that is no provider's name", "reported", REPORTED),
    "text-target": Rule(
        "text for a provider or pool that is unknown, disabled or deleted", "measured", MEASURED
    ),
    "text-token-audience": Rule("text for a token of another audience", "measured", MEASURED),
    "text-issuer": Rule("issuer byte for byte, and its text", "measured", MEASURED),
    "text-stale": Rule("text for a token out of its time", "measured", MEASURED),
    "text-signature": Rule("a known kid with another key", "measured", MEASURED),
    "text-connecting": Rule(
        "one text for an issuer out of reach, an unknown kid, and alg or key type that do not fit",
        "measured",
        f"{MEASURED}; {TROUBLE}",
    ),
    "text-condition": Rule("text for a false condition", "measured", f"{MEASURED}; {TROUBLE}"),
    "text-subject": Rule("google.subject unmapped or absent", "reported", "users of Google"),
    "text-127": Rule("google.subject has at most 127 bytes", "documented", TROUBLE),
    "quota-sts": Rule("6000 exchanges a minute and project", "documented", f"{QUOTAS}; {TROUBLE}"),
    "service-disabled": Rule(
        "403 SERVICE_DISABLED in an API's form for STS, IAM and IAM Credentials",
        "reported",
        "users of Google",
    ),
    "no-jwt": Rule("text for a subject token that is no JWT", "assumed", "nothing published"),
    # configuration
    "config-texts": Rule(
        "texts of refused providers; those for lengths, counts and types are assumed",
        "measured",
        f"{MEASURED}; {MESSAGES}",
    ),
    "https-issuer": Rule("the issuer is an https URL; it need not resolve", "measured", MEASURED),
    "organization-policy": Rule(
        "constraints/iam.workloadIdentityPoolProviders", "documented", TROUBLE
    ),
    "key-types": Rule(
        "uploaded keys are RSA or P-256, with or without alg; Ed25519 has its own text",
        "measured",
        MEASURED,
    ),
    "eight-keys": Rule("at most 8 uploaded keys", "documented", f"{OIDC}; {MESSAGES}"),
    "jwk-members": Rule(
        "unknown members of an uploaded JWK are refused; a measurement saw x5c pass (option"
        " `unknownJwkMembers`)",
        "contradictory",
        f"{OIDC}; {MEASURED}",
    ),
    "public-issuers": Rule(
        "a public multi-tenant issuer needs a condition (option `publicIssuerCondition`)",
        "reported",
        "users of Google",
    ),
    "issuer-fetch": Rule(
        "without uploaded keys discovery and JWKS are fetched over a trusted TLS chain, any number"
        " of keys; caching is assumed",
        "documented",
        f"{OIDC}; {MESSAGES}",
    ),
    "default-audience": Rule(
        "no list: the provider's name with or without https:; a list turns that off; at most 10 of"
        " 256 characters",
        "measured",
        f"{MEASURED}; {MESSAGES}",
    ),
    "mapping-limits": Rule(
        "50 custom attributes, keys of 100, expressions of 2048, conditions of 4096 characters,"
        " 8 KB in all",
        "documented",
        MESSAGES,
    ),
    "cel": Rule(
        "CEL with assertion, google and attribute, the standard functions and extract()",
        "documented",
        f"{OVERVIEW}; Google: IAM Conditions attribute reference",
    ),
    "absent-claim": Rule(
        "a custom attribute whose claim is absent refuses the exchange, or is left out (option"
        " `absentCustomClaim`)",
        "contradictory",
        "users of Google",
    ),
    "ids": Rule("ids: 4 to 32 of a-z, 0-9, -, not gcp-", "documented", MESSAGES),
    "names": Rule("displayName 32, description 256 characters", "documented", MESSAGES),
    "counts": Rule(
        "pools per project and providers per pool: options, no limit by default",
        "contradictory",
        "published numbers disagree",
    ),
    # IAM v1
    "iam-create": Rule("create, get, patch, names by number", "documented", MESSAGES),
    "iam-operations": Rule("long-running operations", "documented", MESSAGES),
    "iam-update-mask": Rule(
        "patch by updateMask; an upload replaces all keys, an empty one ends it",
        "documented",
        f"{MESSAGES}; {OIDC}",
    ),
    "iam-soft-delete": Rule(
        "deleted for 30 days: no exchange, id held, undelete", "documented", MESSAGES
    ),
    "iam-lists": Rule("pages of 50, at most 100; showDeleted", "documented", MESSAGES),
    "quota-iam": Rule("600 reads and 60 writes a minute and project", "documented", QUOTAS),
    "provider-disabled": Rule(
        "a disabled provider ends new exchanges, not tokens", "measured", MEASURED
    ),
    "pool-disabled": Rule("a disabled pool ends its tokens too", "documented", MESSAGES),
    "propagation": Rule(
        "keys 5 s, disabling 1 s, grants 70 s, removals 90 s (option `propagation`, off)",
        "measured",
        MEASURED,
    ),
    "policies": Rule(
        "getIamPolicy, setIamPolicy and etags of repositories, projects and accounts",
        "documented",
        "API messages of Artifact Registry, Resource Manager and IAM",
    ),
    "service-accounts": Rule("service accounts: create, get, list", "documented", MESSAGES),
    "services": Rule(
        "Service Usage: get, list, enable and batchEnable; a disabled API refuses its calls",
        "documented",
        "Service Usage v1 API messages",
    ),
    "members": Rule(
        "principal and principalSet by subject, attribute, group and pool; number, no provider,"
        " one attribute, `/` as %2F",
        "documented",
        OVERVIEW,
    ),
    "everybody": Rule(
        "allAuthenticatedUsers leaves federated identities out",
        "documented",
        "Google: principal identifiers",
    ),
    "universe": Rule("another universe domain", "documented", "google-auth external_account.py"),
    # IAM Credentials
    "generate": Rule("generateAccessToken and its answer", "documented", MESSAGES),
    "generate-project": Rule(
        "the account is `projects/-/serviceAccounts/…`, and a project in place of `-` is refused;"
        " the wording of the refusal is assumed",
        "documented",
        "Google: iamcredentials v1",
    ),
    "generate-lifetime": Rule(
        "1 s to an hour, 12 hours by organization policy, and the texts", "measured", MEASURED
    ),
    "generate-grant": Rule("a missing grant and a missing account: one 403", "measured", MEASURED),
    "generate-scopes": Rule(
        '`[""]` is cloud-platform, unknown scopes are refused', "measured", MEASURED
    ),
    "generate-caller": Rule(
        "the caller's token: missing and invalid are 401, too narrow is 403",
        "documented",
        f"{TROUBLE}; Google: iamcredentials v1",
    ),
    "delegates": Rule("chains of delegates", "documented", "iamcredentials v1 API messages"),
    "quota-generate": Rule("60000 tokens a minute and project", "documented", QUOTAS),
    "audit": Rule(
        "audit log entries with the mapped principal",
        "documented",
        "Google: audit-logging/examples-workload-identity",
    ),
    # Artifact Registry
    "registry-users": Rule(
        "oauth2accesstoken and _token, at /v2/token by GET and POST, or as Basic and Bearer",
        "documented",
        "fluxcd/pkg, docker/login-action, kubernetes/cloud-provider-gcp",
    ),
    "registry-challenge": Rule(
        "401 with a realm, at a repository with service and scope too", "measured", WIRE
    ),
    "registry-anonymous": Rule("403 Unauthenticated request", "measured", WIRE),
    "registry-no-grant": Rule("403 Permission … denied, also for no repository", "measured", WIRE),
    "registry-absent": Rule("codes for images that are not there", "assumed", OCI),
    "registry-hosts": Rule(
        "LOCATION-docker.pkg.dev, and gcr.io hosts as repositories of their own",
        "documented",
        "Google: gcr-repositories",
    ),
    "registry-domain": Rule(
        "a project of a domain, example.com:my-project, is example.com/my-project in a path; that"
        " the form with the colon is 403 is assumed",
        "documented",
        "Google: Artifact Registry, repository and image names",
    ),
    "registry-scopes": Rule(
        "any scope of a token may pull (option `registryScopes`)", "assumed", "nothing published"
    ),
    "registry-image": Rule("a pull: manifests, blobs, HEAD, digests", "documented", OCI),
    "ranges": Rule("ranges of blobs", "documented", OCI),
    "tags": Rule("tags in pages", "documented", OCI),
    "push": Rule("uploads, mounts, manifests, indexes", "documented", OCI),
    "push-permission": Rule(
        "a push wants artifactregistry.repositories.uploadArtifacts",
        "documented",
        "Google: Artifact Registry access control",
    ),
    "token-realm": Rule(
        "tokens for another registry", "documented", "CNCF distribution: token authentication"
    ),
    # the emulator's own
    "faults": Rule("fault rules by path, count and probability", "documented", "this page"),
    "state": Rule("state that outlives the emulator", "documented", "this page"),
}


def pinned() -> dict[str, list[str]]:
    """Rule id to the tests that name it, `FILE::TEST`."""
    found: dict[str, list[str]] = {}
    for path in sorted(TESTS.glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                for rule in _marks(node):
                    found.setdefault(rule, []).append(f"{path.stem}::{node.name}")
    return found


def table() -> str:
    """The Markdown table of all rules."""
    tests = pinned()
    lines = ["| rule | status | source | tests |", "|---|---|---|---|"]
    for name, rule in RULES.items():
        named = " ".join(f"`{test}`" for test in tests.get(name, []))
        lines.append(f"| {rule.text} | {rule.status} | {rule.source} | {named} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The page's text with the table as it is now."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + table() + END + tail


def _marks(function: ast.FunctionDef) -> list[str]:
    return [
        argument.value
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call) and ast.unparse(decorator.func) == "pytest.mark.rule"
        for argument in decorator.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    ]


def main() -> None:
    """Write both documents."""
    from gcp_sa_credential_provider.emulator import openapi

    PAGE.write_text(page(PAGE.read_text()))
    OPENAPI.write_text(json.dumps(openapi.document(), indent=1) + "\n")


if __name__ == "__main__":
    main()

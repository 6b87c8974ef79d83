"""The Security Token Service: RFC 8693 token exchange as Google does it.

Imports the rule modules of this package. Request and answer: STS discovery document
(sts/v1). Texts: Google, "troubleshooting-workload-identity-federation", and third-party
measurements against real Google, 2026-09-28, which also gave `expires_in`.
"""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from gcp_sa_credential_provider.emulator import client_auth, received, subject_token
from gcp_sa_credential_provider.emulator.call import Call, Method
from gcp_sa_credential_provider.emulator.history import DISABLING_SECONDS, KEYS_SECONDS
from gcp_sa_credential_provider.emulator.issuers import FetchError
from gcp_sa_credential_provider.emulator.log import Entry
from gcp_sa_credential_provider.emulator.principals import Federated
from gcp_sa_credential_provider.emulator.rejection import ApiError, OAuthError, service_disabled
from gcp_sa_credential_provider.emulator.resources import Pool, Provider
from gcp_sa_credential_provider.emulator.state import Google
from gcp_sa_credential_provider.emulator.tokens import Issued

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a type's name
_SUBJECT_TOKEN_TYPES = (
    "urn:ietf:params:oauth:token-type:jwt",
    "urn:ietf:params:oauth:token-type:id_token",
)
_FORMATS = "https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token"
_OPTIONS = frozenset(["accessBoundary", "audiences", "userProject"])
_WORKLOAD = re.compile(
    r"projects/\d+/locations/global/workloadIdentityPools/[^/]+/providers/[^/]+", re.ASCII
)
_WORKFORCE = re.compile(r"locations/global/workforcePools/[^/]+/providers/[^/]+", re.ASCII)

THROTTLED = OAuthError(
    "quota_exceeded",
    "The request was throttled due to rate limit: sts.googleapis.com/requests. Please retry after"
    " a few seconds.",
    status=429,
)


def fields_of(body: bytes, content_type: str) -> tuple[dict[str, str], str]:
    """The request's fields in snake case, and the body's form: `form` or `json`.

    Clients in production send a form with snake_case, JSON with camelCase and JSON with
    snake_case. Raises OAuthError.
    """
    try:
        if content_type.partition(";")[0].strip().lower() == "application/json":
            pairs, form = list(received.loads(body).items()), "json"
        else:
            pairs, form = parse_qsl(body.decode(), strict_parsing=bool(body)), "form"
    except (ValueError, AttributeError, RecursionError) as error:
        raise OAuthError(
            "invalid_request", "The request body could not be parsed.", str(error)
        ) from error
    fields: dict[str, str] = {}
    for key, value in pairs:
        if value is None:
            continue  # JSON null is absence (protobuf's JSON mapping)
        name = re.sub(r"[A-Z]", lambda letter: f"_{letter[0].lower()}", key)
        if name in fields or not isinstance(value, str):
            raise OAuthError("invalid_request", f'Invalid value for "{name}".', "twice or no text")
        fields[name] = value
    return fields, form


async def exchange(google: Google, call: Call) -> dict[str, Any]:
    """Answer one exchange; the call's `entry` gets what the log should know.

    Raises OAuthError, or ApiError (HTTP 500 just before expiry, 403 for a disabled API).
    """
    entry = call.entry
    fields, entry["form"] = fields_of(call.body, call.content_type)
    options = google.resources.options
    client_auth.check(call.authorization, refuse_bearer=options.refuse_bearer_at_sts)
    _check_parameters(fields)
    _check_options(fields.get("options", ""), refuse_user_project=options.refuse_user_project)
    entry["audience"] = fields["audience"]
    provider, pool = _target(google, fields["audience"])
    project = google.resources.projects.get(pool.project)
    if project is not None and "sts.googleapis.com" in project.disabled_services:
        raise service_disabled("Security Token Service API", "sts.googleapis.com", pool.project)
    now = google.clock.now()
    if not google.quotas.take("sts", pool.project, options.quotas, now):
        raise THROTTLED
    entry |= _evidence(fields["subject_token"])
    signed, claims = subject_token.read(
        fields["subject_token"],
        issuer=provider.issuer,
        audiences=provider.audiences,
        now=now,
        max_seconds=options.subject_token_max_seconds,
    )
    keys = provider.keys
    if keys is None:
        kid = _text(signed.headers().get("kid"))
        try:
            keys = await google.issuers.keys(provider.issuer, kid, options.issuer_fetch, now)
        except FetchError as error:
            raise subject_token.unreachable(str(error)) from error
    subject_token.check_signature(signed, keys)
    mapped = provider.mapping.apply(claims)
    identity = Federated(
        pool.name, mapped.subject, mapped.attributes, mapped.groups, options.universe
    )
    entry["mapped_principal"] = identity.principal
    expires_in = expires_in_of(claims["exp"], now)
    if pool.session_seconds and options.session_duration_lifts:
        expires_in = pool.session_seconds
    elif pool.session_seconds and expires_in is not None:
        expires_in = min(expires_in, pool.session_seconds)
    lifetime = expires_in if expires_in is not None else claims["exp"] - now
    token = google.access_tokens.issue(
        Issued(identity, frozenset(fields["scope"].split()), now + lifetime, now), now
    )
    answer = {
        "access_token": token,
        "issued_token_type": ACCESS_TOKEN_TYPE,
        "token_type": "Bearer",
    }
    return answer if expires_in is None else {**answer, "expires_in": expires_in}


def introspect(google: Google, call: Call) -> dict[str, Any]:
    """Answer `/v1/introspect` (RFC 7662). Raises OAuthError."""
    fields, call.entry["form"] = fields_of(call.body, call.content_type)
    client_auth.check(
        call.authorization, refuse_bearer=google.resources.options.refuse_bearer_at_sts
    )
    if not fields.get("token"):
        raise OAuthError("invalid_request", 'The parameter "token" is required.')
    if fields.get("token_type_hint", ACCESS_TOKEN_TYPE) != ACCESS_TOKEN_TYPE:
        raise OAuthError("invalid_request", 'Invalid value for "token_type_hint".')
    issued = google.token(fields["token"])
    if issued is None or issued.identity is None:
        return {"active": False}
    call.entry["principal"] = issued.identity.principal
    federated = isinstance(issued.identity, Federated)
    return {
        "active": True,
        "client_id": client_auth.client_id(call.authorization) or "",
        "exp": str(int(issued.expires_at)),
        "iat": str(int(issued.issued_at)),
        "iss": f"https://sts.{google.resources.options.universe}/",
        "scope": " ".join(sorted(issued.scopes)),
        "sub": issued.identity.principal.rpartition("/subject/" if federated else ":")[2],
        "username": issued.identity.principal
        if federated
        else issued.identity.principal.removeprefix("serviceAccount:"),
    }


def expires_in_of(exp: float, now: float) -> int | None:
    """Seconds, or None where the field is absent. Raises ApiError 500.

    As measured: remaining life less 2 s, at most 3599 (a token of 3600 s gave 3598, longer ones
    3599); absent with 2 s left; HTTP 500 with 1 s; 59 for a token that expired 59 s ago, which is
    assumed to hold for the whole skew.
    """
    left = int(exp) - int(now)
    if left < 0:
        return subject_token.SKEW - 1
    if left < 2:
        raise ApiError(500, "Internal error encountered.", f"{left} s left")
    return min(left - 2, 3599) or None


def _check_parameters(fields: Mapping[str, str]) -> None:
    if fields.get("grant_type") != GRANT_TYPE:
        raise OAuthError(
            "unsupported_grant_type", f'Invalid value for "grant_type". It must be {GRANT_TYPE}.'
        )
    for name in ("audience", "scope", "requested_token_type", "subject_token"):
        if not fields.get(name):
            raise OAuthError("invalid_request", f'The parameter "{name}" is required.')
    if fields["requested_token_type"] != ACCESS_TOKEN_TYPE:
        raise OAuthError("invalid_request", 'Invalid value for "requested_token_type".')
    if fields.get("subject_token_type") not in _SUBJECT_TOKEN_TYPES:
        raise OAuthError("invalid_request", 'Invalid value for "subject_token_type".')


def _check_options(text: str, *, refuse_user_project: bool) -> None:
    """`options`, a JSON object as text; google-auth quotes it once more for its form.

    Limits: STS discovery document (Options).
    """
    if not text:
        return
    try:
        options = json.loads(text if text.startswith("{") else unquote(text))
    except (ValueError, RecursionError):
        options = None
    if not isinstance(options, dict) or not options.keys() <= _OPTIONS:
        raise OAuthError("invalid_request", 'Invalid value for "options".', f"not {_OPTIONS}")
    boundary = options.get("accessBoundary", {})
    rules = boundary.get("accessBoundaryRules", []) if isinstance(boundary, dict) else None
    audiences = options.get("audiences", [])
    user_project = options.get("userProject", "")
    if (
        not isinstance(rules, list)
        or len(rules) > 10
        or len(json.dumps(boundary, separators=(",", ":"))) > 2048
        or not isinstance(audiences, list)
        or len(audiences) > 5
        or any(len(str(audience)) > 262 for audience in audiences)
        or len(str(user_project)) > 32
        or (refuse_user_project and user_project)
    ):
        raise OAuthError("invalid_request", 'Invalid value for "options".', "beyond its limits")


def _target(google: Google, audience: str) -> tuple[Provider, Pool]:
    resources = google.settled(KEYS_SECONDS)
    abled = google.settled(DISABLING_SECONDS)
    prefix = f"//iam.{resources.options.universe}/"
    name = audience.removeprefix(prefix)
    if name == audience or not (_WORKLOAD.fullmatch(name) or _WORKFORCE.fullmatch(name)):
        raise OAuthError(
            "invalid_request",
            'Invalid value for "audience". This value should be the full resource name of the'
            f" Identity Provider. See {_FORMATS} for the list of possible formats.",
        )
    provider = resources.providers.get(name)
    pool = resources.pools.get(provider.pool) if provider else None
    current = (abled.providers.get(name), abled.pools.get(name.rpartition("/providers/")[0]))
    if provider is None or pool is None or not all(entry and entry.usable for entry in current):
        raise OAuthError(
            "invalid_target",
            'The target service indicated by the "audience" parameters is invalid. This might'
            " either be because the pool or provider is disabled or deleted or because it doesn't"
            " exist.",
            f"{name} is {'disabled or deleted' if provider else 'unknown'}",
        )
    return provider, pool


def _evidence(token: str) -> Entry:
    """Unverified marks of the token for the log; never its signature."""
    try:
        signed = subject_token.parsed(token)
        claims = subject_token.claims_of(signed)
    except OAuthError:
        return {}
    return {
        "kid": _text(signed.headers().get("kid")),
        "issuer": _text(claims.get("iss")),
        "subject": _text(claims.get("sub")),
    }


def _text(value: Any) -> str | None:
    """A text; None for whatever else a stranger wrote there."""
    return value if isinstance(value, str) else None


METHODS = (
    Method(
        "POST",
        "/v1/token",
        "sts.token",
        exchange,
        request="ExchangeTokenRequest",
        response="ExchangeTokenResponse",
    ),
    Method(
        "POST",
        "/v1/introspect",
        "sts.introspect",
        introspect,
        request="IntrospectTokenRequest",
        response="IntrospectTokenResponse",
    ),
)

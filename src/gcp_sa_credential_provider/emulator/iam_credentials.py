"""IAM Service Account Credentials: `generateAccessToken`.

Imports state and rejection. Request and answer: IAM Credentials v1 API messages. Texts and limits
of the lifetime: third-party measurements against real Google, 2026-09-28.
"""

import re
from datetime import UTC, datetime
from typing import Any

from gcp_sa_credential_provider.emulator import received
from gcp_sa_credential_provider.emulator.call import Call, Method
from gcp_sa_credential_provider.emulator.principals import Identity, ServiceAccountIdentity
from gcp_sa_credential_provider.emulator.rejection import (
    ApiError,
    error_info,
    quota_exceeded,
    service_disabled,
)
from gcp_sa_credential_provider.emulator.resources import ServiceAccount
from gcp_sa_credential_provider.emulator.state import Google
from gcp_sa_credential_provider.emulator.tokens import Issued

_SERVICE = "iamcredentials.googleapis.com"
_PERMISSION = "iam.serviceAccounts.getAccessToken"
_SCOPE_PREFIX = "https://www.googleapis.com/auth/"
_CLOUD_PLATFORM = f"{_SCOPE_PREFIX}cloud-platform"
_CALLER_SCOPES = frozenset([_CLOUD_PLATFORM, f"{_SCOPE_PREFIX}iam"])
_EXPECTED = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. See"
    " https://developers.google.com/identity/sign-in/web/devconsole-project."
)
DEFAULT_SECONDS = 3600
EXTENDED_SECONDS = 43200


def generate_access_token(google: Google, call: Call) -> dict[str, str]:
    """Answer one request; the account is an e-mail or a unique id. Raises ApiError."""
    entry, account = call.entry, call.params["account"]
    authorization, body = call.authorization, call.body
    caller = _caller(google, authorization)
    assert caller.identity is not None  # noqa: S101  only registry tokens are anonymous
    entry["principal"] = caller.identity.principal
    entry["account"] = account
    if call.params["project"] != "-":
        reason = f"project {call.params['project']}, and only - is taken"
        raise ApiError(400, "Request contains an invalid argument.", reason)
    request = _request(body)
    scopes = _scopes(request.get("scope"))
    seconds = _seconds(request.get("lifetime", f"{DEFAULT_SECONDS}s"))
    if caller.scopes.isdisjoint(_CALLER_SCOPES):
        raise ApiError(
            403,
            "Request had insufficient authentication scopes.",
            details=[error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT", _SERVICE)],
        )
    identity = caller.identity
    for delegate in _delegates(request.get("delegates", [])):
        identity = ServiceAccountIdentity(_become(google, identity, delegate).email)
    target = _become(google, identity, account)
    project = google.resources.projects[target.project]
    if _SERVICE in project.disabled_services:
        raise service_disabled("IAM Service Account Credentials API", _SERVICE, project.number)
    quotas = google.resources.options.quotas
    if not google.quotas.take("generateAccessToken", project.number, quotas, google.clock.now()):
        raise quota_exceeded("Generate credentials requests", _SERVICE, project.number)
    if seconds > _longest(google, target):
        raise ApiError(
            400,
            "can not have lifetimes of more than 1 hour. Use the Org Policy Constraint"
            " constraints/iam.allowServiceAccountCredentialLifetimeExtension to allow up to 12"
            " hours.",
        )
    now = google.clock.now()
    expires_at = int(now) + seconds
    token = google.access_tokens.issue(
        Issued(ServiceAccountIdentity(target.email), scopes, expires_at, now), now
    )
    expire_time = datetime.fromtimestamp(expires_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"accessToken": token, "expireTime": expire_time}


def _caller(google: Google, authorization: str) -> Issued:
    scheme, _, token = authorization.partition(" ")
    if not token:
        raise ApiError(
            401,
            f"Request is missing required authentication credential. {_EXPECTED}",
            details=[error_info("CREDENTIALS_MISSING", _SERVICE)],
        )
    issued = google.token(token.strip()) if scheme.lower() == "bearer" else None
    if issued is None:
        raise ApiError(
            401,
            f"Request had invalid authentication credentials. {_EXPECTED}",
            details=[error_info("ACCESS_TOKEN_TYPE_UNSUPPORTED", _SERVICE)],
        )
    return issued


def _become(google: Google, identity: Identity, name: str) -> ServiceAccount:
    """The account, if the identity may get its tokens."""
    account = google.resources.service_accounts.get(name)
    if account is None or not google.allows(account, _PERMISSION, identity):
        raise ApiError(
            403,
            f"Permission '{_PERMISSION}' denied on resource (or it may not exist).",
            f"{identity.principal} has no role with {_PERMISSION} on {name}"
            if account
            else f"{name} does not exist",
            [error_info("IAM_PERMISSION_DENIED", _SERVICE, permission=_PERMISSION)],
        )
    return account


def _longest(google: Google, account: ServiceAccount) -> int:
    extended = account.email in google.resources.options.lifetime_extension
    return EXTENDED_SECONDS if extended else DEFAULT_SECONDS


def _request(body: bytes) -> dict[str, Any]:
    try:
        request = received.loads(body)
    except (ValueError, RecursionError):
        request = None
    if not isinstance(request, dict):
        raise ApiError(400, "Invalid JSON payload received.")
    for key in request:
        if key not in ("scope", "lifetime", "delegates"):
            raise ApiError(
                400, f'Invalid JSON payload received. Unknown name "{key}": Cannot find field.'
            )
    # JSON null is absence (protobuf's JSON mapping); google-auth sends "delegates": null.
    return {key: value for key, value in request.items() if value is not None}


def _scopes(value: Any) -> frozenset[str]:
    """`[""]` means cloud-platform, a scope that does not exist is refused (both measured)."""
    if not isinstance(value, list) or not value:
        raise ApiError(400, "Scope required.")
    if value == [""]:
        return frozenset([_CLOUD_PLATFORM])
    if not all(isinstance(scope, str) and _known(scope) for scope in value):
        raise ApiError(400, "Request contains an invalid argument.", f"scope {value}")
    return frozenset(value)


def _known(scope: str) -> bool:
    """Google's own scopes, and those of OpenID Connect, which gcloud asks for."""
    return scope.startswith(_SCOPE_PREFIX) or scope in ("openid", "email", "profile")


def _seconds(value: Any) -> int:
    """A google.protobuf.Duration in JSON; fractions are cut off."""
    duration = (
        re.fullmatch(r"(-?\d{1,12})(\.\d{1,9})?s", value, re.ASCII)
        if isinstance(value, str)
        else None
    )
    if duration is None:
        raise ApiError(
            400, "Invalid value at 'lifetime' (type.googleapis.com/google.protobuf.Duration)"
        )
    if (seconds := int(duration[1])) <= 0:
        raise ApiError(400, "Lifetime of access token must be larger then zero.")
    return seconds


def _delegates(value: Any) -> list[str]:
    names = value if isinstance(value, list) else [None]
    accounts = []
    for name in names:
        match = re.fullmatch(r"projects/-/serviceAccounts/([^/]+)", str(name))
        if match is None:
            raise ApiError(400, "Invalid form of delegate name.", f"delegates {value}")
        accounts.append(match[1])
    return accounts


METHODS = (
    Method(
        "POST",
        "/v1/projects/{project}/serviceAccounts/{account}:generateAccessToken",
        "iamcredentials.projects.serviceAccounts.generateAccessToken",
        generate_access_token,
        request="GenerateAccessTokenRequest",
        response="GenerateAccessTokenResponse",
    ),
)

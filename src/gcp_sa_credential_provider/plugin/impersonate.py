"""Federated token -> access token of a Google service account (IAM Credentials API, v1)."""

import time

from gcp_sa_credential_provider.plugin import jsonc
from gcp_sa_credential_provider.plugin.dates import rfc3339
from gcp_sa_credential_provider.plugin.deadline import Progress
from gcp_sa_credential_provider.plugin.exchange import (
    HEADERS,
    Grant,
    google_error,
    lifetime,
    read_object,
    read_token,
)
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.http import Answer, Service, post
from gcp_sa_credential_provider.plugin.token import Claims

_PERMISSION = "iam.serviceAccounts.getAccessToken"


def impersonate(
    service: Service,
    account: str,
    scope: str,
    seconds: int,
    federated: Grant,
    claims: Claims,
    progress: Progress,
) -> Grant:
    """Ask for a token of `account` that lives for `seconds`. Raises Failure IAM-* or ANSWER-*."""
    path = f"/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
    body = jsonc.dumps({"scope": scope.split(), "lifetime": f"{seconds}s"}).encode("ascii")
    headers = {**HEADERS, "Authorization": f"Bearer {federated.token}"}

    def refused(answer: Answer) -> Failure:
        return _refusal(answer, read_object(answer, service), account, seconds, claims)

    before = time.monotonic()
    answer = post(service, path, headers, body, refused, progress)
    if answer.status != 200:
        raise refused(answer)
    document = read_object(answer, service)
    token = read_token(document, "accessToken", service)
    expire_time = document.get("expireTime")
    expires = rfc3339(expire_time) if isinstance(expire_time, str) else None
    if expires is None or answer.date is None:
        # Without Google's own clock beside it the time says nothing: the node's is not trusted.
        return Grant(token=token, lifetime=None)
    return Grant(token=token, lifetime=lifetime(min(seconds, expires - answer.date), before))


def _refusal(
    answer: Answer, document: "dict[str, object]", account: str, seconds: int, claims: Claims
) -> Failure:
    kind, text = google_error(document)
    if kind == "SERVICE_DISABLED":
        code = "IAM-DISABLED"
    elif answer.status == 429:
        code = "IAM-QUOTA"
    elif answer.status >= 500 or answer.status == 408:
        code = "IAM-UNAVAILABLE"
    elif answer.status == 400 and "lifetime" in text:
        code = "IAM-LIFETIME"
    elif answer.status == 403 and _PERMISSION in text:
        code = "IAM-DENIED"
    else:  # any other 403 is a policy, a perimeter, a bill: a grant would not help
        code = {401: "IAM-TOKEN", 404: "IAM-ACCOUNT"}.get(answer.status, "IAM-REFUSED")
    return Failure(
        code,
        status=answer.status,
        error=kind,
        text=text,
        account=account,
        seconds=seconds,
        claims=claims,
    )

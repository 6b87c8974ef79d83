"""ServiceAccount token -> federated access token at Google's Security Token Service (RFC 8693).

| answer | outcome |
|---|---|
| 200 with an access token | Grant |
| a known refusal of STS | Failure of that refusal, with the token's claims as evidence |
| any other JSON | STS-REFUSED, Google's words quoted |
| 408, 429, 5xx | tried again by http.post; then STS-QUOTA or STS-UNAVAILABLE |
| a redirect, HTML, no JSON | ANSWER-REDIRECT, ANSWER-HTML, ANSWER-NOT-JSON: this is not Google |

Rules: discovery document of the Security Token Service API, v1; refusals as Google words them
(IAM documentation, "Troubleshoot Workload Identity Federation").
"""

import time

from gcp_sa_credential_provider.plugin import jsonc
from gcp_sa_credential_provider.plugin.deadline import Progress
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.http import Answer, Service, post
from gcp_sa_credential_provider.plugin.names import only
from gcp_sa_credential_provider.plugin.token import Claims
from gcp_sa_credential_provider.plugin.value import Value
from gcp_sa_credential_provider.version import VERSION

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "User-Agent": f"gcp-sa-credential-provider/{VERSION}",
}
LONGEST_TOKEN = 12288  # bytes; STS says that the size may change, up to this
LONGEST_LIFETIME = 43200  # seconds; no token of Google's lives longer

# Beginnings of `error_description`, with the code of `error` where that alone decides.
REFUSALS = (
    ("", "invalid_target", "STS-TARGET"),
    ("", "quota_exceeded", "STS-QUOTA"),
    ('Invalid value for "audience"', "", "STS-AUDIENCE-FORMAT"),
    ("The audience in ID Token", "", "STS-AUDIENCE"),
    ("The issuer in ID Token", "", "STS-ISSUER"),
    ("ID Token issued at", "", "STS-STALE"),
    ("Unable to verify the ID Token signature", "", "STS-SIGNATURE"),
    ("Error connecting to the given credential's issuer", "", "STS-ISSUER-KEYS"),
    ("The given credential is rejected by the attribute condition", "", "STS-CONDITION"),
    ("Could not obtain a value for google.subject", "", "STS-SUBJECT"),
    ("The size of mapped attribute", "", "STS-SUBJECT-SIZE"),
)


class Grant(Value):
    """An access token: a secret. `lifetime` in seconds from the answer on, None where untold."""

    token: str
    lifetime: "int | None"


def exchange(
    service: Service, audience: str, token: str, claims: Claims, progress: Progress
) -> Grant:
    """Exchange the ServiceAccount token. Raises Failure, see the table above."""
    body = jsonc.dumps(
        {
            "grantType": "urn:ietf:params:oauth:grant-type:token-exchange",
            "audience": audience,
            "scope": SCOPE,
            "requestedTokenType": "urn:ietf:params:oauth:token-type:access_token",
            "subjectTokenType": "urn:ietf:params:oauth:token-type:jwt",
            "subjectToken": token,
        }
    ).encode("ascii")

    def refused(answer: Answer) -> Failure:
        return _refusal(answer, read_object(answer, service), audience, claims)

    before = time.monotonic()
    answer = post(service, "/v1/token", HEADERS, body, refused, progress)
    if answer.status != 200:
        raise refused(answer)
    document = read_object(answer, service)
    access_token = read_token(document, "access_token", service)
    return Grant(token=access_token, lifetime=lifetime(document.get("expires_in"), before))


def lifetime(seconds: object, before: float) -> "int | None":
    """The seconds left of a lifetime that began at `before` on the monotonic clock, or later."""
    if isinstance(seconds, str) and only("0123456789", seconds) and len(seconds) < 10:
        seconds = int(seconds)
    if type(seconds) is not int:
        return None
    return min(seconds, LONGEST_LIFETIME) - int(time.monotonic() - before + 0.999)


def read_object(answer: Answer, service: Service) -> "dict[str, object]":
    """The answer's JSON object. Raises Failure ANSWER-* for what cannot be Google's."""
    address = service.endpoint.address
    if 300 <= answer.status < 400:
        raise Failure("ANSWER-REDIRECT", address=address, status=answer.status)
    try:
        document = jsonc.loads(answer.body)
        reason = "" if isinstance(document, dict) else "not an object"
    except jsonc.NotJson as error:
        document, reason = None, str(error)
    if isinstance(document, dict):
        return document
    if answer.status in (408, 429) or answer.status >= 500:
        return {}  # the status says enough; what stands before Google has its own words
    text = answer.body[:512].decode("utf-8", "replace")
    html = text.lstrip()[:1] == "<" or answer.content_type == "text/html"
    if answer.status < 300:
        # It may be Google's own, spoilt on its way: its token is in no list of what is masked.
        text = f"not shown, {len(answer.body)} bytes that may hold a token"
    raise Failure(
        "ANSWER-HTML" if html else "ANSWER-NOT-JSON",
        address=address,
        status=answer.status,
        reason=reason,
        answer=text,
    )


def read_token(document: "dict[str, object]", field: str, service: Service) -> str:
    """A token that may go into JSON and headers. Raises Failure ANSWER-FIELD."""
    token = document.get(field)
    if (
        isinstance(token, str)
        and 0 < len(token) <= LONGEST_TOKEN
        and token.isascii()
        and token.isprintable()
        and " " not in token
    ):
        return token
    raise Failure("ANSWER-FIELD", address=service.endpoint.address, field=field)


def google_error(document: "dict[str, object]") -> "tuple[str, str]":
    """Status and message of an error, in the shape of OAuth or of Google's APIs (AIP-193)."""
    error = document.get("error")
    if isinstance(error, dict):
        kind, text = error.get("status"), error.get("message")
        details = error.get("details")
        for detail in details if isinstance(details, list) else ():
            if isinstance(detail, dict) and detail.get("reason") == "SERVICE_DISABLED":
                kind = "SERVICE_DISABLED"
    else:
        kind, text = error, document.get("error_description")
    text = text if isinstance(text, str) else ""
    if "has not been used in project" in text:
        kind = "SERVICE_DISABLED"
    return kind if isinstance(kind, str) else "no error code", text


def _refusal(
    answer: Answer, document: "dict[str, object]", audience: str, claims: Claims
) -> Failure:
    kind, text = google_error(document)
    code = "STS-REFUSED"
    if kind == "SERVICE_DISABLED":
        code = "STS-DISABLED"
    elif answer.status == 429:
        code = "STS-QUOTA"
    elif answer.status >= 500 or answer.status == 408:
        code = "STS-UNAVAILABLE"
    else:
        for beginning, error, known in REFUSALS:
            if text.startswith(beginning) and error in ("", kind):
                code = known
                break
    return Failure(
        code,
        status=answer.status,
        error=kind,
        text=text,
        provider=audience,
        claims=claims,
        clock=answer.date,
    )

"""What must hold for any bytes on stdin and for any answer of Google: the fuzz targets.

Imports the plugin. `request` runs the whole plugin over pipes, with the two calls of Google left
out; `answer` runs these two calls over a connected socket whose other end sends the bytes. The
words `$TOKEN` and `$GRANT` in the bytes stand for the two secrets that are at stake there, so that
a mutation can echo them. A target returns nothing; a broken promise is an AssertionError.
"""

import base64
import json
import os
import re
import socket
from collections.abc import Callable
from unittest.mock import patch

from gcp_sa_credential_provider.plugin import http, impersonate
from gcp_sa_credential_provider.plugin.connect import Socket, parse_endpoint
from gcp_sa_credential_provider.plugin.deadline import Deadline, Progress
from gcp_sa_credential_provider.plugin.exchange import LONGEST_LIFETIME, Grant, exchange
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.host import Host
from gcp_sa_credential_provider.plugin.line import explain
from gcp_sa_credential_provider.plugin.messages import MESSAGES
from gcp_sa_credential_provider.plugin.response import cache_seconds, document
from gcp_sa_credential_provider.plugin.run import Attempt, run
from gcp_sa_credential_provider.plugin.tls import TrustStore
from gcp_sa_credential_provider.plugin.token import read_claims

Target = Callable[[bytes], None]

LARGEST_INPUT = 32768  # bytes; a pipe and a socket's buffer hold it, so nothing blocks

_AUDIENCE = (
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/k8s-pool"
    "/providers/k8s-test"
)
_ENVIRONMENT = {
    "GCP_AUDIENCE": _AUDIENCE,
    "GCP_SERVICE_ACCOUNT_ANNOTATION": "account",
    "GCP_LOG": "off",
}
_DURATION = re.compile(r"(0|[1-9][0-9]*)s")
_WINDOW = 8  # characters in a row of a secret that may nowhere be shown
# Decided before the token is looked at, which therefore cannot be masked in what they quote.
_BEFORE_THE_TOKEN = ("REQUEST-KIND", "REQUEST-VERSION", "REQUEST-IMAGE")


def _part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


# Signed by nobody. No run of its characters stands in the plugin's own texts.
TOKEN = ".".join(
    (
        _part({"alg": "RS256", "kid": "Q7vXw2Zk9Tb4"}),
        _part({"iss": "https://issuer.test", "sub": "system:serviceaccount:demo:puller"}),
        "hJ3vQzXk9WmT5rYbN8cL2dFgP6sAeU4iKoV7xB1yZqMwRtH0jC",
    )
)
GRANT = "ya29.d.Kj8Hx2Lq5Vn9Rw3Tz6Yc1Fb4Gm7Ps0Dk"


def _with_secrets(data: bytes) -> bytes:
    filled = data.replace(b"$TOKEN", TOKEN.encode()).replace(b"$GRANT", GRANT.encode())
    return filled[:LARGEST_INPUT]


def _shows(line: str, secret: str) -> bool:
    return any(secret[at : at + _WINDOW] in line for at in range(len(secret) - _WINDOW + 1))


def _check_line(line: str, code: str, secrets: list[str]) -> None:
    """One line, whole, printable, with its fix, without a secret."""
    assert line.startswith(f"gcp-sa-credential-provider: [{code}] ")
    assert line.endswith(f". Fix: {MESSAGES[code].fix}")
    assert len(line) <= 1023
    assert line.isascii()
    assert line.isprintable()
    assert not any(_shows(line, secret) for secret in secrets)


def _check_response(data: bytes, password: str) -> None:
    """One document that the kubelet takes."""
    response = json.loads(data)
    assert response["kind"] == "CredentialProviderResponse"
    assert response["apiVersion"] == "credentialprovider.kubelet.k8s.io/v1"
    assert response["cacheKeyType"] == "Global"
    assert _DURATION.fullmatch(response["cacheDuration"])
    assert {entry["password"] for entry in response["auth"].values()} == {password}


def _over_pipes(stdin: bytes) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr of one run."""
    (in_read, in_write), (out_read, out_write), (err_read, err_write) = (
        os.pipe(),
        os.pipe(),
        os.pipe(),
    )
    late: list[int] = []
    os.write(in_write, stdin)
    os.close(in_write)
    code = run(
        Host(
            environment=_ENVIRONMENT,
            stdin=in_read,
            stdout=out_write,
            stderr=err_write,
            exit=late.append,
        )
    )
    if code:
        os.close(out_write)  # else the plugin has: nothing may follow a response
    os.close(in_read)
    os.close(err_write)
    with os.fdopen(out_read, "rb") as out, os.fdopen(err_read, "rb") as err:
        outcome = code, out.read(), err.read()
    assert late == []
    return outcome


def request(data: bytes) -> None:
    """Any bytes on stdin: a response and exit 0, or one line and exit 2."""
    stdin = _with_secrets(data)
    # The network is the other target's: here Google always says yes.
    with patch.object(Attempt, "obtain", lambda *_: Grant(token=GRANT, lifetime=3598)):
        code, stdout, stderr = _over_pipes(stdin)
    if code == 0:
        assert stderr == b""
        asked = json.loads(stdin)
        assert isinstance(asked["image"], str)
        assert asked["serviceAccountToken"].count(".") == 2
        _check_response(stdout, GRANT)
        return
    line = stderr.decode("ascii")
    error = line.partition("[")[2].partition("]")[0]
    assert (code, stdout) == (2, b"")
    assert error.startswith(("REQUEST-", "IMAGE-", "ACCOUNT-"))
    unknown = error in _BEFORE_THE_TOKEN or not _is_token_of(stdin)
    _check_line(line, error, [] if unknown else [TOKEN])


def _is_token_of(stdin: bytes) -> bool:
    """Whether the secret is what the document has as its token."""
    try:
        asked = json.loads(stdin)
    except (ValueError, RecursionError):
        return False
    return isinstance(asked, dict) and asked.get("serviceAccountToken") == TOKEN


def answer(data: bytes) -> None:
    """Any answer to the two calls: a token to use, or a Failure that is fit to be shown."""
    sent = _with_secrets(data)
    claims = read_claims(TOKEN)
    federated = Grant(token=GRANT, lifetime=3598)
    service = http.Service(
        endpoint=parse_endpoint("http://127.0.0.1:1"), proxy=None, store=TrustStore("", "")
    )
    for call in (
        lambda progress: exchange(service, _AUDIENCE, TOKEN, claims, progress),
        lambda progress: impersonate.impersonate(
            service, "1234567890", "scope", 3600, federated, claims, progress
        ),
    ):
        _check_call(call, sent)


def _check_call(call: Callable[[Progress], Grant], sent: bytes) -> None:
    near, far = socket.socketpair()
    # One try: a second would find nothing to read, after a pause.
    with far, patch.multiple(http, TRIES=1, _connect=lambda *_: Socket(fileno=near.detach())):
        far.sendall(sent)
        far.shutdown(socket.SHUT_WR)
        try:
            grant = call(Progress(Deadline(30)))
        except Failure as failure:
            code, line = failure.code, explain(failure, [TOKEN, GRANT], 1)
        else:
            _check_grant(grant)
            return
    assert code.startswith(("STS-", "IAM-", "ANSWER-"))
    _check_line(line, code, [TOKEN, GRANT])


def _check_grant(grant: Grant) -> None:
    assert grant.lifetime is None or grant.lifetime <= LONGEST_LIFETIME
    seconds = cache_seconds(grant.lifetime)
    _check_response(document(["gcr.io"], grant.token, "Global", seconds), grant.token)


TARGETS: dict[str, Target] = {"request": request, "answer": answer}

"""A Failure as the one line of stderr: complete, printable, short, and without secrets.

The kubelet copies it into its log: at most 1024 bytes, no control characters, the fix never cut.
"""

import time

from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.messages import MESSAGES
from gcp_sa_credential_provider.plugin.text import moment, printable, redact
from gcp_sa_credential_provider.plugin.token import Claims

NAME = "gcp-sa-credential-provider"
LONGEST = 1024  # bytes, with a newline that a terminal gets
_LONGEST_PIECE = 200  # characters of one piece of evidence


class _Pieces(dict[str, str]):
    """A line is written even where a placeholder has no evidence."""

    def __missing__(self, key: str) -> str:
        return "MISSING"


def pieces(failure: Failure, secrets: "list[str]") -> "dict[str, str]":
    """The evidence as printable texts; the token's claims and the clocks taken apart."""
    evidence = dict(failure.evidence)
    now = int(time.time())
    evidence["now"] = moment(now)
    claims = evidence.pop("claims", None)
    if isinstance(claims, Claims):
        evidence.update(
            issuer=claims.issuer,
            subject=claims.subject,
            audience=claims.audience,
            kid=claims.key_id,
            alg=claims.algorithm,
            issued=moment(claims.issued_at),
            expires=moment(claims.expires_at),
            namespace=claims.namespace,
        )
    clock = evidence.pop("clock", None)
    google = clock if isinstance(clock, int) else None
    evidence["google"] = moment(google)
    evidence["skew"] = _skew(now, google)
    texts = _Pieces()
    for key, value in evidence.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        texts[key] = printable(redact(text[:1024], secrets), _LONGEST_PIECE)
    return texts


def _skew(now: int, clock: "int | None") -> str:
    if clock is None:
        return moment(now)
    ahead = now - clock
    if abs(ahead) <= 1:
        return "in step with it"
    return f"{abs(ahead)} s {'ahead' if ahead > 0 else 'behind'}"


def explain(failure: Failure, secrets: "list[str]", tries: int) -> str:
    """The line, without its newline. `secrets` are masked in whatever the evidence quotes."""
    message = MESSAGES[failure.code]
    what = message.what.format_map(pieces(failure, secrets))
    tried = f" ({tries} tries)" if tries > 1 else ""
    head, tail = f"{NAME}: [{failure.code}] ", f"{tried}. Fix: {message.fix}"
    return head + printable(what, LONGEST - 1 - len(head) - len(tail)) + tail

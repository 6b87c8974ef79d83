"""Google's limits, each with its unit and where it is published.

Imports nothing. IAMMSG: IAM v1 API messages WorkloadIdentityPool and WorkloadIdentityPoolProvider.
"""

SUBJECT_BYTES = 127
"""Of `google.subject` (Google: troubleshooting-workload-identity-federation)."""
CONDITION_CHARACTERS = 4096
"""Of an attribute condition (IAMMSG)."""
DISPLAY_NAME_CHARACTERS = 32
"""Of a pool's or provider's display name (IAMMSG)."""
ID_CHARACTERS = (4, 32)
"""Least and most, of a pool's or provider's id: a-z, 0-9 and dash, not beginning with `gcp-`
(IAMMSG)."""
KEYS = 8
"""Of an uploaded JWKS (Google: Workload Identity Federation with other providers)."""
KEY_MEMBERS = ("kty", "use", "kid", "alg", "n", "e", "crv", "x", "y")
"""Of an uploaded key; any other is refused (the same page)."""
RSA_BITS = 2048
"""Least size of an RSA key. Accepted were 2048 and 4096 bits (third-party measurements against real
Google, 2026-09-28)."""
EC_CURVE = "P-256"
"""The only curve (the same measurements; P-384, P-521 and Ed25519 were refused)."""
ALGORITHMS = {"RSA": "RS256", "EC": "ES256"}
"""Of a token's signature, by the key's type (Security Token Service v1, field subjectToken)."""

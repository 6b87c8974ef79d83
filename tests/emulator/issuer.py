"""A cluster's token issuer, as kube-apiserver is one: keys, their JWKS, tokens.

Claims and `kid` as in kubernetes/kubernetes pkg/serviceaccount (v1.36.3).
"""

import base64
import hashlib
import json
import time
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

ISSUER = "https://kubernetes.default.svc.cluster.local"


class Issuer:
    """One signing key."""

    def __init__(self, kind: str = "RSA", *, kid: str | None = None, crv: str = "P-256") -> None:
        """`kind`: RSA (RS256) or EC (ES256)."""
        key = RSAKey.generate_key(2048) if kind == "RSA" else ECKey.generate_key(crv)
        der = key.as_der(private=False)
        digest = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()
        self.kid = kid or digest
        self.key = key
        self.alg = "RS256" if kind == "RSA" else "ES256"

    @property
    def jwk(self) -> dict[str, Any]:
        """The public half, as kube-apiserver publishes it."""
        public = self.key.as_dict(private=False)
        return {**public, "use": "sig", "alg": self.alg, "kid": self.kid}

    @property
    def jwks(self) -> str:
        """The key set as JSON text."""
        return json.dumps({"keys": [self.jwk]})

    def token(self, audience: str | list[str] | None, **changes: Any) -> str:
        """A pod-bound token of demo/puller for an hour; a change to None leaves the claim out."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "sub": "system:serviceaccount:demo:puller",
            "aud": audience,
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "kubernetes.io": {
                "namespace": "demo",
                "serviceaccount": {"name": "puller", "uid": "5a9a9ad7-5c9e-4d0c-b4f8-f0f1a2b3c4d5"},
                "pod": {"name": "web-0", "uid": "6e7c0a64-55a0-4a36-9e0a-3d2c1b0a9f8e"},
                "node": {"name": "node-1", "uid": "7f8d1b75-66b1-4b47-8f1b-4e3d2c1b0a9f"},
            },
            **changes,
        }
        return self.sign({name: value for name, value in claims.items() if value is not None})

    def sign(self, claims: Any, **header: Any) -> str:
        """A compact JWS over any JSON value."""
        protected = {"alg": self.alg, "kid": self.kid, **header}
        protected = {name: value for name, value in protected.items() if value is not None}
        return jws.serialize_compact(
            protected,
            json.dumps(claims),
            self.key,
            registry=jws.JWSRegistry(algorithms=[self.alg], strict_check_header=False),
        )

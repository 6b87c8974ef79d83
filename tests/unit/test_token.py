"""token: what a JWT says of itself, as evidence; only its shape can stop an exchange."""

import base64
import json

import pytest

from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.token import read_claims
from scene import AUDIENCE


def part(value: object) -> str:
    """One part of a JWT."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def test_claims_of_a_real_token(issuer: Issuer) -> None:
    """All that an explanation needs."""
    claims = read_claims(issuer.token(AUDIENCE, iat=1000, exp=4600))
    assert claims.issuer == ISSUER
    assert claims.subject == "system:serviceaccount:demo:puller"
    assert claims.audience == AUDIENCE
    assert claims.key_id == issuer.kid
    assert claims.algorithm == "RS256"
    assert (claims.issued_at, claims.expires_at) == (1000, 4600)
    assert (claims.namespace, claims.service_account) == ("demo", "puller")


def test_absent_claims_are_called_missing() -> None:
    """An expired, odd or empty token still goes to Google, which decides."""
    claims = read_claims(f"{part({})}.{part({})}.sig")
    assert claims.issuer == claims.subject == claims.audience == claims.key_id == "MISSING"
    assert claims.issued_at is None


@pytest.mark.parametrize(
    ("audience", "shown"),
    [(["a", "b"], "a, b"), ([], "MISSING"), ([7], "MISSING"), (7, "MISSING"), ("", "MISSING")],
)
def test_audiences_are_listed(audience: object, shown: str) -> None:
    """`aud` is a text or a list of them (RFC 7519, 4.1.3)."""
    assert read_claims(f"{part({})}.{part({'aud': audience})}.s").audience == shown


@pytest.mark.parametrize("time", ["true", "1e999", '"1000"', "-1", "1" * 20, "null", "1.5"])
def test_a_time_that_is_none(time: str) -> None:
    """A clock that cannot be read is no evidence."""
    payload = b'{"exp": %s}' % time.encode()
    assert read_claims(f"{part({})}.{part(payload)}.s").expires_at is None


@pytest.mark.parametrize("kubernetes", [7, [], {"serviceaccount": "x"}, {"namespace": 7}])
def test_odd_kubernetes_claims_are_missing(kubernetes: object) -> None:
    """No type is relied on."""
    claims = read_claims(f"{part({})}.{part({'kubernetes.io': kubernetes})}.s")
    assert (claims.namespace, claims.service_account) == ("MISSING", "MISSING")


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("x", "it is not three base64url parts with dots between"),
        ("a.b.c.d", "it is not three base64url parts with dots between"),
        ("a..c", "it is not three base64url parts with dots between"),
        ("a.b\r\n.c", "it is not three base64url parts with dots between"),
        ("a.b\u00e9.c", "it is not three base64url parts with dots between"),
        (f"a.{part({})}.s", "its header is not JSON: no base64url"),
        (f"{part(b'[')}.{part({})}.s", "its header is not JSON: "),
        (f"{part({})}.{part([])}.s", "its payload is not a JSON object"),
        ("a.b." + "c" * 16384, "it is longer than 16384 characters"),
    ],
)
def test_another_shape_is_refused(token: str, reason: str) -> None:
    """Before any network."""
    with pytest.raises(Failure) as caught:
        read_claims(token)
    assert caught.value.code == "REQUEST-TOKEN"
    assert str(caught.value.evidence["reason"]).startswith(reason)

"""Key sets as Google takes them."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.google import limits
from gcp_sa_credential_provider.google.keys import BadKeys, KeySet, usable

RSA = Issuer(kid="rsa").jwk
EC = Issuer("EC", kid="ec").jwk


def keys(*entries: object) -> bytes:
    """A JWKS."""
    return json.dumps({"keys": entries}).encode()


def test_all_that_google_takes_is_kept() -> None:
    """By kid; members that it refuses are left out of the keys."""
    cluttered = {**EC, "x5t": "abc", "key_ops": ["verify"], "ext": True}
    made = usable(keys(RSA, cluttered))
    assert [dict(key) for key in made.keys] == [EC, RSA]
    assert made.left_out == ()
    assert all(list(key) == [m for m in limits.KEY_MEMBERS if m in key] for key in made.keys)


def test_the_order_is_not_seen() -> None:
    """The same keys make the same text, which is JSON."""
    assert usable(keys(RSA, EC)).text == usable(keys(EC, RSA)).text
    assert json.loads(usable(keys(RSA, EC)).text) == {"keys": [EC, RSA]}


def test_a_key_twice_is_one_key() -> None:
    """Some API servers name the file of a key twice."""
    assert len(usable(keys(RSA, RSA)).keys) == 1


def test_as_power_shell_saves_it() -> None:
    """Its `>` writes UTF-16."""
    assert usable(keys(RSA).decode().encode("utf-16")) == usable(keys(RSA))


def test_eight_are_taken() -> None:
    """And a ninth key that is of no use does not count."""
    many = [{**EC, "kid": f"k{number}"} for number in range(8)]
    made = usable(keys(*many, {**EC, "kid": "sign", "use": "enc"}))
    assert len(made.keys) == 8
    assert made.left_out == ("kid 'sign': it is not for signatures",)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({**RSA, "kid": ""}, "a key without kid: Google finds keys by kid"),
        ({**RSA, "kid": 1}, "a key without kid: its members are not texts"),
        ({**RSA, "n": 5}, "kid 'rsa': its members are not texts"),
        (
            {"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "ed"},
            "kid 'ed': its type is 'OKP', and Google takes RSA and EC",
        ),
        ({**RSA, "use": "enc"}, "kid 'rsa': it is not for signatures"),
        (
            Issuer("EC", kid="big", crv="P-521").jwk,
            "kid 'big': its curve is 'P-521', and Google takes P-256",
        ),
        ({**RSA, "alg": "RS512"}, "kid 'rsa': it signs by 'RS512', and Google takes RS256"),
        ({**RSA, "n": "no base64!"}, "kid 'rsa': its numbers are not base64url"),
        ({**EC, "y": ""}, "kid 'ec': its numbers are not base64url"),
        (
            {**RSA, "n": "wAAA" * 42 + "wA"},
            "kid 'rsa': it has 1016 bits, and 2048 are wanted",
        ),
    ],
)
def test_a_key_that_google_does_not_take(entry: dict[str, Any], reason: str) -> None:
    """It is left out beside others, with the reason; alone it makes the set useless."""
    other = {**EC, "kid": "other"}
    assert usable(keys(entry, other)) == KeySet(usable(keys(other)).keys, (reason,))
    with pytest.raises(BadKeys) as caught:
        usable(keys(entry))
    assert caught.value.what == f"it holds no key that Google takes ({reason})"


@pytest.mark.parametrize("alg", [True, False])
def test_alg_may_be_missing(alg: bool) -> None:  # noqa: FBT001 -- a case, not an option
    """Old API servers leave it out."""
    key = RSA if alg else {name: value for name, value in RSA.items() if name != "alg"}
    assert dict(usable(keys(key)).keys[0]) == key


@pytest.mark.parametrize(
    "wrap",
    [
        lambda key: {"keys": [key]},
        lambda key: {"keys": [EC, key]},
        lambda key: key,
    ],
    ids=["alone", "among others", "without a list"],
)
@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_a_private_key_is_refused(kind: str, wrap: Callable[[Any], Any]) -> None:
    """Whatever stands beside it, and no part of it is quoted."""
    private = Issuer(kind, kid="p").key.as_dict(private=True) | {"kid": "p"}
    with pytest.raises(BadKeys, match="PRIVATE key") as caught:
        usable(json.dumps(wrap(private)).encode())
    assert str(private["d"]) not in f"{caught.value.what}{caught.value.fix}"


def test_materials_are_the_numbers() -> None:
    """The same key by another name has the same."""
    one, same = usable(keys(RSA)), usable(keys({**RSA, "kid": "renamed"}))
    assert one.materials == same.materials
    assert one.materials.isdisjoint(usable(keys(EC)).materials)


@pytest.mark.parametrize("text", [b"", b"\xff", b"{", b"[]", b'{"keys": 1}', b'{"keys": [1]}'])
def test_what_is_no_key_set(text: bytes) -> None:
    """Also deep nesting ends in a message."""
    with pytest.raises(BadKeys, match="no JSON object with a list of keys"):
        usable(text)
    with pytest.raises(BadKeys, match="no JSON object with a list of keys"):
        usable(b"[" * 100_000)

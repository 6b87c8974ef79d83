"""Hostile documents on stdin: refused with a code, without any network, without a traceback."""

import base64
import json
from functools import partial
from typing import Any

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Launcher, at_once, credentials, refusal
from scene import ACCOUNT, AUDIENCE, IMAGE, request

Environment = dict[str, str]

KEY = "gcp-sa-credential-provider/service-account"
MEBIBYTE = 1048576
INJECTION = "x\r\nX-Injected: yes\r\n\r\nPOST /v1/token HTTP/1.1"
GOOD = request("a.b.c")
DEEP = 200_000


def padded(size: int, token: str) -> bytes:
    """A good request of so many bytes."""
    asked = request(token, padding="")
    return request(token, padding="x" * (size - len(asked)))


DOCUMENTS: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "REQUEST-EMPTY"),
    "blanks": (b" \r\n\t", "REQUEST-EMPTY"),
    "NUL": (b"\0", "REQUEST-JSON"),
    "NULs": (b"\0" * 4096, "REQUEST-JSON"),
    "invalid UTF-8": (b'{"kind":"\xff\xfe"}', "REQUEST-JSON"),
    "overlong UTF-8": (b'{"kind":"\xc0\xaf"}', "REQUEST-JSON"),
    "a surrogate in UTF-8": (b'{"kind":"\xed\xa0\x80"}', "REQUEST-JSON"),
    "UTF-16": (GOOD.decode().encode("utf-16"), "REQUEST-JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, "REQUEST-JSON"),
    "half a document": (GOOD[: len(GOOD) // 2], "REQUEST-JSON"),
    "two documents": (GOOD + GOOD, "REQUEST-JSON"),
    "YAML": (b"kind: CredentialProviderRequest\n", "REQUEST-JSON"),
    "a comment": (b"// x\n" + GOOD, "REQUEST-JSON"),
    "single quotes": (GOOD.replace(b'"', b"'"), "REQUEST-JSON"),
    "a bare word": (b"NaN", "REQUEST-JSON"),
    "an array": (b"[" + GOOD + b"]", "REQUEST-JSON"),
    "a string": (b'"x"', "REQUEST-JSON"),
    "null": (b"null", "REQUEST-JSON"),
    "true": (b"true", "REQUEST-JSON"),
    "a number": (b"1e999", "REQUEST-JSON"),
    "a number of 5000 digits": (b'{"kind":' + b"9" * 5000 + b"}", "REQUEST-JSON"),
    "an exponent of a million": (b'{"kind":1e1000000}', "REQUEST-KIND"),
    "a raw control character": (b'{"kind":"a\x01"}', "REQUEST-JSON"),
    "a bad escape": (b'{"kind":"\\x41"}', "REQUEST-JSON"),
    "half an escape": (b'{"kind":"\\ud8', "REQUEST-JSON"),
    "arrays nested deeply": (b"[" * DEEP, "REQUEST-JSON"),
    "closed arrays nested deeply": (b"[" * DEEP + b"]" * DEEP, "REQUEST-JSON"),
    "objects nested deeply": (b'{"a":' * DEEP, "REQUEST-JSON"),
    "nesting in an unknown field": (
        GOOD[:-1] + b',"x":' + b"[" * DEEP + b"]" * DEEP + b"}",
        "REQUEST-JSON",
    ),
    "a mebibyte and one": (b" " * (MEBIBYTE + 1), "REQUEST-LARGE"),
    "ten mebibytes": (b"x" * (10 * MEBIBYTE), "REQUEST-LARGE"),
    "a mebibyte of blanks": (b" " * MEBIBYTE, "REQUEST-EMPTY"),
    "a mebibyte of quotes": (b'"' * MEBIBYTE, "REQUEST-JSON"),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_hostile_document_is_refused(
    plugin: Launcher, environment: Environment, google: Emulator, name: str
) -> None:
    """Exit 2 and one line, nothing asked of anybody."""
    document, code = DOCUMENTS[name]
    assert refusal(plugin.run(environment, document)) == (2, code)
    assert google.log.entries() == []


def test_a_mebibyte_is_read(plugin: Launcher, environment: Environment, issuer: Issuer) -> None:
    """The limit itself is within."""
    asked = padded(MEBIBYTE, issuer.token(AUDIENCE))
    assert len(asked) == MEBIBYTE
    credentials(plugin.run(environment, asked))


def test_a_mebibyte_and_one_is_not(
    plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """Though it would be a good request."""
    asked = padded(MEBIBYTE + 1, issuer.token(AUDIENCE))
    assert refusal(plugin.run(environment, asked)) == (2, "REQUEST-LARGE")


BAD_TEXTS = {
    "CR LF": INJECTION,
    "LF": "x\ny",
    "NUL": "x\0y",
    "ESC": "\x1b[2J\x1b[H",
    "DEL": "x\x7f",
    "C1": "x\x9b31m",
    "a lone surrogate": "x\ud800",
    "two halves the wrong way": "\udc00\ud800",
    "right to left": "x\u202ey",
    "U+2028": "x\u2028y",
    "an umlaut": "\u00e4",
    "megabyte": "x" * 400_000,
    "percent": "%0d%0aX: y",
    "a format": "{x} {0.__class__} %s %n",
}
FIELDS = {
    "kind": ("kind", "REQUEST-KIND"),
    "apiVersion": ("apiVersion", "REQUEST-VERSION"),
    "image": ("image", "REQUEST-IMAGE"),
    "token": ("serviceAccountToken", "REQUEST-TOKEN"),
}


@pytest.mark.parametrize("field", FIELDS)
def test_hostile_text_in_a_field(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer, field: str
) -> None:
    """Named in one printable line, if at all; no request is made of it."""
    name, code = FIELDS[field]
    good = {"serviceAccountToken": issuer.token(AUDIENCE)}
    front = f"{IMAGE}/" if field == "image" else ""
    outcomes = at_once(
        {
            text: partial(plugin.run, environment, request(None, **{**good, name: front + bad}))
            for text, bad in BAD_TEXTS.items()
            # A name too long for a registry is the registry's to refuse.
            if (field, text) != ("image", "megabyte")
        }
    )
    assert outcomes == dict.fromkeys(outcomes, (2, code))
    assert google.log.entries() == []


def test_hostile_annotations(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Whoever may edit a ServiceAccount writes them, and they would go into a request's path."""
    environment["GCP_SERVICE_ACCOUNT_ANNOTATION"] = KEY
    token = issuer.token(AUDIENCE)
    outcomes = at_once(
        {
            f"{text} in {form}": partial(
                plugin.run,
                environment,
                request(token, serviceAccountAnnotations={KEY: form.replace("BAD", bad)}),
            )
            for text, bad in BAD_TEXTS.items()
            for form in ("BAD", "a@b.cBAD", "BAD@b.c")
        }
    )
    assert outcomes == dict.fromkeys(outcomes, (2, "ACCOUNT-NAME"))
    assert google.log.entries() == []


def test_hostile_annotations_of_others_are_nothing(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Keys and values that the plugin was not told to read."""
    environment |= {"GCP_SERVICE_ACCOUNT": ACCOUNT, "GCP_SERVICE_ACCOUNT_ANNOTATION": KEY}
    token = issuer.token(AUDIENCE)
    outcomes = at_once(
        {
            text: partial(
                plugin.run,
                environment,
                request(token, serviceAccountAnnotations={bad: "x", "y": bad}),
            )
            for text, bad in BAD_TEXTS.items()
        }
    )
    assert outcomes == dict.fromkeys(outcomes, (0, ""))
    assert {entry["account"] for entry in google.log.entries("iam_credentials")} == {ACCOUNT}


def encoded(value: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


HEADER = encoded(b'{"alg":"RS256","kid":"k"}')
TOKENS = {
    "two parts": "a.b",
    "four parts": "a.b.c.d",
    "empty parts": "..",
    "no base64url": f"{HEADER}.a+b/c=.x",
    "a length that no base64 has": f"{HEADER}.aaaaa.x",
    "no JSON": f"{HEADER}.{encoded(b'x')}.x",
    "an array": f"{HEADER}.{encoded(b'[]')}.x",
    "nesting": f"{HEADER}.{encoded(b'[' * 9000)}.x",
    "invalid UTF-8": f"{HEADER}.{encoded(bytes([255]))}.x",
    "a number of 5000 digits": f"{HEADER}.{encoded(b'9' * 5000)}.x",
    "too long": f"{HEADER}.{'a' * 16384}.x",
}


@pytest.mark.parametrize("token", TOKENS)
def test_a_token_that_is_no_jwt(
    plugin: Launcher, environment: Environment, google: Emulator, token: str
) -> None:
    """Its shape alone is judged."""
    assert refusal(plugin.run(environment, request(TOKENS[token]))) == (2, "REQUEST-TOKEN")
    assert google.log.entries() == []


CLAIMS: list[Any] = [
    INJECTION,
    "\ud800",
    "{x}%n",
    10**400,
    -1,
    1.5,
    True,
    [],
    {},
    [1, None],
    {"namespace": 7, "serviceaccount": "x"},
]


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "iat", "exp", "kubernetes.io"])
def test_hostile_claims_are_evidence_only(
    plugin: Launcher, environment: Environment, issuer: Issuer, claim: str
) -> None:
    """Google decides; the line that explains its refusal stays a line."""
    outcomes = at_once(
        {
            ascii(value)[:20]: partial(
                plugin.run, environment, request(issuer.token(AUDIENCE, **{claim: value}))
            )
            for value in CLAIMS
        }
    )
    assert len(outcomes) == len(CLAIMS)
    assert {code for code, _ in outcomes.values()} <= {0, 1}


def test_duplicate_fields_count_as_for_the_kubelet(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """The last one, in Go as here: nothing can be checked that is not used."""
    asked = request(issuer.token(AUDIENCE))
    twice = asked[:-1] + b', "image": "evil.example.com/x"}'
    assert refusal(plugin.run(environment, twice)) == (2, "IMAGE-OUTSIDE")
    again = b'{"image": "evil.example.com/x", ' + asked[1:]
    credentials(plugin.run(environment, again))
    assert json.loads(again)["image"] == IMAGE

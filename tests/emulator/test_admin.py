"""The admin page, the OpenAPI document, and faults by chance."""

import json
import re

import httpx
import pytest

from emulator.rules import OPENAPI
from emulator.world import AUDIENCE, PRINCIPAL, PROVIDER, exchange, world
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator import openapi
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.emulator.methods import METHODS


def control(google: Emulator, path: str, **headers: str) -> httpx.Response:
    base = str(google.endpoints["control"]).removesuffix("/_emulator")
    return httpx.get(f"{base}{path}", headers=headers, trust_env=False)


def test_the_page(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Resources, keys, and the last exchanges with verdict and reason; newest first."""
    token = exchange(client, google, issuer.token(AUDIENCE)).json()["access_token"]
    stranger = Issuer()
    exchange(client, google, stranger.token(AUDIENCE))
    google.faults.set("quota", times=1)
    answer = control(google, "/")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    for expected in (PROVIDER, issuer.kid, PRINCIPAL, "accepted", "quota"):
        assert f"{expected}" in answer.text
    refused = answer.text.index("Error connecting to the given credential&#x27;s issuer.")
    assert refused < answer.text.index("accepted")
    assert f"kid &#x27;{stranger.kid}&#x27; is not among the keys" in answer.text
    assert token not in answer.text


def test_verdicts(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """Of what a fault answered or broke, its name; of what was no method, Google's text."""
    verdicts = re.compile(
        r"<td>/v1/token</td><td>(\d+)</td>.*?<td>([^<]*)</td><td>([^<]*)</td></tr>"
    )
    google.faults.set("latency", seconds=0)
    exchange(client, google, issuer.token(AUDIENCE))
    google.faults.set("captive_portal", name="hotel", times=1)
    exchange(client, google, issuer.token(AUDIENCE))
    google.faults.set("drip", chunk=65536, interval=0, times=1)
    exchange(client, google, issuer.token(AUDIENCE))
    client.get(f"{google.endpoints['sts']}/v1/token")
    assert verdicts.findall(control(google, "/").text) == [
        ("404", "Method not found.", "no method GET /v1/token"),
        ("200", "fault: drip", ""),
        ("200", "fault: hotel", ""),
        ("200", "accepted", ""),
    ]


def test_the_page_is_escaped(google: Emulator, client: httpx.Client, issuer: Issuer) -> None:
    """A subject token is whatever a stranger sends."""
    evil = "<script>alert(1)</script>"
    provider = {"attributeCondition": f"'{evil}' == '{evil}'"}
    google.load(world(issuer.jwks, provider=provider))
    exchange(client, google, issuer.token(AUDIENCE, sub=evil, iss=evil))
    page = control(google, "/").text
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 3


def test_the_page_is_for_loopback_names_only(google: Emulator) -> None:
    """A web page that rebinds its own name is refused."""
    assert control(google, "/", Host="evil.example").status_code == 400


def test_the_openapi_document_is_published(google: Emulator) -> None:
    """Served, and docs/emulator-openapi.json is a copy."""
    served = control(google, "/openapi.json").json()
    assert served == openapi.document()
    assert json.loads(OPENAPI.read_text()) == served


def test_every_method_is_documented() -> None:
    """Each once, with its parameters, and no reference leads nowhere."""
    document = openapi.document()
    operations = {
        (verb.upper(), path): operation
        for path, methods in document["paths"].items()
        for verb, operation in methods.items()
    }
    assert operations.keys() == {(method.verb, method.path) for method in METHODS}
    names = [operation["operationId"] for operation in operations.values()]
    assert len(names) == len(set(names))
    references = re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document))
    assert set(references) == set(document["components"]["schemas"])


@pytest.mark.rule("faults")
def test_a_fault_by_chance(google: Emulator, client: httpx.Client) -> None:
    """Half of the requests; never and always at the ends."""
    url = f"{google.endpoints['registry']}/v2/"
    for probability, least, most in ((0, 0, 0), (0.5, 20, 80), (1, 100, 100)):
        google.faults.set("status", status=503, probability=probability)
        hit = sum(client.get(url).status_code == 503 for _ in range(100))
        assert least <= hit <= most
        assert google.faults.hits("status") == hit

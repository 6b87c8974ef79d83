"""The control API, as a test in another process or language uses it."""

import base64
import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from emulator.world import AUDIENCE, PRINCIPAL, REPOSITORY, exchange, request_of, world
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator

READER = "roles/artifactregistry.reader"


@pytest.fixture
def control(google: Emulator) -> Iterator[httpx.Client]:
    """A client of the control listener."""
    with httpx.Client(base_url=google.endpoints["control"], trust_env=False) as client:
        yield client


def test_clock(google: Emulator, client: httpx.Client, control: httpx.Client) -> None:
    """Shift, freeze and back; the Date of answers follows."""
    assert control.put("/clock", json={"shift": 100}).json()["offset"] == pytest.approx(100, abs=1)
    frozen = control.put("/clock", json={"freeze": 1_800_000_000}).json()
    assert (frozen["now"], frozen["frozen"]) == (1_800_000_000, True)
    answer = client.get(f"{google.endpoints['registry']}/v2/")
    assert answer.headers["date"] == "Fri, 15 Jan 2027 08:00:00 GMT"
    assert control.put("/clock", json={"shift": 5}).json()["now"] == 1_800_000_005
    assert control.put("/clock", json={}).json()["frozen"] is False
    assert control.get("/clock").json()["now"] == pytest.approx(time.time(), abs=2)
    assert control.put("/clock", json={"shift": "x"}).status_code == 400
    assert (
        control.put("/clock", json={"jump": 1})
        .json()["error"]
        .startswith("request body: jump: unknown key.")
    )


def test_faults(
    google: Emulator, client: httpx.Client, control: httpx.Client, issuer: Issuer
) -> None:
    """Put, list, delete one, delete all."""
    rule = {"kind": "status", "status": 500, "times": 1}
    assert control.put("/faults/mine", json=rule).status_code == 200
    assert exchange(client, google, issuer.token(AUDIENCE)).status_code == 500
    expected = [{"name": "mine", "hits": 1, **rule}]
    assert control.get("/faults").json() == {"faults": expected}
    assert control.delete("/faults/mine").json() == {"faults": []}
    assert control.delete("/faults/mine").status_code == 404
    control.put("/faults/other", json={"kind": "reset"})
    assert control.delete("/faults").json() == {"faults": []}
    answer = control.put("/faults/bad", json={"kind": "boom"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("kind: unknown fault 'boom'")


def test_log(google: Emulator, client: httpx.Client, control: httpx.Client, issuer: Issuer) -> None:
    """All, by service, cleared."""
    exchange(client, google, issuer.token(AUDIENCE))
    client.get(f"{google.endpoints['registry']}/v2/")
    assert [e["service"] for e in control.get("/log").json()["entries"]] == ["sts", "registry"]
    [entry] = control.get("/log", params={"service": "sts"}).json()["entries"]
    assert entry["mapped_principal"] == PRINCIPAL
    assert control.delete("/log").json() == {"entries": []}
    assert control.get("/log").json() == {"entries": []}


@pytest.mark.parametrize(
    ("header", "claims"),
    [
        ({"kid": float("nan")}, {"iss": float("nan"), "sub": ["\ud800"]}),
        ({"kid": "\ud800"}, {"iss": "x"}),
        ({"alg": "\ud800"}, {"iss": "x", "sub": 1e999}),
    ],
)
def test_the_log_of_a_token_of_nobody(
    google: Emulator,
    client: httpx.Client,
    control: httpx.Client,
    header: dict[str, Any],
    claims: dict[str, Any],
) -> None:
    """A stranger's evidence never makes the log unreadable."""
    parts = (json.dumps(part).encode() for part in (header, claims))
    token = ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)
    assert exchange(client, google, f"{token}.AAAA").status_code == 400
    [entry] = control.get("/log").json()["entries"]
    assert entry["status"] == 400
    assert client.get(google.endpoints["control"].replace("_emulator", "")).status_code == 200


def test_fields_of_an_exchange_that_nothing_can_write(
    google: Emulator, client: httpx.Client, control: httpx.Client
) -> None:
    """Refused before they are noted."""
    fields = json.dumps({**request_of("x"), "audience": "\ud800"})
    answer = client.post(
        f"{google.endpoints['sts']}/v1/token",
        content=fields,
        headers={"Content-Type": "application/json"},
    )
    assert answer.json()["error"] == "invalid_request"
    assert len(control.get("/log").json()["entries"]) == 1


@pytest.mark.parametrize(
    "wanted",
    [
        '{"freeze": NaN}',
        '{"freeze": 1e30}',
        '{"freeze": -1}',
        '{"shift": 1%s}' % ("0" * 400),
        '{"shift": 221845391999}',
    ],
)
def test_clocks_that_show_nothing(control: httpx.Client, wanted: str) -> None:
    """Every answer has a Date."""
    before = control.get("/clock").json()
    assert control.put("/clock", content=wanted).json()["error"].startswith("clock: ")
    assert control.get("/clock").json()["offset"] == pytest.approx(before["offset"], abs=1)


@pytest.mark.parametrize(
    "rule",
    [
        '{"kind": []}',
        '{"kind": "status", "headers": {"Retry-After": 5}}',
        '{"kind": "status", "headers": {"A": "b\\r\\nC: d"}}',
        '{"kind": "latency", "seconds": Infinity}',
        '{"kind": "latency", "seconds": 1%s}' % ("0" * 400),
    ],
)
def test_faults_that_are_none(google: Emulator, control: httpx.Client, rule: str) -> None:
    """Refused when they are set, not at the request that they meet."""
    assert control.put("/faults/x", content=rule).status_code == 400
    assert google.faults.listing() == []


def test_config_and_grants(
    google: Emulator, client: httpx.Client, control: httpx.Client, issuer: Issuer, token: str
) -> None:
    """A new world while it runs; a wrong one changes nothing."""
    url = f"{google.endpoints['registry']}/v2/my-project/images/hello/manifests/latest"
    headers = {"Authorization": f"Bearer {token}"}
    assert client.get(url, headers=headers).status_code == 200
    grant = {"resource": REPOSITORY, "role": READER, "member": PRINCIPAL}
    assert control.request("DELETE", "/grants", json=grant).status_code == 200
    assert client.get(url, headers=headers).status_code == 403
    assert control.put("/grants", json=grant).status_code == 200
    assert client.get(url, headers=headers).status_code == 200
    assert control.put("/config", json=world(issuer.jwks, repositories=[])).status_code == 200
    assert client.get(url, headers=headers).status_code == 403
    assert control.put("/config", json={"pools": []}).status_code == 400
    assert exchange(client, google, issuer.token(AUDIENCE)).status_code == 200


@pytest.mark.parametrize(
    ("grant", "error"),
    [
        ({"resource": REPOSITORY, "role": READER, "member": "me"}, "'me' is not an IAM member"),
        ({"resource": "projects/x", "role": READER, "member": "allUsers"}, "no such resource"),
        ({"resource": REPOSITORY, "role": READER}, "'member' is missing"),
        ({"resource": REPOSITORY, "role": "reader", "member": "allUsers"}, "is not a role name"),
        ({"resource": REPOSITORY, "role": [], "member": "allUsers"}, "role: [] is no text"),
    ],
)
def test_wrong_grants(control: httpx.Client, grant: dict[str, Any], error: str) -> None:
    """Each says what is wrong."""
    answer = control.put("/grants", json=grant)
    assert answer.status_code == 400
    assert error in answer.json()["error"]


@pytest.mark.parametrize("body", ["", "[]", "{"])
def test_bodies_that_are_no_object(control: httpx.Client, body: str) -> None:
    """One clear sentence."""
    answer = control.put("/clock", content=body)
    assert answer.json() == {"error": "request body: is not a JSON object. Fix: send one"}


def test_only_by_a_loopback_name(control: httpx.Client) -> None:
    """A web page that rebinds its own name to 127.0.0.1 is refused."""
    assert control.get("/clock", headers={"Host": "evil.example"}).status_code == 400


def test_faults_do_not_touch_it(google: Emulator, control: httpx.Client) -> None:
    """Else nobody could take them back."""
    google.faults.set("connect_reset")
    google.faults.set("status")
    assert control.get("/clock").status_code == 200

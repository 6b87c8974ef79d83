"""State that outlives the emulator, also when it is killed."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from emulator.test_command import failed, running
from emulator.world import (
    ACCOUNT,
    AUDIENCE,
    EMAIL,
    PRINCIPAL,
    PROVIDER,
    REPOSITORY,
    SUBJECT,
    bindings,
    request_of,
    world,
)
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator import command, config, persistence
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.emulator.rejection import ConfigError
from gcp_sa_credential_provider.emulator.serve import Files

READER = "roles/artifactregistry.reader"


def iam(google: Emulator) -> httpx.Client:
    """A client of the IAM API over plain http."""
    return httpx.Client(base_url=f"{google.endpoints['http']['iam']}/v1/", trust_env=False)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A state file to be."""
    return Files(state=tmp_path / "state" / "google.json")


def test_a_document_is_what_it_was_made_of(issuer: Issuer) -> None:
    """Resources to document and back."""
    resources = config.load(
        world(
            issuer.jwks,
            serviceAccounts=[{"name": ACCOUNT, "displayName": "Puller", "uniqueId": "1"}],
        )
    ).resources
    again = config.load(persistence.document(resources)).resources
    assert persistence.document(again) == persistence.document(resources)
    assert again.pools == resources.pools
    assert again.projects == resources.projects
    assert again.repositories == resources.repositories
    assert again.service_accounts == resources.service_accounts
    assert again.providers.keys() == resources.providers.keys()


@pytest.mark.rule("state")
def test_changes_are_there_again(tmp_path: Path, issuer: Issuer, files: Files) -> None:
    """Of every kind; the configuration's resources count at the first start only."""
    directory = tmp_path / "google"
    with Emulator(directory, world(issuer.jwks), files=files) as google, iam(google) as client:
        client.patch(
            PROVIDER, params={"updateMask": "displayName"}, json={"displayName": "Changed"}
        )
        client.delete(f"{PROVIDER}")
        client.post("projects/my-project/serviceAccounts", json={"accountId": "fresh-one"})
        google.grant(REPOSITORY, READER, "allUsers")
        policy = client.get(f"{REPOSITORY}:getIamPolicy").json()
    changed = world(issuer.jwks, repositories=[])
    with Emulator(directory, changed, files=files) as google, iam(google) as client:
        provider = client.get(PROVIDER).json()
        assert (provider["displayName"], provider["state"]) == ("Changed", "DELETED")
        assert client.post(f"{PROVIDER}:undelete").status_code == 200
        assert client.get(f"{REPOSITORY}:getIamPolicy").json() == policy
        accounts = client.get("projects/my-project/serviceAccounts").json()["accounts"]
        assert len(accounts) == 2
    assert files.state is not None
    assert os.stat(files.state).st_mode & 0o777 == 0o600
    assert sorted(path.name for path in files.state.parent.iterdir()) == [
        ".google.json.lock",
        "google.json",
    ]


def test_all_that_google_takes_is_there_again(tmp_path: Path, issuer: Issuer, files: Files) -> None:
    """A pool's mode, and letters that JSON writes as two."""
    directory, pools = tmp_path / "google", "projects/my-project/locations/global"
    given = {"mode": "FEDERATION_ONLY", "displayName": "\N{OCTOPUS}" * 32}
    with Emulator(directory, world(issuer.jwks), files=files) as google, iam(google) as client:
        params = {"workloadIdentityPoolId": "octopus"}
        client.post(f"{pools}/workloadIdentityPools", params=params, json=given)
        before = client.get(f"{pools}/workloadIdentityPools/octopus").json()
    assert before.items() >= given.items()
    with Emulator(directory, files=files) as google, iam(google) as client:
        assert client.get(f"{pools}/workloadIdentityPools/octopus").json() == before


@pytest.mark.parametrize(
    "content", ["", "{}", json.dumps(persistence.document(config.load({}).resources))]
)
def test_an_empty_state_file(tmp_path: Path, issuer: Issuer, content: str) -> None:
    """As mktemp makes it, or an empty Google: the configuration counts."""
    state = tmp_path / "state.json"
    state.write_text(content)
    with (
        Emulator(tmp_path / "g", world(issuer.jwks), files=Files(state=state)) as google,
        iam(google) as client,
    ):
        assert client.get(PROVIDER).status_code == 200
    assert config.read(state).resources.providers


def test_killed_while_it_writes(tmp_path: Path, issuer: Issuer) -> None:
    """SIGKILL among changes: the file is whole and has all that was acknowledged."""
    configuration, state = tmp_path / "c.json", tmp_path / "state.json"
    configuration.write_text(json.dumps(world(issuer.jwks, options={"quotas": {"iamWrites": 0}})))
    arguments = ("--dir", tmp_path / "g", "--config", configuration, "--state", state)
    acknowledged = 0
    with running(*arguments) as process:
        endpoints = json.loads((tmp_path / "g" / "endpoints.json").read_text())
        with httpx.Client(base_url=endpoints["control"], trust_env=False) as control:
            for acknowledged in range(1, 31):
                grant = {"resource": REPOSITORY, "role": READER, "member": f"user:u{acknowledged}"}
                assert control.put("/grants", json=grant).status_code == 200
            process.send_signal(signal.SIGKILL)
            process.wait()
    saved = config.read(state).resources.repositories[REPOSITORY].policy
    members = {member for binding in saved for member in binding.members}
    assert members == {PRINCIPAL, *(f"user:u{number}" for number in range(1, acknowledged + 1))}
    with running(*arguments):
        pass


def test_a_change_that_cannot_be_saved_is_none(
    tmp_path: Path, issuer: Issuer, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full: an error, and neither file nor memory changed."""
    with Emulator(tmp_path / "g", world(issuer.jwks), files=files) as google:
        assert files.state is not None
        before = files.state.read_bytes()

        def full(*_: Any) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(OSError, match="No space left"):
                google.grant(REPOSITORY, READER, "allUsers")
            with iam(google) as client:
                answer = client.delete(PROVIDER)
            assert (answer.status_code, answer.json()["error"]["status"]) == (500, "INTERNAL")
            control = google.endpoints["control"]
            grant = {"resource": REPOSITORY, "role": READER, "member": "allUsers"}
            for path, change in (("grants", grant), ("config", world(issuer.jwks))):
                answer = httpx.put(f"{control}/{path}", json=change, trust_env=False)
                assert answer.status_code == 500
                assert "No space left" in answer.json()["error"]
        assert "No space left" in google.log.entries("iam")[-1]["reason"]
        assert files.state.read_bytes() == before
        assert [path.name for path in files.state.parent.glob("[!.]*")] == ["google.json"]
        assert len(list(files.state.parent.iterdir())) == 2  # the other one is the lock
        with iam(google) as client:
            policy = client.get(f"{REPOSITORY}:getIamPolicy").json()
        assert policy["bindings"] == bindings(READER, PRINCIPAL)["bindings"]


def test_a_second_emulator_is_kept_off(tmp_path: Path, issuer: Issuer, files: Files) -> None:
    """The state has one owner."""
    with (
        Emulator(tmp_path / "one", world(issuer.jwks), files=files),
        pytest.raises(OSError, match="another emulator uses it"),
        Emulator(tmp_path / "two", files=files),
    ):
        pass
    assert not (tmp_path / "two").exists()


def test_what_another_emulator_saved_in_the_meantime(
    tmp_path: Path, issuer: Issuer, files: Files
) -> None:
    """It counts, though the second was there before the first had begun; its options do as well."""
    lenient = {"unknownJwkMembers": "lenient"}
    jwks = json.dumps({"keys": [{**issuer.jwk, "x5c": ["…"]}]})
    first = Emulator(tmp_path / "one", world(jwks, options=lenient), files=files)
    second = Emulator(tmp_path / "two", {"options": lenient}, files=files)
    with first as google:
        google.grant(REPOSITORY, READER, "allUsers")
    with second as google, iam(google) as client:
        policy = client.get(f"{REPOSITORY}:getIamPolicy").json()
        assert "allUsers" in policy["bindings"][0]["members"]
    assert files.state is not None
    assert PROVIDER in files.state.read_text()


def test_a_state_that_is_none_any_more(tmp_path: Path, files: Files) -> None:
    """Found out at the start, like all else that keeps it from one; the file stays as it is."""
    google = Emulator(tmp_path / "g", files=files)
    assert files.state is not None
    files.state.parent.mkdir()
    files.state.write_text('{"faults": []}')
    with pytest.raises(ConfigError, match="faults: unknown key"), google:
        pass
    assert files.state.read_text() == '{"faults": []}'
    assert not (tmp_path / "g").exists()


def test_a_state_that_is_none_any_more_as_a_process(
    tmp_path: Path,
    files: Files,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Exit 2, as with one that was none from the beginning."""
    assert files.state is not None

    @contextmanager
    def held(path: Path) -> Iterator[None]:
        path.parent.mkdir()
        path.write_text('{"faults": []}')
        yield

    monkeypatch.setattr(persistence, "held", held)
    assert command.main(tmp_path / "g", 0, None, files) == 2
    assert f"{files.state}: faults: unknown key. Fix: " in capsys.readouterr().err


def test_a_file_that_is_no_state(tmp_path: Path) -> None:
    """Exit 2, and the file stays as it is."""
    state = tmp_path / "state.json"
    state.write_text('{"faults": []}')
    code, _, err = failed("--dir", tmp_path / "g", "--state", state)
    assert code == 2
    assert f"{state}: faults: unknown key. Fix: name a state file of the emulator" in err
    assert state.read_text() == '{"faults": []}'
    state.write_text("[]")
    with pytest.raises(ConfigError, match="must be a mapping"):
        Emulator(tmp_path / "g", files=Files(state=state))
    state.write_text('{"projects": [')
    with pytest.raises(ConfigError, match=r"state\.json: is not JSON \(.*line 1.*remove it to"):
        Emulator(tmp_path / "g", files=Files(state=state))


@pytest.mark.rule("audit")
def test_the_audit_log(tmp_path: Path, issuer: Issuer) -> None:
    """Exchanges and impersonations in Google's form; no token."""
    audit = tmp_path / "audit.jsonl"
    google = Emulator(tmp_path / "g", world(issuer.jwks), files=Files(audit=audit))
    tokens = [issuer.token(AUDIENCE), Issuer().token(AUDIENCE)]
    with google, httpx.Client(trust_env=False) as client:
        url = f"{google.endpoints['http']['sts']}/v1/token"
        good, _ = (client.post(url, data=request_of(token)).json() for token in tokens)
        tokens.append(good["access_token"])
        base = google.endpoints["http"]["iam_credentials"]
        client.post(
            f"{base}/v1/projects/-/serviceAccounts/{EMAIL}:generateAccessToken",
            headers={"Authorization": f"Bearer {good['access_token']}"},
            json={"scope": [""]},
        )
        client.get(f"{google.endpoints['http']['registry']}/v2/")
    text = audit.read_text()
    assert not any(token in text for token in tokens)
    good_line, bad, impersonation = [json.loads(line)["protoPayload"] for line in text.splitlines()]
    assert good_line["methodName"] == ("google.identity.sts.v1.SecurityTokenService.ExchangeToken")
    assert good_line["resourceName"] == PROVIDER
    assert good_line["authenticationInfo"] == {"principalSubject": SUBJECT}
    assert good_line["metadata"]["mapped_principal"] == PRINCIPAL
    assert bad["status"]["message"] == "Error connecting to the given credential's issuer."
    assert "mapped_principal" not in bad["metadata"]
    assert impersonation["methodName"] == "GenerateAccessToken"
    assert impersonation["authenticationInfo"]["principalSubject"] == PRINCIPAL

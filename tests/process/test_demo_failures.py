"""What the demo notices when the plugin, Google or the registry does otherwise than it should."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo import chain, mistakes, scene
from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.demo.kubelet import (
    NO_RESPONSE,
    Credential,
    Kubelet,
    Response,
    decode,
)
from gcp_sa_credential_provider.demo.stage import Stage, opened
from gcp_sa_credential_provider.demo.step import Outcome, UnexpectedError
from gcp_sa_credential_provider.emulator.image import built_in, digest_of
from gcp_sa_credential_provider.plugin.token import read_claims

pytestmark = pytest.mark.xdist_group("demo-failures")
MANIFESTS = "/v2/*/manifests/*"
BLOBS = "/v2/*/blobs/*"
REFUSAL = {"error": "invalid_grant", "error_description": "A text that nobody knows."}


@pytest.fixture(scope="module")
def _opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with opened(tmp_path_factory.mktemp("demo")) as everything:
        yield everything


@pytest.fixture
def stage(_opened: Stage) -> Stage:
    """The demo's stage before the first exchange, with nothing granted but the demo's grant."""
    _opened.google.load(scene.google(ISSUER, _opened.issuer.jwks))
    _opened.google.log.clear()
    return replace(_opened, response=NO_RESPONSE)


def test_a_plugin_that_fails_ends_the_exchange(stage: Stage) -> None:
    """Its own line is the reason."""
    stage.google.faults.set("status", status=400, path="/v1/token", body=REFUSAL)
    with pytest.raises(UnexpectedError, match=r"^plugin: exit code 1: .*\[STS-REFUSED\]"):
        chain._exchange(stage)


def test_an_exchange_for_somebody_else_is_noticed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "SERVICE_ACCOUNT", "default")
    with pytest.raises(UnexpectedError, match=r"^exchange: Google saw .*:default, not .*:puller$"):
        chain._exchange(stage)


def test_a_response_that_outlives_the_token_is_noticed(stage: Stage) -> None:
    entry = Credential("us-docker.pkg.dev", "oauth2accesstoken", "secret")
    stage.response = Response("Global", "3600s", (entry,))
    with pytest.raises(UnexpectedError, match=r"^plugin: cacheDuration 3600s for a token"):
        chain._response(stage)


def test_a_mistake_that_is_not_refused_is_noticed(stage: Stage) -> None:
    """The plugin says something else, or the registry lets the pod in."""
    stage.google.faults.set("status", status=400, path="/v1/token", body=REFUSAL)
    with pytest.raises(UnexpectedError, match=r"\[STS-REFUSED\].*, not 1 with STS-CONDITION$"):
        mistakes._condition(stage)
    stage.google.faults.clear()
    stage.google.grant(
        scene.REPOSITORY, scene.READER, scene.principal("system:serviceaccount:demo:default")
    )
    with pytest.raises(UnexpectedError, match=r"^registry: .*:default could pull without a grant"):
        mistakes._no_grant(stage)


def test_another_refusal_of_the_registry_is_noticed(stage: Stage) -> None:
    error = {"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}
    stage.google.faults.set("status", status=429, path="/v2/token", body=error)
    with pytest.raises(UnexpectedError, match=r"^catalogue: .* in: 429 TOOMANYREQUESTS: slow down"):
        mistakes._no_grant(stage)


def test_asking_google_for_a_strangers_image_is_noticed(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "ELSEWHERE", scene.IMAGE)
    with pytest.raises(UnexpectedError, match=r"^plugin: exit code 0 \(no line\), not 2"):
        mistakes._elsewhere(stage)


def pulled(stage: Stage) -> Outcome:
    """Exchange, then pull with whatever fault is set at the registry."""
    chain._exchange(stage)
    return chain._pull(stage)


def test_a_manifest_of_another_digest_is_noticed(stage: Stage) -> None:
    headers = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}
    stage.google.faults.set("status", status=200, path=MANIFESTS, skip=1, body={}, headers=headers)
    with pytest.raises(UnexpectedError, match=r"^registry: manifest has digest sha256:\w+, not"):
        pulled(stage)


def test_a_blob_of_another_digest_is_noticed(stage: Stage) -> None:
    stage.google.faults.set("status", status=200, path=BLOBS, body="other bytes")
    with pytest.raises(UnexpectedError, match=r"^registry: config has digest sha256:\w+, not"):
        pulled(stage)


def test_a_blob_of_another_size_is_noticed(stage: Stage) -> None:
    manifest = json.loads(built_in().manifest)
    manifest["config"]["size"] += 1
    headers = {"Docker-Content-Digest": digest_of(json.dumps(manifest).encode())}
    stage.google.faults.set(
        "status", status=200, path=MANIFESTS, skip=1, body=manifest, headers=headers
    )
    with pytest.raises(UnexpectedError, match=r"^registry: config has \d+ bytes, the manifest"):
        pulled(stage)


def test_a_realm_elsewhere_gets_no_token(stage: Stage) -> None:
    """The challenge decides where the Google token goes: to the registry's own host only."""
    headers = {"WWW-Authenticate": 'Bearer realm="https://gcr.io/v2/token",service="gcr.io"'}
    stage.google.faults.set("status", status=401, path=MANIFESTS, body={}, headers=headers)
    with pytest.raises(UnexpectedError, match=r"^registry: the challenge leads to https://gcr\.io"):
        pulled(stage)
    assert [entry["path"] for entry in stage.google.log.entries("registry")] == [
        "/v2/demo-project/demo-repo/hello/manifests/latest"
    ]


def test_no_challenge_is_noticed(stage: Stage) -> None:
    stage.google.faults.set("status", status=500, path=MANIFESTS)
    with pytest.raises(UnexpectedError, match=r"^registry: 500 without a Bearer challenge"):
        pulled(stage)


def test_a_broken_connection_is_noticed(stage: Stage) -> None:
    stage.google.faults.set("close", path=BLOBS, after=10)
    with pytest.raises(UnexpectedError, match=r"^registry: RemoteProtocolError"):
        pulled(stage)


def test_an_answer_of_another_form_is_noticed(stage: Stage) -> None:
    stage.google.faults.set("captive_portal", path="/v2/token")
    with pytest.raises(UnexpectedError, match=r"^registry: an answer has not the form"):
        pulled(stage)


@pytest.mark.parametrize(
    ("stdout", "reason"),
    [
        (b"", "stdout is no CredentialProviderResponse"),
        (b"[]", "stdout is no CredentialProviderResponse"),
        (b"{}", "stdout is no CredentialProviderResponse"),
        (b'{"kind": "Pod", "apiVersion": "v1"}', "its response has another kind or apiVersion"),
        (
            (
                b'{"kind": "CredentialProviderResponse", "cacheKeyType": "Global",'
                b' "apiVersion": "credentialprovider.kubelet.k8s.io/v1", "cacheDuration": "1s",'
                b' "auth": {"gcr.io": {"username": "eyJ"}}}'
            ),
            "stdout is no CredentialProviderResponse",
        ),
    ],
)
def test_what_is_no_response_is_noticed_and_not_quoted(stdout: bytes, reason: str) -> None:
    with pytest.raises(UnexpectedError) as raised:
        decode(stdout)
    assert str(raised.value) == f"plugin: {reason}"


def test_the_most_specific_entry_wins() -> None:
    """As in the kubelet's keyring: entries sorted in reverse, and the first that matches."""
    entries = [Credential(name, "user", "secret") for name in ("*-docker.pkg.dev", "gcr.io")]
    exact = Credential("us-docker.pkg.dev", "user", "secret")
    response = Response("Global", "60s", (*entries, exact))
    assert response.credential_for(scene.IMAGE) == exact
    assert "secret" not in repr(response)
    with pytest.raises(UnexpectedError, match=r"no auth entry .* matches quay\.io/a/b$"):
        response.credential_for("quay.io/a/b")


def test_a_plugin_that_never_ends_is_killed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the kubelet does, after its patience."""
    monkeypatch.setattr("gcp_sa_credential_provider.demo.kubelet.PATIENCE_SECONDS", 0.5)
    stage.google.faults.set("stall", path="/v1/token")
    with pytest.raises(UnexpectedError, match=r"^plugin: no end after 0\.5 s$"):
        stage.kubelet.ask(scene.IMAGE, stage.issuer.token(scene.AUDIENCE))


def test_the_plugin_sees_the_configured_environment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable of the demo's own environment does not reach it."""
    monkeypatch.setenv("GCP_AUDIENCE", scene.AUDIENCE)
    run = Kubelet(tmp_path / "bin", {"GCP_LOG": "off"}).ask(scene.IMAGE, Issuer("EC").token("a"))
    assert (run.exit_code, run.response) == (2, None)
    assert "[SETTINGS-AUDIENCE-MISSING]" in run.line


def test_tokens_of_an_issuer_are_bound_to_what_is_asked_for() -> None:
    claims = read_claims(Issuer("EC").token("a", namespace="prod", service_account="app"))
    assert (claims.subject, claims.namespace, claims.service_account) == (
        "system:serviceaccount:prod:app",
        "prod",
        "app",
    )

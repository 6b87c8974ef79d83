"""run: the order of things, over real sockets to the emulator."""

import _thread
import json
import os
import sys
import threading
from pathlib import Path

import pytest

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.plugin import record
from gcp_sa_credential_provider.plugin import run as run_module
from gcp_sa_credential_provider.plugin.host import Host
from scene import ACCOUNT, AUDIENCE, IMAGE, Outcome, google_config, request, run_plugin

Environment = dict[str, str]

KEY = "gcp-sa-credential-provider/service-account"
PATTERNS = ["*-docker.pkg.dev", "gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io"]


def cached(outcome: Outcome) -> int:
    """The seconds of cacheDuration."""
    text: str = outcome.response["cacheDuration"]
    return int(text.removesuffix("s"))


def test_a_token_becomes_credentials_for_every_pattern(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Direct access: one exchange, one response, nothing on stderr."""
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.stderr) == (0, "")
    response = outcome.response
    assert response["kind"] == "CredentialProviderResponse"
    assert response["apiVersion"] == "credentialprovider.kubelet.k8s.io/v1"
    assert response["cacheKeyType"] == "Global"
    assert list(response["auth"]) == PATTERNS
    assert {auth["username"] for auth in response["auth"].values()} == {"oauth2accesstoken"}
    [exchange] = google.log.exchanges()
    assert exchange["form"] == "json"


def test_cache_duration_ends_before_the_token(environment: Environment, issuer: Issuer) -> None:
    """3598 seconds are left, of which a sixth of an hour is the margin; the exchange takes some."""
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert 2978 <= cached(outcome) <= 2997


@pytest.mark.parametrize("key_type", ["Registry", "Image"])
def test_narrower_cache_keys_name_the_images_registry(
    environment: Environment, issuer: Issuer, key_type: str
) -> None:
    """The kubelet caches by registry or image, so the credential is for that registry alone."""
    environment["GCP_CACHE_KEY_TYPE"] = key_type
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.response["cacheKeyType"] == key_type
    assert list(outcome.response["auth"]) == ["europe-docker.pkg.dev"]


def test_impersonation_ends_with_the_accounts_token(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """GCP_SERVICE_ACCOUNT: the federated token is only a step."""
    environment |= {"GCP_SERVICE_ACCOUNT": ACCOUNT, "GCP_SERVICE_ACCOUNT_LIFETIME": "1200"}
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert outcome.code == 0, outcome.stderr
    assert 885 <= cached(outcome) <= 900
    assert [entry["status"] for entry in google.log.entries("iam_credentials")] == [200]


def test_an_annotation_names_the_account_only_where_that_is_allowed(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Off by default: whoever may edit a ServiceAccount writes its annotations."""
    asked = request(issuer.token(AUDIENCE), serviceAccountAnnotations={KEY: ACCOUNT})
    assert run_plugin(environment, asked).code == 0
    assert google.log.entries("iam_credentials") == []
    environment["GCP_SERVICE_ACCOUNT_ANNOTATION"] = KEY
    environment["GCP_SERVICE_ACCOUNT"] = "nobody@project.iam.gserviceaccount.com"
    assert run_plugin(environment, asked).code == 0
    [entry] = google.log.entries("iam_credentials")
    assert ACCOUNT in str(entry)


@pytest.mark.parametrize("value", ["a b@c.d", "../x@y.z", "a@b@c", "A@b.c", "123", "", 7, None])
def test_a_bad_annotation_stops_before_any_network(
    environment: Environment, google: Emulator, issuer: Issuer, value: object
) -> None:
    """An annotation that names no account is refused, not ignored."""
    environment["GCP_SERVICE_ACCOUNT_ANNOTATION"] = KEY
    asked = request(issuer.token(AUDIENCE), serviceAccountAnnotations={KEY: value})
    outcome = run_plugin(environment, asked)
    assert (outcome.code, outcome.error, outcome.stdout) == (2, "ACCOUNT-NAME", b"")
    assert google.log.exchanges() == []


def test_an_account_in_settings_serves_where_the_annotation_is_absent(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """The annotation wins only where it stands."""
    environment["GCP_SERVICE_ACCOUNT_ANNOTATION"] = KEY
    environment["GCP_SERVICE_ACCOUNT"] = ACCOUNT
    assert run_plugin(environment, request(issuer.token(AUDIENCE))).code == 0
    assert len(google.log.entries("iam_credentials")) == 1


def test_an_image_outside_is_refused_before_any_network(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """An over-broad matchImages must not hand a Google token to a stranger."""
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE), "registry.example.com/a/b"))
    assert (outcome.code, outcome.error, outcome.stdout) == (2, "IMAGE-OUTSIDE", b"")
    assert "registry.example.com/a/b" in outcome.stderr
    assert google.log.exchanges() == []


def test_no_token_is_refused_with_its_causes(environment: Environment) -> None:
    """The node's identity is never used instead."""
    outcome = run_plugin(environment, request(None))
    assert (outcome.code, outcome.error) == (2, "REQUEST-NO-TOKEN")
    assert "tokenAttributes" in outcome.stderr
    assert "static pods" in outcome.stderr


def test_a_refusal_names_cause_and_fix(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """The provider's key has another kid: Google's words blame the issuer, ours do not."""
    google.load(google_config(Issuer()))
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error, outcome.stdout) == (1, "STS-ISSUER-KEYS", b"")
    assert issuer.kid in outcome.stderr
    assert "--jwk-json-path" in outcome.stderr
    assert outcome.stderr.isprintable()
    assert len(outcome.stderr.encode()) <= 1024


def test_no_budget_is_spent_on_a_stdin_that_stays_open(environment: Environment) -> None:
    """The watchdog ends a read that never ends, and what comes later says nothing more."""
    environment["GCP_TIMEOUT"] = "1"
    outcome = run_plugin(environment, None)
    assert (outcome.code, outcome.error, outcome.left) == (2, "REQUEST-TIMEOUT", [2])
    assert outcome.stderr.count("Fix: ") == 1


def test_an_unexpected_error_tells_its_place_and_nothing_else(
    environment: Environment, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A traceback or a message may quote a token."""

    def broken(*_: object) -> None:
        raise RuntimeError("with a secret in it")

    monkeypatch.setattr(run_module, "exchange", broken)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error) == (1, "INTERNAL")
    assert "RuntimeError in test_run.py:" in outcome.stderr
    assert "secret" not in outcome.stderr


def run_to(stdout: int, environment: Environment, asked: bytes) -> tuple[int, str]:
    """Exit code and stderr of a run that writes its response to this descriptor."""
    in_read, in_write = os.pipe()
    err_read, err_write = os.pipe()
    os.write(in_write, asked)
    os.close(in_write)
    host = Host(
        environment=environment, stdin=in_read, stdout=stdout, stderr=err_write, exit=lambda _: None
    )
    code = run_module.run(host)
    os.close(in_read)
    os.close(err_write)
    with os.fdopen(err_read) as err:
        return code, err.read()


def test_closed_stdout_is_refused_before_the_exchange(
    environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Its number would go to the next socket, and the response into that."""
    code, text = run_to(987, environment, request(issuer.token(AUDIENCE)))
    assert code == 2
    assert "[STDOUT-CLOSED] cannot write the response" in text
    assert google.log.exchanges() == []


def test_a_reader_that_is_gone_is_told(environment: Environment, issuer: Issuer) -> None:
    """EPIPE on the response."""
    out_read, out_write = os.pipe()
    os.close(out_read)
    code, text = run_to(out_write, environment, request(issuer.token(AUDIENCE)))
    os.close(out_write)
    assert code == 2
    assert "[STDOUT-CLOSED] cannot write the response to stdout: Broken pipe" in text


def test_nobody_at_stderr_leaves_the_exit_code(environment: Environment) -> None:
    """A failure that cannot be told is still one."""
    in_read, in_write = os.pipe()
    err_read, err_write = os.pipe()
    os.close(in_write)
    os.close(err_read)
    host = Host(
        environment=environment, stdin=in_read, stdout=1, stderr=err_write, exit=lambda _: None
    )
    assert run_module.run(host) == 2
    os.close(in_read)
    os.close(err_write)


def test_the_record_names_what_happened(
    environment: Environment, issuer: Issuer, home: Path
) -> None:
    """One line of JSON for each exchange, success or failure, without any secret."""
    log = home / "provider.log"
    environment["GCP_LOG"] = str(log)
    token = issuer.token(AUDIENCE)
    granted = run_plugin(environment, request(token))
    run_plugin(environment | {"GCP_SERVICE_ACCOUNT": "no@such.account"}, request(token))
    run_plugin(environment, b"")
    good, refused, empty = map(json.loads, log.read_text().splitlines())
    assert good["outcome"] == "OK"
    assert good["image"] == IMAGE
    assert good["serviceaccount"] == "demo/puller"
    assert good["kid"] == issuer.kid
    assert good["trust"] == environment["SSL_CERT_FILE"]
    assert good["tries"] == 1
    assert good["expires_in"] >= 3590
    assert {"ms_resolve", "ms_connect", "ms_tls", "ms_request"} <= set(good)
    assert (refused["outcome"], refused["account"]) == ("IAM-DENIED", "no@such.account")
    assert refused["message"].startswith("gcp-sa-credential-provider: [IAM-DENIED] ")
    assert empty["outcome"] == "REQUEST-EMPTY"
    access_token = granted.response["auth"]["gcr.io"]["password"]
    for secret in (token, token.rpartition(".")[2], access_token):
        assert secret not in log.read_text()


def test_no_thread_to_spare_is_told_all_the_same(
    environment: Environment, google: Emulator, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a watchdog there is no exchange, but there is a line."""

    def refuse(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(_thread, "start_new_thread", refuse)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.error, outcome.stdout) == (2, "STARTUP-THREAD", b"")
    assert "no thread could be started." in outcome.stderr
    assert google.log.exchanges() == []


def test_the_record_has_the_whole_line(
    environment: Environment, issuer: Issuer, home: Path
) -> None:
    """Its end is the fix; the journal is where people look first."""
    environment["GCP_LOG"] = str(home / "provider.log")
    outcome = run_plugin(environment, request(issuer.token("x" * 300)))
    (told,) = map(json.loads, (home / "provider.log").read_text().splitlines())
    assert len(outcome.stderr) > 512
    assert told["message"] == outcome.stderr


def test_where_no_line_can_be_made(
    environment: Environment, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The modules for it are gone, as those of a zipapp that was replaced meanwhile."""
    for module in ("line", "messages"):
        monkeypatch.setitem(sys.modules, f"gcp_sa_credential_provider.plugin.{module}", None)
    outcome = run_plugin(environment, request(issuer.token("another")))
    assert (outcome.code, outcome.error) == (1, "STS-AUDIENCE")
    assert "no more can be said (ModuleNotFoundError). Fix: see whether" in outcome.stderr


def test_a_line_that_takes_too_long_to_make(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file system that the modules for it are on does not answer: one line without them."""
    gone = threading.Event()

    class Stalled:
        """Finds nothing until the process has gone."""

        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            if name.endswith(".plugin.messages"):
                gone.wait()

    monkeypatch.delitem(sys.modules, "gcp_sa_credential_provider.plugin.messages")
    monkeypatch.delitem(sys.modules, "gcp_sa_credential_provider.plugin.line", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Stalled, *sys.meta_path])
    in_read, in_write = os.pipe()
    err_read, err_write = os.pipe()
    os.close(in_write)
    left: list[int] = []

    def leave(code: int) -> None:
        left.append(code)
        gone.set()

    host = Host(environment=environment, stdin=in_read, stdout=1, stderr=err_write, exit=leave)
    run_module.run(host)
    os.close(in_read)
    os.close(err_write)
    with os.fdopen(err_read) as err:
        text = err.read()
    assert left == [1]
    assert "[REQUEST-EMPTY] no more can be said (TimeoutError). Fix: see whether" in text
    assert text.count("Fix: ") == 1


def test_nor_can_it_be_written(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody reads stderr either: the exit code is left."""
    for module in ("line", "messages"):
        monkeypatch.setitem(sys.modules, f"gcp_sa_credential_provider.plugin.{module}", None)
    in_read, in_write = os.pipe()
    err_read, err_write = os.pipe()
    os.close(in_write)
    os.close(err_read)
    host = Host(
        environment=environment, stdin=in_read, stdout=1, stderr=err_write, exit=lambda _: None
    )
    assert run_module.run(host) == 1
    os.close(in_read)
    os.close(err_write)


def test_nor_when_time_runs_out(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watchdog ends the process all the same."""
    for module in ("line", "messages"):
        monkeypatch.setitem(sys.modules, f"gcp_sa_credential_provider.plugin.{module}", None)
    environment["GCP_TIMEOUT"] = "1"
    outcome = run_plugin(environment, None)
    assert (outcome.code, outcome.error, outcome.left) == (1, "REQUEST-TIMEOUT", [1])


def test_a_record_that_fails_spoils_no_pull(
    environment: Environment, issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response is out; and a failure that was told is not told twice."""

    def broken(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(record, "write", broken)
    outcome = run_plugin(environment, request(issuer.token(AUDIENCE)))
    assert (outcome.code, outcome.stderr) == (0, "")
    assert outcome.response["auth"]
    outcome = run_plugin(environment, b"")
    assert (outcome.code, outcome.stderr.count("Fix: ")) == (1, 1)

"""The contract with the kubelet, over every form of the program."""

import json
import os
import pty
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from gcp_sa_credential_provider.cli.main import COMMANDS
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process import launch
from process.launch import Ended, Launcher, credentials, refusal
from scene import ACCOUNT, AUDIENCE, request

Environment = Mapping[str, str]

PATTERNS = ["*-docker.pkg.dev", "gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io"]


def test_success_is_one_document_and_silence(
    each_plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Exit 0, the response on stdout, nothing on stderr, one exchange at Google."""
    response = credentials(each_plugin.run(environment, request(issuer.token(AUDIENCE))))
    assert list(response["auth"]) == PATTERNS
    assert response["cacheKeyType"] == "Global"
    [exchange] = google.log.exchanges()
    assert (exchange["status"], exchange["audience"]) == (200, AUDIENCE)


def test_impersonation_is_one_more_request(
    each_plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """The credentials are the account's, for the hour that was asked for less the margin."""
    asked = request(issuer.token(AUDIENCE))
    response = credentials(each_plugin.run({**environment, "GCP_SERVICE_ACCOUNT": ACCOUNT}, asked))
    assert 2990 <= int(response["cacheDuration"].removesuffix("s")) <= 3000
    assert [entry["service"] for entry in google.log.entries()] == ["sts", "iam_credentials"]


def test_a_refused_exchange_is_exit_1(
    each_plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """Google's word decides; one line says which link broke."""
    other = request(issuer.token(f"{AUDIENCE}-other"))
    assert refusal(each_plugin.run(environment, other)) == (1, "STS-AUDIENCE")


def test_a_bad_request_is_exit_2(each_plugin: Launcher, environment: Environment) -> None:
    """A document that no kubelet writes."""
    assert refusal(each_plugin.run(environment, b'{"kind":"Pod"}')) == (2, "REQUEST-KIND")


def test_a_bad_environment_is_exit_2(each_plugin: Launcher, issuer: Issuer) -> None:
    """Run under `env -i`: the environment is nothing but what this form is found by."""
    asked = request(issuer.token(AUDIENCE))
    assert refusal(each_plugin.run({}, asked)) == (2, "SETTINGS-AUDIENCE-MISSING")


def test_an_unreachable_google_is_exit_1(
    plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """Port 1 of loopback refuses."""
    nowhere = {**environment, "GCP_STS_ENDPOINT": "https://127.0.0.1:1"}
    asked = request(issuer.token(AUDIENCE))
    assert refusal(plugin.run(nowhere, asked)) == (1, "CONNECT-REFUSED")


def test_the_budget_ends_a_stall(
    every_plugin: list[Launcher], environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """Nobody answers: each form ends by itself, with a line. All at once, for time's sake."""
    google.faults.set("stall", path="/v1/token")
    asked = request(issuer.token(AUDIENCE))
    with ThreadPoolExecutor(len(every_plugin)) as pool:
        running = [
            pool.submit(form.run, {**environment, "GCP_TIMEOUT": "1"}, asked)
            for form in every_plugin
        ]
        for form, ended in zip(every_plugin, running, strict=True):
            assert (form.name, *refusal(ended.result())) == (form.name, 1, "ANSWER-TIMEOUT")


def test_an_unknown_word_is_exit_2(each_plugin: Launcher, environment: Environment) -> None:
    """What the kubelet's `args` might hold by mistake never looks like credentials."""
    ended = each_plugin.run(environment, arguments=["get-credentials"])
    assert (ended.code, ended.stdout) == (2, b"")
    assert b"get-credentials" in ended.stderr
    assert b"Traceback" not in ended.stderr


def test_a_terminal_gets_help(each_plugin: Launcher, environment: Environment) -> None:
    """Without arguments and with a terminal on stdin somebody wants to know what this is."""
    controller, terminal = pty.openpty()
    try:
        with each_plugin.started(environment, terminal) as process:
            ended = each_plugin.ended(process)
    finally:
        os.close(controller)
        os.close(terminal)
    assert (ended.code, ended.stdout) == (2, b"")
    assert ended.stderr.startswith(b"usage: gcp-sa-credential-provider")
    assert b"GCP_AUDIENCE" in ended.stderr


def test_help_lists_what_the_form_has(each_plugin: Launcher) -> None:
    """Each of these has help of its own; any other says where it is."""
    told = each_plugin.run({}, arguments=["--help"]).stdout.decode()
    commands = {name for name in COMMANDS if f"\n    {name} " in told}
    assert "explain" in commands
    for name in COMMANDS:
        ended = each_plugin.run({}, arguments=[name, "--help"])
        if name in commands:
            assert ended.stdout.startswith(f"usage: gcp-sa-credential-provider {name}".encode())
            continue
        assert (ended.code, ended.stdout) == (2, b"")
        assert b"this form of the program does not have it. Fix: " in ended.stderr


@pytest.mark.parametrize("version", launch.too_old())
def test_a_python_too_old_gets_a_sentence(version: str, tmp_path: Path) -> None:
    """From the zipapp and, where that Python can read the file at all, from the package."""
    if not launch.ZIPAPP.exists():
        pytest.skip(f"{launch.ZIPAPP} is not there; make zipapp builds it")
    python = launch.too_old()[version]
    forms = [Launcher("zipapp", (python, str(launch.ZIPAPP)))]
    if version.startswith("3."):
        forms.append(launch.module(version, python, tmp_path))
    for form in forms:
        ended = form.run({})
        assert refusal(ended) == (2, "STARTUP-PYTHON")
        assert f"is Python {version}".encode() in ended.stderr


def test_the_replaced_programs_configuration_works_unchanged(
    plugin: Launcher, google: Emulator, issuer: Issuer
) -> None:
    """GCP_AUDIENCE, no arguments; the proxy leads Google's own names to the emulator."""
    environment = {
        "GCP_AUDIENCE": AUDIENCE,
        "HTTPS_PROXY": google.endpoints["proxy"],
        "SSL_CERT_FILE": str(google.ca_pem),
    }
    credentials(plugin.run(environment, request(issuer.token(AUDIENCE))))
    assert google.proxy.tunnels == ["sts.googleapis.com:443"]
    [exchange] = google.log.exchanges()
    assert (exchange["host"], exchange["path"]) == ("sts.googleapis.com", "/v1/token")


def test_impersonation_goes_to_googles_own_name(
    plugin: Launcher, google: Emulator, issuer: Issuer
) -> None:
    """The second default endpoint."""
    environment = {
        "GCP_AUDIENCE": AUDIENCE,
        "GCP_SERVICE_ACCOUNT": ACCOUNT,
        "HTTPS_PROXY": google.endpoints["proxy"],
        "SSL_CERT_FILE": str(google.ca_pem),
    }
    credentials(plugin.run(environment, request(issuer.token(AUDIENCE))))
    assert google.proxy.tunnels == ["sts.googleapis.com:443", "iamcredentials.googleapis.com:443"]


def test_forty_at_once_all_succeed(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """A node that boots pulls all its images at the same time."""
    asked = request(issuer.token(AUDIENCE))

    def one(_: int) -> Ended:
        return plugin.run({**environment, "GCP_TIMEOUT": "55"}, asked)

    with ThreadPoolExecutor(40) as pool:
        for ended in pool.map(one, range(40)):
            credentials(ended)
    assert [entry["status"] for entry in google.log.exchanges()] == [200] * 40


def test_nothing_but_the_descriptors_is_used(
    plugin: Launcher, environment: Environment, issuer: Issuer, tmp_path: Path
) -> None:
    """No HOME, a working directory that cannot be written, an empty TMPDIR that stays empty."""
    read_only, temporary = tmp_path / "cwd", tmp_path / "tmp"
    read_only.mkdir(mode=0o555)
    temporary.mkdir()
    asked = request(issuer.token(AUDIENCE))
    ended = plugin.run({**environment, "TMPDIR": str(temporary)}, asked, cwd=read_only)
    credentials(ended)
    assert (list(read_only.iterdir()), list(temporary.iterdir())) == ([], [])


def test_a_read_only_file_system_is_enough(
    plugin: Launcher, environment: Environment, issuer: Issuer, tmp_path: Path
) -> None:
    """Root ignores modes, so the working directory is mounted read-only, in a namespace of ours."""
    if os.geteuid() != 0:
        pytest.skip("needs root, for a mount namespace")
    script = f'mount --bind {tmp_path} {tmp_path} && mount -o remount,bind,ro {tmp_path} && "$@"'
    wrapper = ["unshare", "--mount", "sh", "-c", f"cd / && {script}", "sh"]
    inside = f'cd {tmp_path} && ! touch probe 2>/dev/null && exec "$@"'
    ended = plugin.run(
        {**environment, "PATH": os.defpath},
        request(issuer.token(AUDIENCE)),
        wrapper=[*wrapper, "sh", "-c", inside, "sh"],
    )
    credentials(ended)
    assert list(tmp_path.glob("probe")) == []


def test_unknown_fields_of_a_newer_kubelet_are_ignored(
    plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """And so is white space around the document."""
    asked = request(issuer.token(AUDIENCE), podUID="x", nested={"a": [1, None, "\u00e4"]})
    credentials(plugin.run(environment, b"\n\t " + asked + b"\r\n"))


def test_a_request_in_pieces_is_read_to_its_end(
    plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """A pipe may deliver any cut of the document."""
    asked = request(issuer.token(AUDIENCE))
    with plugin.started(environment, subprocess.PIPE) as process:
        assert process.stdin is not None
        for start in range(0, len(asked), 7):
            process.stdin.write(asked[start : start + 7])
            process.stdin.flush()
        process.stdin.close()
        process.stdin = None
        credentials(plugin.ended(process))


def test_image_outside_the_registries_gets_no_token(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """An over-broad matchImages hands nothing to strangers, and asks nothing of Google."""
    asked = request(issuer.token(AUDIENCE), image="registry.example.com/app")
    assert refusal(plugin.run(environment, asked)) == (2, "IMAGE-OUTSIDE")
    assert google.log.entries() == []


@pytest.mark.parametrize("absent", [{"serviceAccountToken": ""}, {"serviceAccountToken": None}])
def test_a_request_without_a_token_is_refused(
    plugin: Launcher, environment: Environment, google: Emulator, absent: dict[str, Any]
) -> None:
    """A static pod, or tokenAttributes forgotten: the node's identity is never used instead."""
    ended = plugin.run(environment, request("x", **absent))
    assert refusal(ended) == (2, "REQUEST-NO-TOKEN")
    assert b"tokenAttributes" in ended.stderr
    assert google.log.entries() == []


def test_the_response_is_exactly_the_documents_bytes(
    plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """One JSON value from the first byte to the last, with the fields of the API and no more."""
    ended = plugin.run(environment, request(issuer.token(AUDIENCE)))
    document, end = json.JSONDecoder().raw_decode(ended.stdout.decode("ascii"))
    assert end == len(ended.stdout)
    assert list(document) == ["kind", "apiVersion", "cacheKeyType", "cacheDuration", "auth"]

"""Texts of Google, the API server, the kubelet, containerd and the registry, and their codes."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gcp_sa_credential_provider.catalogue.messages import ALL, FOREIGN
from gcp_sa_credential_provider.catalogue.recognise import (
    Finding,
    Recognised,
    entries,
    findings,
    masked,
    recognise,
)
from gcp_sa_credential_provider.catalogue.texts import TEXTS, Text
from gcp_sa_credential_provider.cli.main import main
from gcp_sa_credential_provider.plugin import exchange, impersonate
from gcp_sa_credential_provider.plugin.http import Answer
from gcp_sa_credential_provider.plugin.token import Claims

JWT = "eyJhbGciOiJSUzI1NiIsImtpZCI6ImsifQ.eyJpc3MiOiJodHRwczovL2V4YW1wbGUifQ.c2lnbmF0dXJl"
AUDIENCE = (
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool"
    "/providers/cluster"
)
CLAIMS = Claims(
    issuer="https://kubernetes.default.svc",
    subject="system:serviceaccount:team-a:puller",
    audience=AUDIENCE,
    key_id="k",
    algorithm="RS256",
    issued_at=1,
    expires_at=2,
    namespace="team-a",
    service_account="puller",
)

FIELD = yaml.safe_load(Path(__file__).with_name("recognise.yaml").read_text("utf-8"))
DOWNLOAD = "artifactregistry.repositories.downloadArtifacts"


def expected(row: dict[str, Any]) -> Recognised:
    """What a row of the file asks for."""
    return Recognised(row["code"], row.get("evidence", {}))


def answer(status: int, document: object) -> Answer:
    """What Google sends, with the document as JSON."""
    body = json.dumps(document).encode()
    return Answer(
        status=status, content_type="application/json", date=None, retry_after=0.0, body=body
    )


@pytest.mark.parametrize("row", FIELD["sts"], ids=lambda row: row["code"])
def test_sts_agrees_with_the_plugin(row: dict[str, Any]) -> None:
    """The plugin's prefix tests and the patterns here name each of Google's refusals alike."""
    document: dict[str, object] = {"error": row["error"], "error_description": row["text"]}
    failure = exchange._refusal(answer(row["status"], document), document, AUDIENCE, CLAIMS)
    assert failure.code == row["code"]
    assert recognise(row["text"]) == expected(row)
    assert recognise(json.dumps(document, indent=2)) == expected(row)


def test_every_refusal_that_the_plugin_knows_is_tested() -> None:
    """A new row of REFUSALS needs a text in the file."""
    assert {code for _, _, code in exchange.REFUSALS} == {row["code"] for row in FIELD["sts"]}


@pytest.mark.parametrize("error", ["invalid_target", "quota_exceeded"])
def test_error_code_alone(error: str) -> None:
    """Two refusals are known by OAuth's `error`, whatever words come with it."""
    document: dict[str, object] = {"error": error, "error_description": "new words"}
    failure = exchange._refusal(answer(400, document), document, AUDIENCE, CLAIMS)
    assert recognise(json.dumps(document)) == Recognised(failure.code)


@pytest.mark.parametrize("row", FIELD["iam"], ids=lambda row: row["code"])
def test_iam_agrees_with_the_plugin(row: dict[str, Any]) -> None:
    """The same for the answers of the IAM Credentials API."""
    error = {"code": row["status"], "status": row["error"], "message": row["text"]}
    document: dict[str, object] = {"error": error}
    failure = impersonate._refusal(answer(row["status"], document), document, "a@b", 7200, CLAIMS)
    assert failure.code == row["code"]
    assert recognise(json.dumps(document)) == expected(row)


@pytest.mark.parametrize("row", FIELD["others"], ids=lambda row: row["code"])
def test_other_programs(row: dict[str, Any]) -> None:
    """Lines as the kubelet, the API server, containerd and Google write them."""
    assert recognise(row["text"]) == expected(row)


def test_every_foreign_code_is_met_in_the_field() -> None:
    """The examples of the documentation alone would prove themselves."""
    assert set(FOREIGN) - {row["code"] for row in FIELD["others"]} == set()


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.code)
def test_example(text: Text) -> None:
    """What the documentation shows is recognised as what it is shown for."""
    recognised = recognise(text.example)
    assert recognised is not None
    assert recognised.code == text.code


@pytest.mark.parametrize(
    ("words", "evidence"),
    [
        (["get-credentials"], {"argument": "get-credentials"}),
        (["--v=5"], {"arguments": "--v=5"}),
        (["--v=5", "get-credentials"], {"argument": "get-credentials"}),
        (["explain"], {}),
    ],
)
def test_usage_in_the_kubelets_log(
    words: list[str], evidence: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    """An entry with `args`, as other providers have them: this program takes them for a command."""
    try:
        code: object = main(words)
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr().err
    line = f"error execing credential provider plugin x for image gcr.io/p/a: exit status {code}: "
    assert recognise(line + said) == Recognised(
        "KUBELET-EXEC-ARGS", {"plugin": "x", "image": "gcr.io/p/a"} | evidence
    )


def test_own_line_wins() -> None:
    """The kubelet wraps it and it quotes Google; it is still our own code that counts."""
    line = (
        "E1124 10:00:00.000000 1 plugin.go:440] Failed getting credential from external registry "
        "credential provider: error execing credential provider plugin gcp-sa-credential-provider "
        "for image us-docker.pkg.dev/p/r/app: exit status 1: gcp-sa-credential-provider: "
        "[STS-REFUSED] refused: Error connecting to the given credential's issuer (2 tries). "
        "Fix: read Google's words"
    )
    assert recognise(line) == Recognised(
        "STS-REFUSED",
        {
            "said": "refused: Error connecting to the given credential's issuer (2 tries)",
            "image": "us-docker.pkg.dev/p/r/app",
        },
    )


def test_own_line_of_another_version() -> None:
    """A code that this version does not have: the words beside it may still be known."""
    line = "gcp-sa-credential-provider: [STS-NEWER] Unable to verify the ID Token signature"
    assert recognise(line) == Recognised("STS-SIGNATURE")


def test_own_line_cut_short() -> None:
    """A log may cut lines: without the fix the rest is what was said."""
    line = "gcp-sa-credential-provider: [DNS-TIMEOUT] resolving sts.googleapis.com took lon"
    assert recognise(line) == Recognised(
        "DNS-TIMEOUT", {"said": "resolving sts.googleapis.com took lon"}
    )


@pytest.mark.parametrize("prefix", ["", "Nov 24 10:00:00 n1 kubelet[7]: "])
def test_block_of_klog(prefix: str) -> None:
    """From 1.35 on the kubelet writes our line as a block: the pod's name stands at its end."""
    block = [
        'E1124 10:00:00.000000 1 plugin.go:416] "Failed to provide credentials for image" err=<\n',
        (
            "\tfailed to get credential from external registry credential provider: error execing "
            "credential provider plugin gcp-sa-credential-provider for image gcr.io/p/app: exit "
            "status 1: gcp-sa-credential-provider: [STS-CONDITION] refused. Fix: add it\n"
        ),
        ' > provider="gcp-sa-credential-provider" image="gcr.io/p/app" pod="team-a/pod-1"\n',
    ]
    lines = ["before\n", *block, "after\n"]
    assert list(entries(prefix + line for line in lines)) == [
        prefix + "before\n",
        "".join(prefix + line for line in block),
        prefix + "after\n",
    ]
    assert findings(prefix + line for line in lines) == [
        Finding(
            Recognised(
                "STS-CONDITION",
                {"said": "refused", "image": "gcr.io/p/app", "pod": "team-a/pod-1"},
            ),
            last="11-24 10:00:00",
        )
    ]


def test_block_without_end() -> None:
    """A block that never ends holds back neither the rest of a log nor memory."""
    lines = ["err=<\n", *(f"\t{number}\n" for number in range(200))]
    parts = list(entries(lines))
    assert "".join(parts) == "".join(lines)
    assert max(part.count("\n") for part in parts) == 50
    assert list(entries(["err=<\n", "\tcut off"])) == ["err=<\n\tcut off"]


def test_findings_in_the_order_of_the_chain() -> None:
    """The effect is logged often and may come first; the cause is named first, each once."""
    effect = f'Unauthenticated request. Permission "{DOWNLOAD}"\n'
    cause = "gcp-sa-credential-provider: [CONNECT-TIMEOUT] no answer. Fix: let it\n"
    found = findings([effect, "noise\n", cause, effect, cause, effect])
    codes = [(finding.latest.code, finding.times) for finding in found]
    assert codes == [("CONNECT-TIMEOUT", 2), ("REGISTRY-ANONYMOUS", 3)]


def test_the_latest_occurrence_counts() -> None:
    """An hour of log holds what was mended since: it must not stand for what is wrong now."""
    line = (
        'E1124 {}.000000 1 plugin.go:416] "Failed to provide credentials for image" err="exit '
        'status 1: gcp-sa-credential-provider: [STS-AUDIENCE] {}. Fix: x" pod="{}"\n'
    )
    log = [line.format("18:00:00", "before", "a/old"), line.format("19:00:00", "now", "b/new")]
    assert findings(log) == [
        Finding(
            Recognised("STS-AUDIENCE", {"said": "now", "pod": "b/new"}),
            times=2,
            last="11-24 19:00:00",
        )
    ]


ANONYMOUS = (
    "failed to authorize: failed to fetch anonymous token: unexpected status from GET request to "
    "https://{}/v2/token?scope=x: 403 Forbidden\n"
)


def test_causes_of_one_code_are_kept_apart() -> None:
    """Another registry, permission or plugin is another cause; what was seen last comes first."""
    denied = (
        f'Permission "{DOWNLOAD}" denied on resource "projects/p/locations/us/repositories/{{}}"\n'
    )
    execed = "error execing credential provider plugin {} for image gcr.io/p/app: exit status 1: \n"
    log = [
        *(ANONYMOUS.format(host) for host in ("gcr.io", "us-docker.pkg.dev", "gcr.io")),
        *(denied.format(name) for name in "ab"),
        *(execed.format(name) for name in ("gcp-sa-credential-provider", "other")),
    ]
    told = ("plugin", "registry", "resource")
    found = [
        (
            finding.latest.code,
            next(finding.latest.evidence[name] for name in told if name in finding.latest.evidence),
            finding.times,
        )
        for finding in findings(log)
    ]
    assert found == [
        ("KUBELET-EXEC", "other", 1),
        ("KUBELET-EXEC", "gcp-sa-credential-provider", 1),
        ("REGISTRY-ANONYMOUS", "gcr.io", 2),
        ("REGISTRY-ANONYMOUS", "us-docker.pkg.dev", 1),
        ("REGISTRY-DENIED", "projects/p/locations/us/repositories/b", 1),
        ("REGISTRY-DENIED", "projects/p/locations/us/repositories/a", 1),
    ]


def test_a_code_does_not_flood() -> None:
    """Whoever may make pods chooses names: the latest few are kept, in answer and in memory."""
    log = (ANONYMOUS.format(f"a{number}-docker.pkg.dev") for number in range(1000))
    hosts = [finding.latest.evidence["registry"] for finding in findings(log)]
    assert hosts == [f"a{number}-docker.pkg.dev" for number in range(999, 994, -1)]


OTHERS = ("auth.docker.io", "mirror.gcr.io", "k8s.gcr.io", "x.us-docker.pkg.dev", "gcr.io.x.dev")


@pytest.mark.parametrize("host", OTHERS)
@pytest.mark.parametrize(
    "text",
    [
        ANONYMOUS,
        "failed to fetch oauth token: unexpected status from POST request to https://{}/t: 403 F",
        "failed to fetch oauth token: unexpected status from POST request to https://{}/t: 401 U",
        "unexpected status from HEAD request to https://{}/v2/p/app/manifests/1: 403 Forbidden",
        "unexpected status from HEAD request to https://{}/v2/p/app/x: 412 Precondition Failed",
        'failed to resolve reference "{}/p/app:1": authorization failed: no basic auth credentials',
        'failed to resolve reference "{0}/p/app:1": {0}/p/app:1: not found',
        'I1124 10:00:00.0 1 a.go:1] "Pulling image without credentials" image="{}/p/app:1"',
    ],
)
def test_other_registries_are_not_ours(host: str, text: str) -> None:
    """What we would advise is about Google's; on many nodes most pulls are from elsewhere."""
    assert recognise(text.format(host)) is None
    assert recognise(text.format("gcr.io")) is not None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I1124 Starting kubelet",
        "Failed to pull image: 403 Forbidden",
        "registry.example.com/app: 403 Forbidden",
        "gcp-sa-credential-provider: [] nothing",
        'failed to resolve reference "docker.io/library/none:1": not found',
    ],
)
def test_unknown(text: str) -> None:
    """What is not known is not guessed at."""
    assert recognise(text) is None


@pytest.mark.parametrize(
    "secret",
    [
        JWT,
        JWT[:60],
        "ya29.d.abcdefgh-IJKL_mnop",
        "Bearer abcdefghijklmnop0123456789",
        "Basic b2F1dGgyYWNjZXNzdG9rZW46c2VjcmV0",
    ],
)
def test_tokens_are_masked(secret: str) -> None:
    """Evidence may be foreign text; nothing in it that looks like a token is passed on."""
    line = f"gcp-sa-credential-provider: [ANSWER-HTML] page: {secret} end. Fix: x"
    assert recognise(line) == Recognised("ANSWER-HTML", {"said": "page: [REDACTED] end"})


@pytest.mark.parametrize("kind", ["", "EC ", "RSA ", "ENCRYPTED "])
def test_a_private_key_is_masked(kind: str) -> None:
    """To the end of the text, whatever its lines are."""
    text = f"error: -----BEGIN {kind}PRIVATE KEY-----\nMHcCAQEE\nIOzSEC\n-----END"
    assert masked(text) == "error: [REDACTED]"


def test_password_of_a_proxy_is_masked() -> None:
    """A URL's user and password go, its host stays."""
    for password in ("pass", "p@ss", "pass@"):
        assert masked(f"http://user:{password}@proxy:3128/") == "http://[REDACTED]@proxy:3128/"


def test_evidence_is_short_and_printable() -> None:
    """It may end on a terminal."""
    recognised = recognise(
        f"The issuer in ID Token \x1b[31m{'x' * 900} does not match the expected one"
    )
    assert recognised is not None
    issuer = recognised.evidence["issuer"]
    assert issuer == "?[31m" + "x" * 392 + "..."


@settings(deadline=None)
@given(st.text())
def test_any_text(text: str) -> None:
    """No text is an error."""
    recognised = recognise(text)
    assert recognised is None or recognised.code in ALL


@settings(deadline=timedelta(seconds=5), max_examples=50)
@given(
    st.lists(
        st.sampled_from(
            ["system:node:", "gcr.io/", "ya29.", "eyJ", "://", "\\", '"', "providers", "=<", " 412"]
            + [text.example for text in TEXTS]
        ),
        max_size=300,
    )
)
def test_hostile_text(pieces: list[str]) -> None:
    """Beginnings of many texts, again and again: no pattern runs away, or the deadline ends it."""
    recognise("".join(pieces) * 4)

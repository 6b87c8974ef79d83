"""Our entries, and their form for a minor."""

from typing import Any

import pytest

from gcp_sa_credential_provider.node import entry, splice
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.entry import PLUGIN
from gcp_sa_credential_provider.node.failure import Refused
from unit.provider_configs import OURS, SECOND


@pytest.mark.parametrize(
    ("value", "ours"),
    [
        (OURS, True),
        (SECOND, True),
        ({"name": PLUGIN}, True),
        ({"name": "b", "env": [{"name": "GCP_AUDIENCE"}]}, True),
        ({"name": "b", "env": [{"name": "OTHER"}, "text"]}, False),
        ({"name": "b", "env": "text"}, False),
        ({"name": f"{PLUGIN}-b"}, False),
        ("text", False),
    ],
)
def test_which_are_ours(value: object, ours: bool) -> None:  # noqa: FBT001 -- a table's column
    assert entry.is_ours(value) is ours


def test_taken_from_a_whole_configuration() -> None:
    """Entries of others in it are left."""
    text = splice.whole([{"name": "ecr"}, OURS, SECOND], "all")
    assert entry.taken(text.encode(), "F") == [OURS, SECOND]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\xff", "F: line 1, column 1: not UTF-8"),
        (b"a\n\xc3\xa9\xff", "F: line 2, column 2: not UTF-8"),
        (b"- a", "F: line 1, column 1: not a mapping"),
        (b"providers: [{name: b}]", "F: none of its 1 providers is ours"),
        (b"providers: [{env: [{name: GCP_AUDIENCE}]}]", "F: the name None cannot be a program's"),
        (b"providers: [{name: .., env: [{name: GCP_AUDIENCE}]}]", "the name '..' cannot be"),
        (
            b"providers: [{name: a, env: [{name: GCP_AUDIENCE}, {value: 20}]}]",
            "F: the entry a: env[1].value is the number 20, and the kubelet wants text there",
        ),
        (
            b"providers: [{name: a, env: [{name: GCP_AUDIENCE, value: b}, {name: C}]}]",
            "F: the entry a: env[1] has not both a name and a value",
        ),
        (b"providers: [{name: gcp-sa-credential-provider, env: [~]}]", "env[0] has not both"),
        (
            b"providers: [{name: a, env: [{name: GCP_AUDIENCE, value: b}, {name: C, value: ~}]}]",
            "F: the entry a: env[1] has not both a name and a value",
        ),
        (
            b"providers: [{name: a, env: [{name: GCP_AUDIENCE, value: b}]}]",
            "F: the entry a: it has no tokenAttributes",
        ),
    ],
)
def test_refused(content: bytes, why: str) -> None:
    with pytest.raises(Refused) as refused:
        entry.taken(content, "F")
    assert why in str(refused.value)
    assert " Fix: " in str(refused.value)


def with_variables(**variables: str) -> dict[str, Any]:
    """Our entry with these in its environment too."""
    env = [*OURS["env"], *({"name": name, "value": text} for name, text in variables.items())]
    return {**OURS, "env": env}


@pytest.mark.parametrize(
    ("ours", "why"),
    [
        ({**OURS, "args": ["--verbose"]}, "has args, and started with words the program is"),
        (with_variables(GCP_LOG="stderr"), "[SETTINGS-VALUE] GCP_LOG is stderr, not journal"),
        (with_variables(GCP_AUDIENCE="pool"), "[SETTINGS-AUDIENCE] GCP_AUDIENCE is not a"),
        (with_variables(HTTPS_PROXY="https://10.0.0.1:3128"), "[SETTINGS-PROXY] HTTPS_PROXY"),
        (
            with_variables(
                HTTPS_PROXY="https://10.0.0.1:3128",
                NO_PROXY="sts.googleapis.com",
                GCP_SERVICE_ACCOUNT="puller@project-1.iam.gserviceaccount.com",
            ),
            "[SETTINGS-PROXY] HTTPS_PROXY",
        ),
        (with_variables(https_proxy="socks5://10.0.0.1:1080"), "[SETTINGS-PROXY] https_proxy"),
    ],
)
def test_refused_by_the_program_on_every_pull(ours: dict[str, Any], why: str) -> None:
    """The kubelet starts on it, and each pull is anonymous from then on."""
    with pytest.raises(Refused) as refused:
        entry.taken(splice.whole([ours], "c").encode(), "F")
    assert str(refused.value).startswith(f"F: the entry {PLUGIN}: ")
    assert why in str(refused.value)
    assert " Fix: " in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("HTTPS_PROXY", "https://user:pass-9f3b1c@10.0.0.1:3128"),
        ("https_proxy", "user:pass-9f3b1c%@10.0.0.1:3128"),
        ("GCP_STS_ENDPOINT", "https://user:pass-9f3b1c@sts.example.com"),
    ],
)
def test_no_password_is_shown(variable: str, text: str) -> None:
    ours = with_variables(**{variable: text})
    with pytest.raises(Refused) as refused:
        entry.taken(splice.whole([ours], "c").encode(), "F")
    assert f"{variable} " in str(refused.value)
    assert "9f3b1c" not in str(refused.value)
    assert "user:" not in str(refused.value)


@pytest.mark.parametrize(
    "ours",
    [
        {**OURS, "args": []},
        {**OURS, "args": None},
        with_variables(GCP_LOG="/var/log/provider.log"),
        with_variables(HTTPS_PROXY="https://10.0.0.1:3128", NO_PROXY="sts.googleapis.com"),
        with_variables(HTTPS_PROXY="http://user:password@10.0.0.1:3128", NO_PROXY="*"),
        {**OURS, "env": [{"name": "GCP_LOG", "value": "?"}, *with_variables(GCP_LOG="off")["env"]]},
        with_variables(OTHER="\u00e9"),
    ],
)
def test_what_the_program_takes(ours: dict[str, Any]) -> None:
    assert entry.taken(splice.whole([ours], "c").encode(), "F") == [ours]


@pytest.mark.parametrize(
    "env",
    [
        "text",
        True,
        {"a": "b"},
        [{"name": "GCP_LOG", "value": True}],
        [{"name": ["a"], "value": "b"}],
    ],
)
def test_what_the_kubelet_refuses_is_left_to_its_check(env: object) -> None:
    """Variables that are no text."""
    ours = {**OURS, "env": env}
    assert entry.taken(splice.whole([ours], "c").encode(), "F") == [ours]


def test_text_of() -> None:
    assert entry.text_of("é".encode()) == "é"
    with pytest.raises(Unreadable):
        entry.text_of(b"\xe9")


def test_minors() -> None:
    """1.33 knows no cacheType; from 1.34 on it is required, and what it was before comes again."""
    without = entry.for_minor(OURS, (1, 33))
    assert "cacheType" not in without["tokenAttributes"]
    assert OURS["tokenAttributes"]["cacheType"] == "ServiceAccount"
    assert entry.for_minor(OURS, (1, 34)) == OURS
    assert entry.cache_type(entry.for_minor(without, (1, 35), "Token")) == "Token"
    assert entry.cache_type(entry.for_minor(without, (2, 0))) == "ServiceAccount"
    assert entry.for_minor({"name": "a"}, (1, 34)) == {"name": "a"}


@pytest.mark.parametrize(
    ("value", "found"),
    [(OURS, "ServiceAccount"), ({}, None), ({"tokenAttributes": {"cacheType": True}}, None)],
)
def test_cache_type(value: dict[str, Any], found: str | None) -> None:
    assert entry.cache_type(value) == found


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("1.34", (1, 34)),
        ("v1.34.2+k3s1", (1, 34)),
        (" 1.9 ", (1, 9)),
        ("1", None),
        ("1.", None),
        ("1.x", None),
        ("34", None),
        ("", None),
        ("1.\u0663", None),
    ],
)
def test_minor_of(text: str, minor: tuple[int, int] | None) -> None:
    assert entry.minor_of(text) == minor

"""The kubelet's check, as we make it: what is said, and where. Its own code judges the verdicts."""

import copy
import hashlib
from typing import Any

import pytest

from gcp_sa_credential_provider.node import splice
from gcp_sa_credential_provider.node.entry import for_minor
from gcp_sa_credential_provider.node.validate import (
    GATE,
    File,
    Reader,
    bad_pattern,
    config_hash,
    problems,
    with_our_flags,
)
from unit.provider_configs import OURS

READER = Reader(minor=(1, 34), gates={}, executable=lambda name: name == OURS["name"])


def told(provider: dict[str, Any], reader: Reader = READER) -> list[str]:
    """What is said of a file with this one provider."""
    return problems([File("F", splice.whole([provider], "c").encode())], reader)


def with_attributes(**changes: Any) -> dict[str, Any]:
    """Our entry with other tokenAttributes."""
    provider = copy.deepcopy(OURS)
    provider["tokenAttributes"].update(changes)
    return provider


def test_a_good_one() -> None:
    assert told(OURS) == []


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"name": "a/b"}, ".name: 'a/b' may hold neither '/' nor spaces, nor be '.' or '..'"),
        ({"name": "a"}, ".name: no program 'a' that can be run is in the folder of providers"),
        ({"apiVersion": "v1"}, ".apiVersion: 'v1' is not one of credentialprovider.kubelet.k8s.io"),
        ({"matchImages": []}, ".matchImages: there is none"),
        ({"matchImages": ["a b"]}, ".matchImages: 'a b': its host holds a character"),
        ({"defaultCacheDuration": None}, ".defaultCacheDuration: is missing"),
        ({"defaultCacheDuration": "-1s"}, ".defaultCacheDuration: '-1s' is less than 0"),
    ],
)
def test_a_provider(changes: dict[str, Any], what: str) -> None:
    assert any(f"F: providers[0]{what}" in one for one in told({**OURS, **changes}))


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"serviceAccountTokenAudience": ""}, ".serviceAccountTokenAudience: is missing"),
        ({"requireServiceAccount": None}, ".requireServiceAccount: is missing"),
        (
            {"requireServiceAccount": False, "requiredServiceAccountAnnotationKeys": ["a"]},
            ".requiredServiceAccountAnnotationKeys: requireServiceAccount is false",
        ),
        (
            {"optionalServiceAccountAnnotationKeys": ["a", "a"]},
            ".optionalServiceAccountAnnotationKeys: 'a' stands twice",
        ),
        (
            {"optionalServiceAccountAnnotationKeys": ["a b"]},
            ".optionalServiceAccountAnnotationKeys: 'a b' is no annotation's key",
        ),
        (
            {
                "optionalServiceAccountAnnotationKeys": ["a"],
                "requiredServiceAccountAnnotationKeys": ["a"],
            },
            ": the annotation 'a' is both required and optional",
        ),
        ({"cacheType": "Never"}, ".cacheType: 'Never' is not one of ServiceAccount, Token"),
        ({"cacheType": None}, ".cacheType: None is not one of ServiceAccount, Token"),
    ],
)
def test_token_attributes(changes: dict[str, Any], what: str) -> None:
    assert told(with_attributes(**changes)) == [f"F: providers[0].tokenAttributes{what}"]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"name": True}, "name is not a text"),
        ({"matchImages": "a"}, "matchImages is no list"),
        ({"matchImages": [True]}, "matchImages holds something other than a text"),
        ({"tokenAttributes": []}, "tokenAttributes is not a mapping"),
        ({"env": [{"name": "a", "more": "b"}]}, "the field 'env[0].more' is unknown"),
        ({"more": "a"}, "the field 'more' is unknown to this kubelet"),
        ({"defaultCacheDuration": "1"}, "defaultCacheDuration is '1', which is no duration"),
        ({"defaultCacheDuration": "\u0661s"}, "which is no duration"),
        ({"defaultCacheDuration": "2562048h"}, "defaultCacheDuration is '2562048h', which is no"),
        (
            {"tokenAttributes": {"requireServiceAccount": "a"}},
            "tokenAttributes.requireServiceAccount is not true or false",
        ),
    ],
)
def test_what_cannot_be_decoded(changes: dict[str, Any], what: str) -> None:
    (said,) = told({**OURS, **changes})
    assert said.startswith("F: line 5, column 3: ")
    assert what in said


def test_minors_and_gates() -> None:
    """1.33 knows no cacheType and has the gate off; before it there are no tokens at all."""
    old = for_minor(OURS, (1, 33))
    alpha = Reader(minor=(1, 33), gates={GATE: True}, executable=READER.executable)
    assert told(old, alpha) == []
    assert "'tokenAttributes.cacheType' is unknown" in told(OURS, alpha)[0]
    off = Reader(minor=(1, 33), gates={}, executable=READER.executable)
    assert f"the kubelet's feature gate {GATE} is off" in told(old, off)[0]
    assert with_our_flags((1, 33), {"A": False}) == {"A": False, GATE: True}
    off = Reader(minor=(1, 34), gates={GATE: False}, executable=READER.executable)
    assert f"{GATE} is off" in told(OURS, off)[0]
    assert with_our_flags((1, 34), {GATE: False}) == {GATE: False}
    older = Reader(minor=(1, 32), gates={}, executable=READER.executable)
    assert "'tokenAttributes' is unknown" in told(old, older)[0]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("kind: a\n", "F: line 1, column 1: apiVersion is None, not one of"),
        ("apiVersion: kubelet.config.k8s.io/v1\nkind: a\n", "F: line 2, column 1: kind is 'a'"),
        ("- a", "F: line 1, column 1: not a mapping"),
        ("\t", "F: line 1, column 1: not"),
        ("a: \xff", "F: line 1"),
    ],
)
def test_files(text: str, what: str) -> None:
    (said,) = problems([File("F", text.encode("latin-1"))], READER)
    assert said.startswith(what)


HEAD = "apiVersion: kubelet.config.k8s.io/v1\nkind: CredentialProviderConfig\n"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "F: providers: there is none"),
        ("providers:\n", "F: providers: there is none"),
        ("providers: a\n", "F: line 3, column 1: providers is no list"),
        ("providers: [a]\n", "F: line 3, column 13: a provider is a mapping"),
        ("more: a\n", "F: line 3, column 1: the field 'more' is unknown"),
    ],
)
def test_what_a_file_holds(text: str, what: str) -> None:
    assert problems([File("F", (HEAD + text).encode())], READER) == [what]


def test_several_files() -> None:
    """A name may stand in one of them only; an empty one among others is fine."""
    one = File("A", splice.whole([OURS], "c").encode())
    other = File("B", splice.whole([OURS], "c").encode())
    (said,) = problems([one, other], READER)
    assert said == f"B: providers[0].name: {OURS['name']!r} is there already, in A"
    assert problems([one, File("B", HEAD.encode())], READER) == []
    gone = File("C", None)
    assert problems([one, gone], READER) == ["C: a link that leads to no file"]
    assert problems([], READER) == ["there is no configuration for the kubelet to read"]


def test_hash() -> None:
    """Each content behind its length, as the kubelet has it in its metric."""
    expected = hashlib.sha256(b"\0" * 7 + b"\1a" + b"\0" * 7 + b"\2bc").hexdigest()
    assert config_hash([b"a", b"bc"]) == f"sha256:{expected}"


@pytest.mark.parametrize(
    ("pattern", "what"),
    [
        ("*.gcr.io", None),
        ("a.b:5000/c", None),
        ("u:p@a.b", None),
        ("[::1]:5000/x", None),
        ("%C3%A9.dev", None),
        ("a\tb", "it holds a control character"),
        ("u r@a", "what stands before the '@' is no user"),
        ("[::1", "a ']' is missing"),
        ("a:x", "':x' is no port"),
        ("a:1:2", "it has more than one ':' before its path"),
        ("a b", "its host holds a character that no host has"),
        ("a/%z", "a '%' is not followed by two hexadecimal digits"),
    ],
)
def test_patterns(pattern: str, what: str | None) -> None:
    assert bad_pattern(pattern, (1, 36)) == what


def test_older_minors_take_more_colons() -> None:
    assert bad_pattern("a:1:2", (1, 35)) is None

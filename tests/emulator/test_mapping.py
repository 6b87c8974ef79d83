"""Attribute mapping and condition: CEL on claims, limits, Google's texts."""

from typing import Any

import pytest

from gcp_sa_credential_provider.emulator.cel import Expression, ExpressionError, extract
from gcp_sa_credential_provider.emulator.mapping import Mapped, compile_mapping
from gcp_sa_credential_provider.emulator.rejection import Invalid, OAuthError

CLAIMS: dict[str, Any] = {
    "sub": "system:serviceaccount:demo:puller",
    "kubernetes.io": {"namespace": "demo", "pod": {"name": "web-0"}},
    "teams": ["a", "b"],
    "exp": 5,
}


@pytest.mark.rule("cel")
@pytest.mark.parametrize(
    ("text", "template", "value"),
    [
        ("system:serviceaccount:demo:puller", "system:serviceaccount:{ns}:", "demo"),
        ("system:serviceaccount:demo:puller", "serviceaccount:{rest}", "demo:puller"),
        ("a/b/c", "{first}/", "a"),
        ("a/b/c", "{all}", "a/b/c"),
        ("a/b/c", "x/{y}/", ""),
        ("a/b/c", "a/{y}!", ""),
        ("a/b/c", "no braces", ""),
        ("a/b/c", "open {brace", ""),
    ],
)
def test_extract(text: str, template: str, value: str) -> None:
    """Google's function, also where it does not match."""
    assert extract(text, template) == value


@pytest.mark.rule("cel")
@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("assertion.sub", CLAIMS["sub"]),
        ("assertion['kubernetes.io']['namespace']", "demo"),
        ("assertion.sub.extract('system:serviceaccount:{ns}:')", "demo"),
        ("'east::' + assertion.sub", f"east::{CLAIMS['sub']}"),
        ("has(assertion['kubernetes.io'].node) ? assertion['kubernetes.io'].node.name : ''", ""),
        ("assertion.teams.exists(team, team == 'b') ? 'in' : 'out'", "in"),
        ("assertion.sub.startsWith('system:') ? 'k8s' : ''", "k8s"),
    ],
)
def test_expressions(source: str, value: str) -> None:
    """What Google's pages and configurations in the field use."""
    assert Expression(source).evaluate({"assertion": CLAIMS}) == value


@pytest.mark.parametrize("source", ["1 +", "unknown.x", "assertion.sub.lower()", ""])
def test_expressions_that_do_not_compile(source: str) -> None:
    """With the compiler's words, on one line."""
    with pytest.raises(ExpressionError) as caught:
        Expression(source)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("source", "claims"), [("assertion.x", {}), ("assertion.big + 1", {"big": 2**70})]
)
def test_expressions_that_cannot_be_evaluated(source: str, claims: dict[str, Any]) -> None:
    """An absent key; an integer that CEL cannot hold."""
    with pytest.raises(ExpressionError):
        Expression(source).evaluate({"assertion": claims})


def test_everything_mapped() -> None:
    """Subject, groups and attributes."""
    mapping = {
        "google.subject": "assertion.sub",
        "google.groups": "assertion.teams",
        "attribute.namespace": "assertion['kubernetes.io'].namespace",
    }
    compiled = compile_mapping(mapping, "'a' in google.groups", strict=True)
    assert compiled.apply(CLAIMS) == Mapped(CLAIMS["sub"], {"namespace": "demo"}, ("a", "b"))


@pytest.mark.rule("absent-claim")
@pytest.mark.parametrize("source", ["assertion['kubernetes.io'].node.name", "assertion.exp"])
def test_an_absent_custom_claim(source: str) -> None:
    """Strict: refused. Lenient: left out. Nobody measured which Google does."""
    mapping = {"google.subject": "assertion.sub", "attribute.node": source}
    with pytest.raises(OAuthError) as caught:
        compile_mapping(mapping, "", strict=True).apply(CLAIMS)
    assert caught.value.body() == {
        "error": "unauthorized_client",
        "error_description": (
            "Could not obtain a value for attribute.node from the given credential."
        ),
    }
    assert compile_mapping(mapping, "", strict=False).apply(CLAIMS).attributes == {}


@pytest.mark.rule("mapping-limits")
def test_too_much_mapped() -> None:
    """8 KB for all attributes together."""
    mapping = {"google.subject": "assertion.sub", "attribute.big": "assertion.big"}
    with pytest.raises(OAuthError, match="8 KB"):
        compile_mapping(mapping, "", strict=True).apply({**CLAIMS, "big": "x" * 8192})


@pytest.mark.rule("mapping-limits")
@pytest.mark.parametrize(
    ("mapping", "condition", "field"),
    [
        ({"subject": "assertion.sub"}, "", "attributeMapping[subject]"),
        ({"attribute.Upper": "assertion.sub"}, "", "attributeMapping[attribute.Upper]"),
        ({f"attribute.{'a' * 101}": "'x'"}, "", f"attributeMapping[attribute.{'a' * 101}]"),
        ({f"attribute.a{n}": "'x'" for n in range(51)}, "", "attributeMapping"),
        ({"google.subject": f"'{'x' * 2048}'"}, "", "attributeMapping[google.subject]"),
        ({"google.subject": "1"}, "", "attributeMapping[google.subject]"),
        ({"google.groups": "'a'"}, "", "attributeMapping[google.groups]"),
        ({"google.subject": "1 +"}, "", "attributeMapping[google.subject]"),
        ({}, "assertion.sub ==", "attributeCondition"),
        ({}, "'text'", "attributeCondition"),
        ({}, f"'{'x' * 4096}' == ''", "attributeCondition"),
    ],
)
def test_mappings_that_google_would_not_take(
    mapping: dict[str, str], condition: str, field: str
) -> None:
    """Keys, counts, lengths, types and syntax."""
    with pytest.raises(Invalid) as caught:
        compile_mapping(mapping, condition, strict=True)
    assert caught.value.field == field

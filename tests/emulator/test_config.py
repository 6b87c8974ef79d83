"""The configuration: Google's config-time texts, and every error with its place and its fix."""

import json
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import OKPKey

from emulator.rules import PAGE
from emulator.world import POOL, PROVIDER, REPOSITORY, bindings, world
from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.emulator.config import load, read
from gcp_sa_credential_provider.emulator.rejection import ConfigError

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("emulator*.yaml"))


def error_of(document: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(document, "c.yaml")
    return str(caught.value)


def with_oidc(**oidc: Any) -> dict[str, Any]:
    return world("", provider={"oidc": {"issuerUri": ISSUER, **oidc}})


def with_jwk(**members: Any) -> dict[str, Any]:
    return with_oidc(jwksJson=json.dumps({"keys": [members]}))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_the_examples_are_valid(example: Path) -> None:
    """And docs/emulator.md names each."""
    assert read(example).resources.projects
    assert f"examples/{example.name}" in PAGE.read_text()


def test_every_option_is_explained() -> None:
    """The error that lists the keys of `options`, and the page, know the same."""
    listed = error_of({"options": {"x": 1}}).rpartition("use one of ")[2].split(", ")
    assert len(listed) > 15
    assert [key for key in listed if f"`{key}`" not in PAGE.read_text()] == []


def test_resources_by_both_names_of_the_project(issuer: Issuer) -> None:
    """An id in a pool's name and a number in a repository's are taken, and brought to Google's."""
    document = world(issuer.jwks)
    document["workloadIdentityPools"][0]["name"] = POOL.replace("123456789012", "my-project")
    document["repositories"][0]["name"] = REPOSITORY.replace("my-project", "123456789012")
    resources = load(document).resources
    assert list(resources.pools) == [POOL]
    assert list(resources.repositories) == [REPOSITORY]


@pytest.mark.rule("config-texts", "https-issuer")
@pytest.mark.parametrize(
    ("oidc", "text"),
    [
        ({"issuerUri": "http://a.example"}, "Invalid OIDC issuer URI. The scheme must be https."),
        ({"issuerUri": "a.example"}, "Invalid OIDC issuer URI"),
        ({"jwksJson": "{"}, "Input JWK is not in a valid json format"),
        ({"jwksJson": "[]"}, "Input JWK is not in a valid json format"),
        ({"jwksJson": '{"keys": [3]}'}, "Input JWK is not in a valid json format"),
        ({"jwksJson": "[" * 30000}, "Input JWK is not in a valid json format"),
        ({"allowedAudiences": ["a"] * 11}, "At most 10 audiences of at most 256 characters"),
        ({"allowedAudiences": ["a" * 257]}, "At most 10 audiences of at most 256 characters"),
    ],
)
def test_provider_texts(oidc: dict[str, Any], text: str) -> None:
    """Issuer, key set and audiences."""
    error = error_of(with_oidc(**oidc))
    assert error.startswith(f"c.yaml: workloadIdentityPoolProviders[0]: oidc.{next(iter(oidc))}: ")
    assert text in error


@pytest.mark.rule("key-types")
@pytest.mark.parametrize("crv", ["P-384", "P-521"])
def test_other_curves(crv: str) -> None:
    """EC, but not P-256."""
    jwk = Issuer("EC", crv=crv).jwk
    assert "Invalid JWKs. Only RSA, EC key types are supported." in error_of(with_jwk(**jwk))


@pytest.mark.rule("key-types")
def test_ed25519() -> None:
    """Refused with the text for broken keys."""
    jwk = OKPKey.generate_key("Ed25519").as_dict(private=False)
    assert "Input jwks contains corrupted key material" in error_of(with_jwk(**jwk))


def test_broken_and_private_keys(issuer: Issuer, ec_issuer: Issuer) -> None:
    """Numbers that are none, members that are missing, a private key."""
    text = "Input jwks contains corrupted key material"
    assert text in error_of(with_jwk(**{**issuer.jwk, "n": "!!!"}))
    assert text in error_of(with_jwk(**{**ec_issuer.jwk, "x": "AAAA"}))
    assert text in error_of(with_jwk(kty="RSA", kid="a"))
    document = with_jwk(**issuer.key.as_dict(private=True))
    document["options"] = {"unknownJwkMembers": "lenient"}
    assert text in error_of(document)


@pytest.mark.rule("key-types")
def test_key_types_that_are_none() -> None:
    """Symmetric keys, and no type at all."""
    text = "Only RSA, EC key types are supported"
    assert text in error_of(with_jwk(kty="oct"))
    assert text in error_of(with_jwk(kid="a"))


@pytest.mark.rule("jwk-members")
def test_unknown_jwk_members(issuer: Issuer) -> None:
    """Strict by default; lenient on demand, as x5c was once measured to pass."""
    document = with_jwk(**issuer.jwk, x5c=["MIIB"])
    error = error_of(document)
    assert "Input JWK is not in a valid json format" in error
    assert "(unknown here: x5c)" in error
    document["options"] = {"unknownJwkMembers": "lenient"}
    assert load(document).resources.providers[PROVIDER].keys


@pytest.mark.rule("eight-keys")
def test_eight_keys(issuer: Issuer) -> None:
    """Eight are taken, nine are not."""
    eight = [{**issuer.jwk, "kid": str(number)} for number in range(8)]
    resources = load(with_oidc(jwksJson=json.dumps({"keys": eight}))).resources
    assert len(resources.providers[PROVIDER].keys or {}) == 8
    nine = [*eight, {**issuer.jwk, "kid": "8"}]
    assert "At most 8 keys" in error_of(with_oidc(jwksJson=json.dumps({"keys": nine})))


@pytest.mark.rule("organization-policy")
def test_organization_policy(issuer: Issuer) -> None:
    """constraints/iam.workloadIdentityPoolProviders."""
    assert "Org Policy violated for value" in error_of(
        world(issuer.jwks, options={"allowedIssuers": ["https://other.example"]})
    )
    assert load(world(issuer.jwks, options={"allowedIssuers": [ISSUER]})).resources.providers


@pytest.mark.rule("public-issuers")
def test_public_issuers_need_a_condition() -> None:
    """Anybody can get a token of GitHub's issuer."""
    oidc = {"issuerUri": "https://token.actions.githubusercontent.com"}
    text = "The attribute condition must reference one of the provider's claims"
    assert text in error_of(world("", provider={"oidc": oidc}))
    assert text in error_of(world("", provider={"oidc": oidc, "attributeCondition": "true"}))
    for claim in ("assertion.repository_owner", "assertion['repository_owner']"):
        condition = f"{claim} == 'me'"
        assert load(world("", provider={"oidc": oidc, "attributeCondition": condition}))


@pytest.mark.rule("ids")
@pytest.mark.parametrize("name", ["abc", "a" * 33, "gcp-pool", "Pool", "po_ol"])
def test_ids(name: str) -> None:
    """4 to 32 of a-z 0-9 -, not gcp-."""
    pools = [{"name": POOL.replace("k8s-pool", name)}]
    error = error_of(world("", workloadIdentityPools=pools, workloadIdentityPoolProviders=[]))
    assert error.startswith("c.yaml: workloadIdentityPools[0]: name: Invalid identifier")


@pytest.mark.rule("names")
@pytest.mark.parametrize(
    "members",
    [
        {"displayName": "k8s IdP for cluster a-long-name-x"},
        {"description": "d" * 257},
        {"sessionDuration": "119s"},
        {"sessionDuration": "43201s"},
        {"sessionDuration": "1h"},
    ],
)
def test_pool_limits(members: dict[str, str]) -> None:
    """Lengths and session duration."""
    [key] = members
    error = error_of(world("", workloadIdentityPools=[{"name": POOL, **members}]))
    assert error.startswith(f"c.yaml: workloadIdentityPools[0]: {key}: ")


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ([], "c.yaml: must be a mapping, not list."),
        ({"pools": []}, "c.yaml: pools: unknown key."),
        ({"projects": {}}, "c.yaml: projects: must be a list (not {})."),
        ({"projects": [3]}, "c.yaml: projects[0]: must be a mapping, not int."),
        ({"projects": [{}]}, "c.yaml: projects[0]: projectId: must be a text (missing)."),
        (
            {"projects": [{"projectId": "a", "projectNumber": "b"}]},
            "c.yaml: projects[0]: projectNumber: must be digits (not 'b').",
        ),
        (
            {"workloadIdentityPools": [{"name": POOL}]},
            "c.yaml: workloadIdentityPools[0]: name: the project 123456789012 does not exist.",
        ),
        (
            world("", workloadIdentityPools=[]),
            f"c.yaml: workloadIdentityPoolProviders[0]: name: the pool {POOL} does not exist.",
        ),
        (
            world("", workloadIdentityPools=[{"name": "k8s-pool"}]),
            "c.yaml: workloadIdentityPools[0]: name: must be a resource name like",
        ),
        (
            world("", workloadIdentityPools=[{"name": POOL, "disabled": "yes"}]),
            "c.yaml: workloadIdentityPools[0]: disabled: must be true or false (not 'yes').",
        ),
        (
            world("", workloadIdentityPools=[{"name": POOL, "state": "GONE"}]),
            "c.yaml: workloadIdentityPools[0]: state: must be ACTIVE or DELETED (not 'GONE').",
        ),
        (
            world("", workloadIdentityPools=[{"name": POOL, "expireTime": "soon"}]),
            "workloadIdentityPools[0]: expireTime: must be a time with its zone (not 'soon').",
        ),
        (
            world("", workloadIdentityPools=[{"name": POOL, "mode": "TRUST_DOMAIN"}]),
            "c.yaml: workloadIdentityPools[0]: mode: must be FEDERATION_ONLY or MODE_UNSPECIFIED",
        ),
        (with_oidc(allowedAudiences=[3]), "oidc: allowedAudiences: must be a list of texts"),
        (
            world("", repositories=[{"name": REPOSITORY, "images": ["Hello"]}]),
            "c.yaml: repositories[0]: images: 'Hello' is not IMAGE:TAG.",
        ),
        (
            world("", repositories=[{"name": REPOSITORY, "iamPolicy": bindings("reader")}]),
            "iamPolicy: bindings[0]: role: 'reader' is not a role name.",
        ),
        (
            world(
                "", repositories=[{"name": REPOSITORY, "iamPolicy": bindings("roles/viewer", "me")}]
            ),
            "iamPolicy: bindings[0]: members: 'me' is not an IAM member.",
        ),
        ({"faults": [{"kind": "boom"}]}, "c.yaml: faults[0]: kind: unknown fault 'boom'."),
        ({"proxy": {"user": "a"}}, "c.yaml: proxy: user: unknown key."),
        ({"proxy": {"username": "a"}}, "c.yaml: proxy: password: must be a text (missing)."),
        ({"options": {"absentCustomClaim": "no"}}, "must be strict or lenient (not 'no')."),
    ],
)
def test_errors_name_their_place(document: Any, error: str) -> None:
    """Path in the document, what, evidence, fix."""
    text = error_of(document)
    assert error in text
    assert " Fix: " in text


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"a: [", ", line 1: is not YAML ("),
        (b"a: \xff", ": is not YAML ("),
        (b"[" * 30000, ": is not YAML ("),
        (b"a: !!python/object:os.system x", ": is not YAML ("),
    ],
)
def test_files_that_are_no_yaml(tmp_path: Path, content: bytes, error: str) -> None:
    """The file and the line are named."""
    path = tmp_path / "c.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}")
    assert error in str(caught.value)


def test_a_file_that_is_missing_or_empty(tmp_path: Path) -> None:
    """Missing is an error, empty is an empty world."""
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "none.yaml")
    empty = tmp_path / "empty.yaml"
    empty.touch()
    assert read(empty).resources.projects == {}

"""names: providers and accounts; every usual slip is called by its name."""

import pytest

from gcp_sa_credential_provider.plugin.names import BadName, account_name, provider_name
from scene import AUDIENCE

HEAD = "//iam.googleapis.com/projects/"
TAIL = "/locations/global/workloadIdentityPools/k8s-pool/providers/k8s-test"


def test_a_full_name_is_returned_as_it_is() -> None:
    """The form that STS wants."""
    assert provider_name(AUDIENCE, "googleapis.com") == AUDIENCE


def test_a_leading_https_is_dropped() -> None:
    """Google takes it in `aud`, and STS refuses it."""
    assert provider_name("https:" + AUDIENCE, "googleapis.com") == AUDIENCE


@pytest.mark.parametrize("host", ["iam.googleapis.com", "iam.s3nsapis.fr"])
def test_another_universe_has_two_hosts(host: str) -> None:
    """Its own, and the one that Google's libraries use everywhere."""
    name = f"//{host}/projects/1{TAIL}"
    assert provider_name(name, "s3nsapis.fr") == name


@pytest.mark.parametrize(
    ("name", "slip"),
    [
        (f"{HEAD}my-project{TAIL}", "my-project is a project ID; the project NUMBER belongs there"),
        (f"{HEAD}PROJECT_NUMBER{TAIL}", "the placeholder PROJECT_NUMBER was left in it"),
        (f"{HEAD}1{TAIL}-$CLUSTERNAME", "the placeholder $ was left in it"),
        (f"{HEAD}1{TAIL}-<name>", "the placeholder < was left in it"),
        (f"{HEAD}1{TAIL}-CLUSTERNAME", "the placeholder CLUSTERNAME was left in it"),
        (
            f"{HEAD}1{TAIL}".partition("/providers")[0],
            "it names a pool without /providers/PROVIDER",
        ),
        (f"{HEAD}1{TAIL}/", "it ends in a slash"),
        (f"http:{HEAD}1{TAIL}", "it does not begin with //iam."),
        (f"{HEAD}1{TAIL}"[2:], "it does not begin with //iam."),
        (f"{HEAD}1{TAIL} ", "it has a character that no such name has"),
        (f"{HEAD}1{TAIL}\u00e9", "it has a character that no such name has"),
        (f"//sts.googleapis.com/projects/1{TAIL}", "its host is sts.googleapis.com"),
        (f"//iam.s3nsapis.fr/projects/1{TAIL}", "its host is iam.s3nsapis.fr, not iam.google"),
        (
            "//iam.googleapis.com/locations/global/workforcePools/pool/providers/p",
            "it names a workforce pool",
        ),
        (f"{HEAD}1/locations/global/pools/p/providers/p", "its parts are not /projects/NUMBER"),
        (f"{HEAD}1{TAIL}/more/x", "its parts are not /projects/NUMBER"),
        (f"{HEAD}1{TAIL}".replace("global", "europe-west1"), "its location is europe-west1"),
        (f"{HEAD}1{TAIL}".replace("k8s-pool", "abc"), "the pool id abc is not 4 to 32"),
        (f"{HEAD}1{TAIL}".replace("k8s-test", "Abcd"), "the provider id Abcd is not 4 to 32"),
        (f"{HEAD}1{TAIL}" + "x" * 30, "is not 4 to 32 characters"),
    ],
)
def test_a_slip_is_named(name: str, slip: str) -> None:
    """Google's own answer to all of these is one sentence."""
    with pytest.raises(BadName) as caught:
        provider_name(name, "googleapis.com")
    assert slip in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a@b.iam.gserviceaccount.com", "1-compute@developer.gserviceaccount.com", "1" * 21]
)
def test_an_account_is_an_email_or_a_number(name: str) -> None:
    """Both forms that IAM takes."""
    assert account_name(name) == name


@pytest.mark.parametrize(
    ("name", "slip"),
    [
        ("", "neither an e-mail address nor a numeric id"),
        ("puller", "neither an e-mail address nor a numeric id"),
        ("123456789", "a numeric id has 10 to 30 digits"),
        ("1" * 31, "a numeric id has 10 to 30 digits"),
        ("a@b@c", "only a-z, 0-9, dot and dash may stand beside the one @"),
        ("@b", "only a-z, 0-9, dot and dash may stand beside the one @"),
        ("a@", "only a-z, 0-9, dot and dash may stand beside the one @"),
        ("a/../b@c", "only a-z, 0-9, dot and dash may stand beside the one @"),
        ("a@b\r\nX: y", "only a-z, 0-9, dot and dash may stand beside the one @"),
        ("a@" + "b" * 253, "it is longer than 254 characters"),
    ],
)
def test_no_other_text_is_an_account(name: str, slip: str) -> None:
    """It would stand in a request's path."""
    with pytest.raises(BadName) as caught:
        account_name(name)
    assert slip in str(caught.value)

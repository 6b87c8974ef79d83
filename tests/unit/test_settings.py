"""settings: every variable's default, its good values and its bad ones."""

import pytest

from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.settings import Settings, from_environment
from scene import ACCOUNT, AUDIENCE


def settings(**environment: str) -> Settings:
    """Settings of a minimal environment and `environment`."""
    return from_environment({"GCP_AUDIENCE": AUDIENCE, **environment})


def failure(**environment: str) -> Failure:
    """The failure that `environment` ends in."""
    with pytest.raises(Failure) as caught:
        settings(**environment)
    return caught.value


def test_one_variable_is_enough() -> None:
    """The configuration of the program that this one replaces."""
    got = settings()
    assert got.audience == AUDIENCE
    assert got.account == got.account_annotation == got.log == ""
    assert got.scope == "https://www.googleapis.com/auth/devstorage.read_only"
    assert (got.lifetime, got.timeout, got.cache_key_type) == (3600, 10, "Global")
    assert str(got.sts.address) == "sts.googleapis.com:443"
    assert str(got.iam_credentials.address) == "iamcredentials.googleapis.com:443"
    assert got.proxy_for(got.sts) is None


def test_empty_counts_as_unset() -> None:
    """A template that renders to nothing must not stop pulls."""
    got = settings(
        GCP_SERVICE_ACCOUNT="", GCP_REGISTRIES="", GCP_TIMEOUT="", GCP_LOG="", HTTPS_PROXY=""
    )
    assert (got.account, got.timeout, got.log) == ("", 10, "")
    assert got.proxy_for(got.sts) is None


def test_no_audience() -> None:
    """The one variable that must be there."""
    with pytest.raises(Failure) as caught:
        from_environment({})
    assert caught.value.code == "SETTINGS-AUDIENCE-MISSING"


def test_good_values() -> None:
    """Everything set."""
    got = settings(
        GCP_SERVICE_ACCOUNT=ACCOUNT,
        GCP_SERVICE_ACCOUNT_ANNOTATION="gcp-sa-credential-provider/service-account",
        GCP_SCOPE="https://www.googleapis.com/auth/cloud-platform",
        GCP_SERVICE_ACCOUNT_LIFETIME="43200",
        GCP_REGISTRIES=" gcr.io , eu.gcr.io,",
        GCP_CACHE_KEY_TYPE="Image",
        GCP_STS_ENDPOINT="https://sts.europe-west1.rep.googleapis.com",
        GCP_IAM_CREDENTIALS_ENDPOINT="http://[::1]:8080/",
        GCP_TIMEOUT="55",
        GCP_LOG="/var/log/provider.log",
    )
    assert got.account == ACCOUNT
    assert [pattern.text for pattern in got.registries] == ["gcr.io", "eu.gcr.io"]
    assert got.sts.authority == "sts.europe-west1.rep.googleapis.com"
    assert (got.iam_credentials.tls, got.iam_credentials.authority) == (False, "[::1]:8080")
    assert (got.timeout, got.lifetime, got.log) == (55, 43200, "/var/log/provider.log")


def test_another_universe_has_its_own_hosts() -> None:
    """Sovereign clouds."""
    got = settings(
        GOOGLE_CLOUD_UNIVERSE_DOMAIN="s3nsapis.fr", GCP_REGISTRIES="docker.s3nsregistry.fr"
    )
    assert got.sts.authority == "sts.s3nsapis.fr"
    assert got.iam_credentials.authority == "iamcredentials.s3nsapis.fr"


def test_another_universe_has_no_known_registries() -> None:
    """They must be set."""
    caught = failure(GOOGLE_CLOUD_UNIVERSE_DOMAIN="s3nsapis.fr")
    assert (caught.code, caught.evidence) == (
        "SETTINGS-REGISTRIES-MISSING",
        {"universe": "s3nsapis.fr"},
    )


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("GCP_AUDIENCE", "//iam.googleapis.com/projects/x", "SETTINGS-AUDIENCE"),
        ("GCP_AUDIENCE", AUDIENCE + "\r\nX: y", "SETTINGS-VALUE"),
        ("GCP_AUDIENCE", AUDIENCE + "\udcff", "SETTINGS-VALUE"),
        ("GCP_SERVICE_ACCOUNT", "puller", "ACCOUNT-NAME"),
        ("GCP_SERVICE_ACCOUNT_ANNOTATION", "with blank", "SETTINGS-VALUE"),
        ("GCP_SERVICE_ACCOUNT_ANNOTATION", "x" * 318, "SETTINGS-VALUE"),
        ("GCP_SCOPE", "x" * 2049, "SETTINGS-VALUE"),
        ("GCP_SCOPE", "\u00e9", "SETTINGS-VALUE"),
        ("GCP_SERVICE_ACCOUNT_LIFETIME", "599", "SETTINGS-VALUE"),
        ("GCP_SERVICE_ACCOUNT_LIFETIME", "43201", "SETTINGS-VALUE"),
        ("GCP_SERVICE_ACCOUNT_LIFETIME", "1h", "SETTINGS-VALUE"),
        ("GCP_REGISTRIES", "*", "SETTINGS-REGISTRIES"),
        ("GCP_REGISTRIES", " , ", "SETTINGS-VALUE"),
        ("GCP_CACHE_KEY_TYPE", "global", "SETTINGS-VALUE"),
        ("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "a/b", "SETTINGS-VALUE"),
        ("GCP_STS_ENDPOINT", "sts.googleapis.com", "SETTINGS-ENDPOINT"),
        ("GCP_STS_ENDPOINT", "http://sts.googleapis.com", "SETTINGS-ENDPOINT"),
        ("GCP_STS_ENDPOINT", "http://localhost:1", "SETTINGS-ENDPOINT"),
        ("GCP_STS_ENDPOINT", "https://user:pass@sts.googleapis.com", "SETTINGS-ENDPOINT"),
        ("GCP_STS_ENDPOINT", "https://sts.googleapis.com/v1/token", "SETTINGS-ENDPOINT"),
        ("GCP_IAM_CREDENTIALS_ENDPOINT", "https://x:99999", "SETTINGS-ENDPOINT"),
        ("GCP_IAM_CREDENTIALS_ENDPOINT", "https://[::1", "SETTINGS-ENDPOINT"),
        ("GCP_IAM_CREDENTIALS_ENDPOINT", "https://[1.2.3.4]", "SETTINGS-ENDPOINT"),
        ("GCP_IAM_CREDENTIALS_ENDPOINT", "https://[::1]x", "SETTINGS-ENDPOINT"),
        ("GCP_TIMEOUT", "0", "SETTINGS-VALUE"),
        ("GCP_TIMEOUT", "56", "SETTINGS-VALUE"),
        ("GCP_TIMEOUT", "-1", "SETTINGS-VALUE"),
        ("GCP_TIMEOUT", "1.5", "SETTINGS-VALUE"),
        ("GCP_TIMEOUT", "1" * 5000, "SETTINGS-VALUE"),
        ("GCP_LOG", "stdout", "SETTINGS-VALUE"),
        ("GCP_LOG", "/var/log/", "SETTINGS-VALUE"),
    ],
)
def test_bad_values(variable: str, value: str, code: str) -> None:
    """Refused before anything is read from stdin or sent."""
    assert failure(**{variable: value}).code == code


def test_an_endpoint_with_a_password_is_not_quoted() -> None:
    """It is refused, so what stands in it may be one."""
    caught = failure(GCP_STS_ENDPOINT="https://user:hunter2@sts.googleapis.com")
    assert "hunter2" not in str(caught.evidence)


def test_upper_case_wins_among_proxies() -> None:
    """As in Go's httpproxy."""
    got = settings(HTTPS_PROXY="http://a:1", https_proxy="http://b:2", NO_PROXY="x", no_proxy="y")
    proxy = got.proxy_for(got.sts)
    assert proxy is not None
    assert (str(proxy.address), got.no_proxy) == ("a:1", "x")


def test_a_proxy_is_for_tls_and_for_hosts_that_are_not_exempt() -> None:
    """Plain http is for loopback only, which is never proxied."""
    got = settings(
        https_proxy="proxy:3128",
        no_proxy="iamcredentials.googleapis.com",
        GCP_STS_ENDPOINT="http://127.0.0.1:1",
    )
    assert got.proxy_for(got.sts) is None
    assert got.proxy_for(got.iam_credentials) is None
    other = settings(https_proxy="proxy:3128")
    proxy = other.proxy_for(other.sts)
    assert proxy is not None
    assert str(proxy.address) == "proxy:3128"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HTTPS_PROXY", "https://proxy:3128"),
        ("HTTPS_PROXY", "socks5://proxy:1080"),
        ("https_proxy", "http://proxy:x"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_refused_where_it_would_be(
    variable: str, value: str
) -> None:
    """Other programs of the node may need it for other hosts."""
    spared = settings(**{variable: value, "NO_PROXY": ".googleapis.com"})
    assert spared.proxy_for(spared.sts) is None
    used = settings(**{variable: value})
    with pytest.raises(Failure) as caught:
        used.proxy_for(used.sts)
    assert (caught.value.code, caught.value.evidence["variable"]) == ("SETTINGS-PROXY", variable)

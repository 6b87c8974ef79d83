"""Every variable of the contract, as a process sees it: default, good values, bad values."""

import os
import subprocess
from pathlib import Path

import pytest
import trustme

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from process.launch import Launcher, credentials, refusal
from process.raw_server import RawServer, exchanged, json_answer, says
from scene import ACCOUNT, AUDIENCE, request

Environment = dict[str, str]

KEY = "gcp-sa-credential-provider/service-account"
PARENT = "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools"

# variable, value, exit code and code, a part of the line that names the slip
BAD = [
    ("GCP_AUDIENCE", "", "SETTINGS-AUDIENCE-MISSING", "GCP_AUDIENCE is not set"),
    ("GCP_AUDIENCE", AUDIENCE.replace("123456789012", "my-project"), "SETTINGS-AUDIENCE", "NUMBER"),
    ("GCP_AUDIENCE", f"{PARENT}/k8s-pool", "SETTINGS-AUDIENCE", "without /providers/PROVIDER"),
    ("GCP_AUDIENCE", f"{AUDIENCE}/", "SETTINGS-AUDIENCE", "ends in a slash"),
    ("GCP_AUDIENCE", f"{PARENT}/k8s-pool/providers/k8s-$CLUSTERNAME", "SETTINGS-AUDIENCE", "left"),
    (
        "GCP_AUDIENCE",
        AUDIENCE.replace("123456789012", "PROJECT_NUMBER"),
        "SETTINGS-AUDIENCE",
        "the placeholder PROJECT_NUMBER was left in it",
    ),
    ("GCP_AUDIENCE", AUDIENCE[2:], "SETTINGS-AUDIENCE", "does not begin with //iam."),
    ("GCP_AUDIENCE", f"http:{AUDIENCE}", "SETTINGS-AUDIENCE", "does not begin with //iam."),
    ("GCP_AUDIENCE", AUDIENCE.replace("global", "europe"), "SETTINGS-AUDIENCE", "europe"),
    (
        "GCP_AUDIENCE",
        AUDIENCE.replace("googleapis.com", "example.com"),
        "SETTINGS-AUDIENCE",
        "iam.",
    ),
    ("GCP_AUDIENCE", f"{AUDIENCE}\r\nX: y", "SETTINGS-VALUE", "printable ASCII"),
    ("GCP_AUDIENCE", f"{AUDIENCE}é", "SETTINGS-VALUE", "printable ASCII"),
    ("GCP_SERVICE_ACCOUNT", "puller", "ACCOUNT-NAME", "neither an e-mail address"),
    ("GCP_SERVICE_ACCOUNT", "123456789", "ACCOUNT-NAME", "10 to 30 digits"),
    ("GCP_SERVICE_ACCOUNT", "1" * 31, "ACCOUNT-NAME", "10 to 30 digits"),
    ("GCP_SERVICE_ACCOUNT", "../x@y.z", "ACCOUNT-NAME", "only a-z"),
    ("GCP_SERVICE_ACCOUNT", "a@b@c", "ACCOUNT-NAME", "only a-z"),
    ("GCP_SERVICE_ACCOUNT", f"{'a' * 250}@b.cd", "ACCOUNT-NAME", "254"),
    ("GCP_SERVICE_ACCOUNT_ANNOTATION", "has a blank", "SETTINGS-VALUE", "the key of an annotation"),
    ("GCP_SERVICE_ACCOUNT_ANNOTATION", "k" * 318, "SETTINGS-VALUE", "the key of an annotation"),
    ("GCP_SCOPE", "s" * 2049, "SETTINGS-VALUE", "at most 2048 characters"),
    ("GCP_SCOPE", "a\nb", "SETTINGS-VALUE", "printable ASCII"),
    ("GCP_SERVICE_ACCOUNT_LIFETIME", "599", "SETTINGS-VALUE", "from 600 to 43200"),
    ("GCP_SERVICE_ACCOUNT_LIFETIME", "43201", "SETTINGS-VALUE", "from 600 to 43200"),
    ("GCP_SERVICE_ACCOUNT_LIFETIME", "1h", "SETTINGS-VALUE", "from 600 to 43200"),
    ("GCP_REGISTRIES", "https://gcr.io", "SETTINGS-REGISTRIES", "a scheme never matches"),
    ("GCP_REGISTRIES", "*", "SETTINGS-REGISTRIES", "last two labels"),
    ("GCP_REGISTRIES", "*.example.com", "SETTINGS-REGISTRIES", "name the host whole"),
    ("GCP_REGISTRIES", "gcr.io/*/x", "SETTINGS-REGISTRIES", "no wildcard in a path"),
    ("GCP_REGISTRIES", "gcr.io:https", "SETTINGS-REGISTRIES", "port is not a number"),
    ("GCP_REGISTRIES", " , ", "SETTINGS-VALUE", "at least one image pattern"),
    ("GCP_CACHE_KEY_TYPE", "global", "SETTINGS-VALUE", "Global, Registry or Image"),
    ("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "a/b", "SETTINGS-VALUE", "a domain name"),
    ("GOOGLE_CLOUD_UNIVERSE_DOMAIN", "s3ns.fr", "SETTINGS-REGISTRIES-MISSING", "s3ns.fr"),
    ("GCP_STS_ENDPOINT", "http://sts.example.com", "SETTINGS-ENDPOINT", "plain http is for"),
    ("GCP_STS_ENDPOINT", "http://localhost:1", "SETTINGS-ENDPOINT", "plain http is for"),
    ("GCP_STS_ENDPOINT", "https://h/v1", "SETTINGS-ENDPOINT", "without a path"),
    ("GCP_STS_ENDPOINT", "https://h?x", "SETTINGS-ENDPOINT", "without a path"),
    ("GCP_STS_ENDPOINT", "sts.googleapis.com", "SETTINGS-ENDPOINT", "https://"),
    ("GCP_STS_ENDPOINT", "https://u:p@h", "SETTINGS-ENDPOINT", "user or password"),
    ("GCP_STS_ENDPOINT", "https://h:0", "SETTINGS-ENDPOINT", "port"),
    ("GCP_STS_ENDPOINT", "https://[::1", "SETTINGS-ENDPOINT", "IPv6"),
    ("GCP_STS_ENDPOINT", "https://[127.0.0.1]", "SETTINGS-ENDPOINT", "IPv6"),
    ("GCP_STS_ENDPOINT", "https://h\r\nX: y", "SETTINGS-VALUE", "printable ASCII"),
    (
        "GCP_IAM_CREDENTIALS_ENDPOINT",
        "ftp://h",
        "SETTINGS-ENDPOINT",
        "GCP_IAM_CREDENTIALS_ENDPOINT",
    ),
    ("GCP_TIMEOUT", "0", "SETTINGS-VALUE", "from 1 to 55"),
    ("GCP_TIMEOUT", "56", "SETTINGS-VALUE", "from 1 to 55"),
    ("GCP_TIMEOUT", "1.5", "SETTINGS-VALUE", "from 1 to 55"),
    ("GCP_TIMEOUT", "-1", "SETTINGS-VALUE", "from 1 to 55"),
    ("GCP_TIMEOUT", "\u0661", "SETTINGS-VALUE", "GCP_TIMEOUT"),
    ("GCP_LOG", "here.log", "SETTINGS-VALUE", "absolute path"),
    ("GCP_LOG", "/var/log/", "SETTINGS-VALUE", "absolute path"),
    ("SSL_CERT_FILE", "/nonexistent/ca.pem", "TLS-STORE", "/nonexistent/ca.pem"),
    ("SSL_CERT_FILE", "/dev/null", "TLS-STORE", "/dev/null"),
    ("SSL_CERT_FILE", "/etc", "TLS-STORE", "/etc"),
]


@pytest.mark.parametrize(
    ("variable", "value", "code", "evidence"), BAD, ids=lambda text: ascii(text)[1:41]
)
def test_a_bad_value_is_exit_2_and_named(
    plugin: Launcher,
    environment: Environment,
    google: Emulator,
    issuer: Issuer,
    variable: str,
    value: str,
    code: str,
    evidence: str,
) -> None:
    """Before any network: Google's log stays empty."""
    environment[variable] = value
    ended = plugin.run(environment, request(issuer.token(AUDIENCE)))
    assert refusal(ended) == (2, code)
    assert evidence in ended.stderr.decode("ascii")
    assert google.log.entries() == []


PROXIES = [
    ("HTTPS_PROXY", "https://proxy:3128", "an https proxy"),
    ("HTTPS_PROXY", "socks5://proxy:1080", "only http:// proxies"),
    ("HTTPS_PROXY", "http://u:100%@proxy", "%25"),
    ("HTTPS_PROXY", "http://[\udcff]:80", "HTTPS_PROXY"),
    ("https_proxy", "http://proxy:port", "https_proxy"),
]


@pytest.mark.parametrize(
    ("variable", "value", "evidence"), PROXIES, ids=lambda text: ascii(text)[1:41]
)
def test_a_bad_proxy_is_exit_2_and_named(
    plugin: Launcher,
    environment: Environment,
    issuer: Issuer,
    variable: str,
    value: str,
    evidence: str,
) -> None:
    """Where it would be used: on the way to Google's own name."""
    environment[variable] = value
    del environment["GCP_STS_ENDPOINT"]
    ended = plugin.run(environment, request(issuer.token(AUDIENCE)))
    assert refusal(ended) == (2, "SETTINGS-PROXY")
    assert evidence in ended.stderr.decode("ascii")


GOOD = [
    {"GCP_AUDIENCE": f"https:{AUDIENCE}"},
    {"GCP_SERVICE_ACCOUNT": "", "GCP_SCOPE": "", "GCP_LOG": "", "GCP_TIMEOUT": ""},
    {"GCP_TIMEOUT": "55"},
    {"GCP_TIMEOUT": "1"},
    {"GCP_LOG": "journal"},
    {"GCP_LOG": "syslog"},
    {"GCP_LOG": "/nonexistent/folder/file.log"},
    {"GCP_REGISTRIES": "europe-docker.pkg.dev , registry.example.com:5000"},
    {"GCP_SERVICE_ACCOUNT_ANNOTATION": KEY},
    {"GOOGLE_CLOUD_UNIVERSE_DOMAIN": "googleapis.com"},
    {"HTTPS_PROXY": "http://127.0.0.1:1"},
    {"https_proxy": "127.0.0.1:1"},
    *({variable: value} for variable, value, _ in PROXIES),
    {"HTTP_PROXY": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"},
    {"SSL_CERT_DIR": "/nonexistent"},
    {"NO_PROXY": "\udcff", "HTTPS_PROXY": "http://127.0.0.1:1"},
    {"PYTHONSTARTUP": "/nonexistent", "LANG": "tlh_KL.UTF-8", "LC_ALL": "C", "TZ": ":/dev/zero"},
]


@pytest.mark.parametrize("good", GOOD, ids=lambda values: ascii(values)[1:41])
def test_a_good_value_works(
    plugin: Launcher, environment: Environment, issuer: Issuer, good: Environment
) -> None:
    """An empty variable counts as unset; loopback is never proxied; a log never fails a pull."""
    credentials(plugin.run({**environment, **good}, request(issuer.token(AUDIENCE))))


def test_the_scope_and_lifetime_reach_google(
    plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """A server in place of both services shows what is asked for."""
    answer = json_answer({"accessToken": "ya29.a", "expireTime": "2026-11-24T16:10:00Z"})
    with RawServer(says(http_200(), answer)) as server:
        environment |= {
            "GCP_STS_ENDPOINT": server.url,
            "GCP_IAM_CREDENTIALS_ENDPOINT": server.url,
            "GCP_SERVICE_ACCOUNT": "12345678901234567890",
            "GCP_SERVICE_ACCOUNT_LIFETIME": "43200",
            "GCP_SCOPE": "https://example.com/a https://example.com/b",
        }
        credentials(plugin.run(environment, request(issuer.token(AUDIENCE))))
        exchange, impersonation = server.requests
    assert b"authorization:" not in exchange.lower()
    assert b'"scope":"https://www.googleapis.com/auth/cloud-platform"' in exchange
    assert b'"subjectTokenType":"urn:ietf:params:oauth:token-type:jwt"' in exchange
    assert impersonation.startswith(
        b"POST /v1/projects/-/serviceAccounts/12345678901234567890:generateAccessToken HTTP/1.1\r\n"
    )
    assert b"Authorization: Bearer ya29.raw-server\r\n" in impersonation
    assert impersonation.endswith(
        b'{"scope":["https://example.com/a","https://example.com/b"],"lifetime":"43200s"}'
    )


def http_200() -> bytes:
    """STS's good answer."""
    return b"HTTP/1.1 200 OK\r\n\r\n" + exchanged()


def test_registries_are_the_keys_of_auth(
    plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """Each pattern once, as written; a host with a port too."""
    environment["GCP_REGISTRIES"] = "registry.example.com:5000,*-docker.pkg.dev"
    asked = request(issuer.token(AUDIENCE), image="registry.example.com:5000/team/app")
    response = credentials(plugin.run(environment, asked))
    assert list(response["auth"]) == ["registry.example.com:5000", "*-docker.pkg.dev"]


@pytest.mark.parametrize("key_type", ["Registry", "Image"])
def test_narrower_cache_keys_name_one_registry(
    plugin: Launcher, environment: Environment, issuer: Issuer, key_type: str
) -> None:
    """The kubelet caches by it, so nothing else belongs into the answer."""
    environment["GCP_CACHE_KEY_TYPE"] = key_type
    response = credentials(plugin.run(environment, request(issuer.token(AUDIENCE))))
    assert (response["cacheKeyType"], list(response["auth"])) == (
        key_type,
        ["europe-docker.pkg.dev"],
    )


def test_another_universe_has_its_own_names(
    plugin: Launcher, environment: Environment, issuer: Issuer
) -> None:
    """Audience, endpoints by default and registries; reached through a proxy that says no."""
    environment |= {
        "GOOGLE_CLOUD_UNIVERSE_DOMAIN": "s3nsapis.example",
        "GCP_AUDIENCE": AUDIENCE.replace("googleapis.com", "s3nsapis.example"),
        "GCP_REGISTRIES": "docker.s3nsregistry.example",
    }
    del environment["GCP_STS_ENDPOINT"]
    asked = request(issuer.token(AUDIENCE), image="docker.s3nsregistry.example/s3ns/p/r/i")
    with RawServer(says(b"HTTP/1.1 403 Forbidden\r\n\r\n")) as proxy:
        ended = plugin.run({**environment, "HTTPS_PROXY": f"http://{proxy.address}"}, asked)
        [connect] = proxy.requests
    assert refusal(ended) == (1, "PROXY-DENIED")
    assert connect.startswith(b"CONNECT sts.s3nsapis.example:443 HTTP/1.1\r\n")


def test_an_annotation_wins_where_it_is_allowed(
    plugin: Launcher, environment: Environment, google: Emulator, issuer: Issuer
) -> None:
    """GCP_SERVICE_ACCOUNT is for the ServiceAccounts without one."""
    environment |= {
        "GCP_SERVICE_ACCOUNT": "nobody@project.iam.gserviceaccount.com",
        "GCP_SERVICE_ACCOUNT_ANNOTATION": KEY,
    }
    asked = request(issuer.token(AUDIENCE), serviceAccountAnnotations={KEY: ACCOUNT})
    credentials(plugin.run(environment, asked))
    [entry] = google.log.entries("iam_credentials")
    assert entry["account"] == ACCOUNT


@pytest.mark.parametrize("form", ["bundle", "directory", "hashed", "large bundle"])
def test_the_trust_store_in_each_of_its_forms(
    plugin: Launcher, google: Emulator, issuer: Issuer, tmp_path: Path, form: str
) -> None:
    """A bundle of many is narrowed to Google's authorities first; ours is found all the same."""
    own = google.ca_pem.read_bytes()
    others = b"".join(trustme.CA(organization_name=f"CA {n}").cert_pem.bytes() for n in range(9))
    named = trustme.CA(organization_name="Google Trust Services LLC").cert_pem.bytes()
    environment = {"GCP_AUDIENCE": AUDIENCE, "HTTPS_PROXY": google.endpoints["proxy"]}
    if form in ("bundle", "large bundle"):
        bundle = tmp_path / "bundle.pem"
        bundle.write_bytes(own if form == "bundle" else others + named + own)
        environment["SSL_CERT_FILE"] = str(bundle)
    else:
        folder = tmp_path / "certs"
        folder.mkdir()
        (folder / "emulator.pem").write_bytes(own)
        (folder / "other.crt").write_bytes(others)
        if form == "hashed":
            subject_hash = _subject_hash(folder / "emulator.pem")
            (folder / f"{subject_hash}.0").symlink_to("emulator.pem")
        environment["SSL_CERT_DIR"] = f"/nonexistent:{folder}" if form == "hashed" else str(folder)
    credentials(plugin.run(environment, request(issuer.token(AUDIENCE))))


def _subject_hash(certificate: Path) -> str:
    """OpenSSL's name for the file of an authority, as `openssl x509 -subject_hash` says it."""
    command = ["openssl", "x509", "-noout", "-subject_hash", "-in", str(certificate)]
    return subprocess.run(command, capture_output=True, check=True, text=True).stdout.strip()


def test_a_trust_store_that_never_ends_is_ended(
    plugin: Launcher, environment: Environment, issuer: Issuer, tmp_path: Path
) -> None:
    """A named pipe that nobody writes: the watchdog says where it was."""
    pipe = tmp_path / "pipe.pem"
    os.mkfifo(pipe)
    environment |= {"SSL_CERT_FILE": str(pipe), "GCP_TIMEOUT": "1"}
    ended = plugin.run(environment, request(issuer.token(AUDIENCE)))
    code = refusal(ended)
    assert code != (2, "REQUEST-TIMEOUT"), "stdin had ended long before"
    assert b"trust store" in ended.stderr

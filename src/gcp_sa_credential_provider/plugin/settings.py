"""The environment that the kubelet's CredentialProviderConfig sets, checked before anything else.

Every limit of the contract stands here with its unit. An empty variable counts as unset.
"""

from gcp_sa_credential_provider.plugin.connect import BadAddress, Endpoint, parse_endpoint
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.images import BadPattern, Pattern, parse_pattern
from gcp_sa_credential_provider.plugin.names import BadName, account_name, only, provider_name
from gcp_sa_credential_provider.plugin.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gcp_sa_credential_provider.plugin.proxy import Proxy

    Getter = Callable[[str], str]

UNIVERSE = "googleapis.com"
REGISTRIES = "*-docker.pkg.dev,gcr.io,us.gcr.io,eu.gcr.io,asia.gcr.io"
# What Google documents for pulls; not measured for tokens of an impersonated account.
SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
CACHE_KEY_TYPES = ("Global", "Registry", "Image")
TIMEOUT = (1, 55, 10)  # seconds: least, most, default; the kubelet kills after 60
LIFETIME = (600, 43200, 3600)  # seconds: least, most, default of an impersonated token
LONGEST_KEY = 317  # characters: prefix of 253, slash, name of 63 (Kubernetes qualified names)
LONGEST_SCOPE = 2048  # characters

_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_KEY = _LETTERS + _LETTERS.upper() + "-_./"


class Settings(Value):
    """The whole configuration. Times in seconds; an empty text means off."""

    audience: str
    account: str
    account_annotation: str
    scope: str
    lifetime: int
    registries: "list[Pattern]"
    cache_key_type: str
    sts: Endpoint
    iam_credentials: Endpoint
    proxy_variable: str
    proxy_url: str
    no_proxy: str
    cert_file: str
    cert_dir: str
    timeout: int
    log: str

    def proxy_for(self, endpoint: Endpoint) -> "Proxy | None":
        """The proxy to reach `endpoint` through; None for a direct connection.

        Only where it would be used it must be one that can: it may be meant for other programs.
        Raises Failure SETTINGS-PROXY, which never quotes it.
        """
        if not (self.proxy_url and endpoint.tls):
            return None
        from gcp_sa_credential_provider.plugin.proxy import is_exempt, parse_proxy

        if is_exempt(endpoint.address, self.no_proxy):
            return None
        try:
            return parse_proxy(self.proxy_url)
        except BadAddress as error:
            raise Failure("SETTINGS-PROXY", variable=self.proxy_variable, reason=error) from None


def from_environment(environment: "dict[str, str]") -> Settings:
    """Read everything and check it, but for the proxy. Raises Failure SETTINGS-*."""
    get = _Reader(environment).get
    proxy_variable = "HTTPS_PROXY" if environment.get("HTTPS_PROXY") else "https_proxy"
    universe = get("GOOGLE_CLOUD_UNIVERSE_DOMAIN") or UNIVERSE
    if not only(_LETTERS + ".-", universe):
        raise _bad("GOOGLE_CLOUD_UNIVERSE_DOMAIN", universe, "a domain name such as googleapis.com")
    return Settings(
        audience=_audience(get("GCP_AUDIENCE"), universe),
        account=_account(get("GCP_SERVICE_ACCOUNT")),
        account_annotation=_annotation(get("GCP_SERVICE_ACCOUNT_ANNOTATION")),
        scope=_scope(get("GCP_SCOPE") or SCOPE),
        lifetime=_number(get, "GCP_SERVICE_ACCOUNT_LIFETIME", LIFETIME),
        registries=_registries(get("GCP_REGISTRIES"), universe),
        cache_key_type=_cache_key_type(get("GCP_CACHE_KEY_TYPE")),
        sts=_endpoint(get, "GCP_STS_ENDPOINT", f"https://sts.{universe}"),
        iam_credentials=_endpoint(
            get, "GCP_IAM_CREDENTIALS_ENDPOINT", f"https://iamcredentials.{universe}"
        ),
        proxy_variable=proxy_variable,
        proxy_url=environment.get(proxy_variable, ""),
        no_proxy=environment.get("NO_PROXY") or environment.get("no_proxy") or "",
        cert_file=environment.get("SSL_CERT_FILE", ""),
        cert_dir=environment.get("SSL_CERT_DIR", ""),
        timeout=_number(get, "GCP_TIMEOUT", TIMEOUT),
        log=_log(get("GCP_LOG")),
    )


class _Reader:
    def __init__(self, environment: "dict[str, str]") -> None:
        self._environment = environment

    def get(self, name: str) -> str:
        """A variable's text, printable ASCII: it may end in a request line or a header."""
        value = self._environment.get(name, "")
        if not (value.isascii() and (value.isprintable() or not value)):
            raise _bad(name, value, "printable ASCII text")
        return value


def _bad(variable: str, value: object, expected: str) -> Failure:
    return Failure("SETTINGS-VALUE", variable=variable, value=value, expected=expected)


def _audience(text: str, universe: str) -> str:
    if not text:
        raise Failure("SETTINGS-AUDIENCE-MISSING")
    try:
        return provider_name(text, universe)
    except BadName as slip:
        raise Failure("SETTINGS-AUDIENCE", value=text, slip=str(slip)) from None


def _account(text: str) -> str:
    try:
        return account_name(text) if text else ""
    except BadName as slip:
        raise Failure("ACCOUNT-NAME", where="GCP_SERVICE_ACCOUNT", value=text, slip=slip) from None


def _annotation(text: str) -> str:
    if text and not (only(_KEY, text) and len(text) <= LONGEST_KEY):
        raise _bad("GCP_SERVICE_ACCOUNT_ANNOTATION", text, "the key of an annotation")
    return text


def _scope(text: str) -> str:
    if len(text) > LONGEST_SCOPE:
        raise _bad("GCP_SCOPE", text, f"at most {LONGEST_SCOPE} characters")
    return text


def _number(get: "Getter", variable: str, limits: "tuple[int, int, int]") -> int:
    least, most, default = limits
    text = get(variable)
    if not text:
        return default
    if not (only("0123456789", text) and len(text) <= 5 and least <= int(text) <= most):
        raise _bad(variable, text, f"a whole number of seconds from {least} to {most}")
    return int(text)


def _registries(text: str, universe: str) -> "list[Pattern]":
    if not text and universe != UNIVERSE:
        raise Failure("SETTINGS-REGISTRIES-MISSING", universe=universe)
    patterns = []
    for item in (text or REGISTRIES).split(","):
        if item.strip():
            try:
                patterns.append(parse_pattern(item.strip()))
            except BadPattern as error:
                raise Failure("SETTINGS-REGISTRIES", pattern=item.strip(), reason=error) from None
    if not patterns:
        raise _bad("GCP_REGISTRIES", text, "at least one image pattern")
    return patterns


def _cache_key_type(text: str) -> str:
    if text and text not in CACHE_KEY_TYPES:
        raise _bad("GCP_CACHE_KEY_TYPE", text, "Global, Registry or Image")
    return text or "Global"


def _endpoint(get: "Getter", variable: str, default: str) -> Endpoint:
    text = get(variable) or default
    try:
        return parse_endpoint(text)
    except BadAddress as error:
        # A user or password in it is refused, so it may be one: the value is not quoted.
        raise Failure("SETTINGS-ENDPOINT", variable=variable, reason=error) from None


def _log(text: str) -> str:
    if text in ("", "journal", "syslog", "off"):
        return text
    if text.startswith("/") and not text.endswith("/"):
        return text
    raise _bad("GCP_LOG", text, "journal, syslog, off or the absolute path of a file")

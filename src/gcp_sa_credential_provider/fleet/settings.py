"""Variables of the plugin that a description passes on: what each may be.

The plugin judges them again on the node, by the same functions of its own. What the description
sets itself (audience, registries, accounts, endpoints, universe) is not among them.
"""

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator
from pydantic_core import PydanticCustomError

from gcp_sa_credential_provider.fleet.problem import shown
from gcp_sa_credential_provider.fleet.values import Rule, number_text, refuse
from gcp_sa_credential_provider.plugin.connect import BadAddress
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.proxy import parse_proxy
from gcp_sa_credential_provider.plugin.settings import from_environment

_AUDIENCE = (
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/providers/provider"
)
"""Any: without one the plugin looks at nothing else."""
_PROXY_FIX = "write it as in http://proxy.example.com:3128"


def _proxy(url: str) -> str:
    """Never quoted: it may hold a password."""
    if not (url.isascii() and url.isprintable()):
        refuse("it has other letters than printable ASCII", _PROXY_FIX)
    try:
        parse_proxy(url)
    except BadAddress as error:
        refuse(f"it cannot be used: {error}", _PROXY_FIX)
    if "@" in url:
        refuse(
            "it holds a user or password, and what is rendered of it is no secret",
            "set it in the environment of the kubelet's unit, which the plugin has too",
        )
    return url


@dataclass(frozen=True)
class _MaybeSecret(Rule):
    """A rule for values that a URL with a password may be written into: such is never quoted."""

    def check(self, text: str) -> str:
        """Return it. Raises pydantic's error."""
        try:
            return super().check(text)
        except PydanticCustomError:
            if "@" in text:
                refuse(f"it {self.message}", self.fix)
            raise


def _setting(variable: str) -> AfterValidator:
    """By the plugin's own judgement."""

    def check(text: str) -> str:
        if not text:
            refuse("it is empty, which counts as unset", "write a value, or take it out")
        try:
            from_environment({"GCP_AUDIENCE": _AUDIENCE, variable: text})
        except Failure as failure:
            wanted = failure.evidence["expected"]
            said = "it" if "@" in text else shown(text)  # no password is quoted
            refuse(f"{said} cannot be {variable}", f"write {wanted}, or take it out")
        return text

    return AfterValidator(check)


ProxyUrl = Annotated[str, AfterValidator(_proxy)]
NoProxy = Annotated[
    str,
    _MaybeSecret(
        "(?!.*(@|://))[!-~]+",
        "is no list of hosts",
        "write them with commas and without blanks, as in .example.com,10.0.0.0/8",
        4096,
    ),
]
NodePath = Annotated[
    str, _MaybeSecret("/[!-~]*", "is no absolute path", "write where it is on the nodes", 4096)
]
_Number = BeforeValidator(number_text, json_schema_input_type=str | int)
Timeout = Annotated[str, _Number, _setting("GCP_TIMEOUT")]
Lifetime = Annotated[str, _Number, _setting("GCP_SERVICE_ACCOUNT_LIFETIME")]
Scope = Annotated[str, _setting("GCP_SCOPE")]
Log = Annotated[str, _setting("GCP_LOG")]

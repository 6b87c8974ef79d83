"""Our entries in a CredentialProviderConfig: which they are, and their form for a minor.

Imports `document`, `splice`, and of `plugin` what reads its environment. Rules: kubernetes/kubelet
config/v1/types.go. A kubelet of 1.33 does not know `cacheType` and ends on it; from 1.34 on one
ends without it. What 1.33 does is what 1.34 calls `ServiceAccount`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from gcp_sa_credential_provider.node import document, splice
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.failure import Refused

PLUGIN = "gcp-sa-credential-provider"
"""Name of the program, and of its entry unless there are several."""
OLDEST = (1, 33)
"""The first minor that hands tokens of ServiceAccounts to providers."""
WITH_CACHE_TYPE = (1, 34)
DEFAULT_CACHE_TYPE = "ServiceAccount"

Minor = tuple[int, int]
Entry = dict[str, Any]

_TOKEN = "tokenAttributes"  # noqa: S105 -- a field's name
_CACHE = "cacheType"
_AUDIENCE = "GCP_AUDIENCE"


def is_ours(entry: object) -> bool:
    """Whether an entry is one of this program: by its name, or by the variable it cannot lack."""
    if not isinstance(entry, dict):
        return False
    listed = entry.get("env")
    variables = listed if isinstance(listed, list) else []
    return entry.get("name") == PLUGIN or any(
        isinstance(one, dict) and one.get("name") == _AUDIENCE for one in variables
    )


def taken(content: bytes, where: str) -> list[Entry]:
    """Our entries of a whole CredentialProviderConfig. Raises Refused."""
    try:
        found = splice.entries(text_of(content))
    except (Unreadable, splice.Unspliced) as error:
        raise Refused(
            f"{where}: {error}. Fix: give a CredentialProviderConfig, as `render` writes it"
        ) from None
    ours = [entry for entry in found if is_ours(entry)]
    if not ours:
        raise Refused(
            f"{where}: none of its {len(found)} providers is ours (named {PLUGIN}, or with the"
            f" variable {_AUDIENCE}). Fix: give the file that `render` wrote for the kubelet"
        )
    names = [entry.get("name") for entry in ours]
    for name in names:
        if not isinstance(name, str) or not name or "/" in name or name in (".", ".."):
            raise Refused(f"{where}: the name {name!r} cannot be a program's. Fix: correct it")
        if names.count(name) > 1:
            raise Refused(f"{where}: the name {name} stands twice. Fix: one name for each entry")
    for entry in ours:
        for what in _mistakes(entry):
            raise Refused(f"{where}: the entry {entry['name']}: {what}")
    return ours


def _mistakes(entry: Entry) -> Iterator[str]:
    """What would be seen only later, and elsewhere; each with a fix."""
    if entry.get("args"):
        yield (
            "it has args, and started with words the program is the operator's tool: every pull"
            " would end with exit code 2. Fix: take them out; its settings stand in env"
        )
    for place, text in _numbers(entry, ""):
        yield (
            f"{place} is the number {text}, and the kubelet wants text there. Fix: put it in"
            f' quotes: "{text}"'
        )
    variables = entry.get("env")
    for number, one in enumerate(variables if isinstance(variables, list) else []):
        if not isinstance(one, dict) or None in (one.get("name"), one.get("value")):
            yield (
                f"env[{number}] has not both a name and a value. Fix: give it both; an empty value"
                ' is ""'
            )
    if not isinstance(entry.get(_TOKEN), dict):
        yield (
            f"it has no {_TOKEN}, so that the kubelet would hand over no token and every pull would"
            " end in REQUEST-NO-TOKEN. Fix: add them, as `render` writes them"
        )
    yield from _settings(entry)


def _settings(entry: Entry) -> Iterator[str]:
    """What the program would say on every pull, in its own words, which mask a proxy's password."""
    from gcp_sa_credential_provider.plugin import line, proxy, settings
    from gcp_sa_credential_provider.plugin.failure import Failure

    variables = entry.get("env") or []
    if not isinstance(variables, list) or not all(
        isinstance(one[key], str) for one in variables for key in ("name", "value")
    ):
        return  # which the kubelet's own check refuses
    environment = {one["name"]: one["value"] for one in variables}
    try:
        told = settings.from_environment(environment)
        told.proxy_for(told.sts)
        if told.account or told.account_annotation:
            told.proxy_for(told.iam_credentials)
    except Failure as failure:
        proxies = [environment.get(name, "") for name in ("HTTPS_PROXY", "https_proxy")]
        secrets = [secret for text in proxies for secret in proxy.secrets_of(text)]
        said = line.explain(failure, secrets, 1).removeprefix(f"{line.NAME}: ")
        yield f"the program would refuse every request: {said}"


def _numbers(value: object, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, document.Number):
        yield place, value.text
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _numbers(item, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _numbers(item, f"{place}[{number}]")


def text_of(content: bytes) -> str:
    """The text of a file. Raises Unreadable."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        raise Unreadable(*document.position(before, len(before)), "not UTF-8") from None


def cache_type(entry: Mapping[str, Any]) -> str | None:
    """The entry's `cacheType`, if it has one."""
    attributes = entry.get(_TOKEN)
    found = attributes.get(_CACHE) if isinstance(attributes, dict) else None
    return found if isinstance(found, str) else None


def for_minor(entry: Entry, minor: Minor, remembered: str | None = None) -> Entry:
    """The entry as a kubelet of the minor reads it; `remembered` is a `cacheType` it had once."""
    attributes = entry.get(_TOKEN)
    if not isinstance(attributes, dict):
        return entry
    if minor < WITH_CACHE_TYPE:
        attributes = {key: value for key, value in attributes.items() if key != _CACHE}
    elif not attributes.get(_CACHE):
        attributes = {**attributes, _CACHE: remembered or DEFAULT_CACHE_TYPE}
    return {**entry, _TOKEN: attributes}


def fitted(content: bytes, cache_types: Mapping[str, str], minor: Minor) -> bytes:
    """A configuration with the entries of these names as a kubelet of the minor reads them.

    `cache_types`: what each had once, "" for nothing. Raises Unreadable, Unspliced.
    """
    text = text_of(content)
    ours = [
        for_minor(one, minor, cache_types[one["name"]] or None)
        for one in splice.entries(text)
        if isinstance(one, dict) and one.get("name") in cache_types
    ]
    return splice.put(text, ours).encode()


def minor_of(text: str) -> Minor | None:
    """The minor in a version as people and programs write it: 1.34, v1.34.2+k3s1."""
    major, _, rest = text.strip().removeprefix("v").partition(".")
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    if not (major.isascii() and major.isdecimal() and digits.isascii() and digits):
        return None
    return int(major), int(digits)

"""The kubelet's own check of its credential providers, before it would do it and end.

Imports `document`. Rules: kubernetes pkg/credentialprovider/plugin config.go
(readCredentialProviderConfig, decode, validateCredentialProviderConfig) and plugin.go
(RegisterCredentialProviderPlugins); fields of kubernetes/kubelet config/{v1,v1beta1,v1alpha1}
types.go, decoded strictly; net/url `Parse` for image patterns; time `ParseDuration`; apimachinery
`IsQualifiedName` for annotation keys.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcp_sa_credential_provider.node import document
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.entry import OLDEST, WITH_CACHE_TYPE, Minor, text_of

GATE = "KubeletServiceAccountTokenForCredentialProviders"
ENDINGS = (".json", ".yaml", ".yml")
"""Of the files that a kubelet reads in a folder."""

_GROUP = "kubelet.config.k8s.io"
_API = "credentialprovider.kubelet.k8s.io"
_VERSIONS = ("v1alpha1", "v1beta1", "v1")
_FIELDS = frozenset({"apiVersion", "kind", "providers"})
_PROVIDER: Mapping[str, type | tuple[type]] = {
    "name": str,
    "matchImages": (str,),
    "defaultCacheDuration": str,
    "apiVersion": str,
    "args": (str,),
    "env": (dict,),
    "tokenAttributes": dict,
}
_VARIABLE: Mapping[str, type | tuple[type]] = {"name": str, "value": str}
_ATTRIBUTES: Mapping[str, type | tuple[type]] = {
    "serviceAccountTokenAudience": str,
    "cacheType": str,
    "requireServiceAccount": bool,
    "requiredServiceAccountAnnotationKeys": (str,),
    "optionalServiceAccountAnnotationKeys": (str,),
}
_ONE_COLON = (1, 36)
"""The first minor that is Go 1.26, whose net/url takes one colon (GODEBUG urlstrictcolons)."""
_CACHE_TYPES = ("ServiceAccount", "Token")
_WORDS = {str: "a text", bool: "true or false", dict: "a mapping"}

_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
_DURATION = re.compile(rf"[-+]?(?:0|(?:{_PART.pattern})+)")
_NANOSECONDS = {"ns": 1, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_PORT = re.compile(r":[0-9]*|")
_HOST = re.compile(r"[A-Za-z0-9\-_.~!$&'()*+,;=:<>\"\[\]\u0080-\U0010ffff]*")
_USER = re.compile(r"(?:[A-Za-z0-9\-._:~!$&'()*+,;=@]|%[0-9A-Fa-f]{2})*")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_KEY = re.compile(r"(?:(?P<prefix>[^/]*)/)?(?P<name>[a-z0-9](?:[-a-z0-9_.]*[a-z0-9])?)")
_SUBDOMAIN = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*")


@dataclass(frozen=True)
class File:
    """One that the kubelet reads."""

    path: str
    content: bytes | None
    """None: it is a link that leads to no file."""


@dataclass(frozen=True, kw_only=True)
class Reader:
    """The kubelet that is to read them."""

    minor: Minor
    gates: Mapping[str, bool]
    """Those that are known; the others have their minor's default."""
    executable: Callable[[str], bool]
    """Whether the folder of providers has a program of this name."""

    @property
    def gate(self) -> bool:
        """Whether tokens of ServiceAccounts are handed to providers."""
        return self.gates.get(GATE, self.minor > OLDEST)


def problems(files: Sequence[File], kubelet: Reader) -> list[str]:
    """What the kubelet would end on, each with its place; none: it starts."""
    if not files:
        return ["there is no configuration for the kubelet to read"]
    found: list[str] = []
    seen: dict[str, str] = {}
    count = 0
    for file in files:
        if file.content is None:
            found.append(f"{file.path}: a link that leads to no file")
            continue
        try:
            providers = _providers(file.content, kubelet.minor)
        except Unreadable as error:
            found.append(f"{file.path}: {error}")
            continue
        count += len(providers)
        for number, provider in enumerate(providers):
            where = f"{file.path}: providers[{number}]"
            found += [f"{where}{what}" for what in _provider(provider, kubelet)]
            name = provider.get("name") or ""
            if name in seen:
                found.append(f"{where}.name: {name!r} is there already, in {seen[name]}")
            seen.setdefault(name, file.path)
    if not count and not found:
        found.append(f"{files[-1].path}: providers: there is none")
    return found


def with_our_flags(minor: Minor, gates: Mapping[str, bool]) -> Mapping[str, bool]:
    """The gates of a kubelet that has our flags: these turn on what 1.33 has off by default."""
    return {**gates, GATE: True} if minor < WITH_CACHE_TYPE else gates


def config_hash(contents: Iterable[bytes]) -> str:
    """What the kubelet calls this configuration in kubelet_credential_provider_config_info."""
    digest = hashlib.sha256()
    for content in contents:
        digest.update(len(content).to_bytes(8, "big") + content)
    return f"sha256:{digest.hexdigest()}"


def _providers(content: bytes, minor: Minor) -> list[dict[str, Any]]:
    """The providers of a file that can be decoded. Raises Unreadable."""
    root = document.read(text_of(content))
    if root.real.kind != "mapping":
        raise root.error("not a mapping, as a CredentialProviderConfig is")
    value = document.value(root)
    where = {key: node for key, (node, _) in document.members(root).items()}
    versions = tuple(f"{_GROUP}/{version}" for version in _VERSIONS)
    if value.get("apiVersion") not in versions:
        what = f"apiVersion is {value.get('apiVersion')!r}, not one of {', '.join(versions)}"
        raise where.get("apiVersion", root).error(what)
    if value.get("kind") != "CredentialProviderConfig":
        what = f"kind is {value.get('kind')!r}, not 'CredentialProviderConfig'"
        raise where.get("kind", root).error(what)
    for field in value.keys() - _FIELDS:
        raise where[field].error(f"the field {field!r} is unknown")
    providers = value.get("providers")
    if providers is None:
        return []
    if not isinstance(providers, list):
        raise where["providers"].error("providers is no list")
    items = document.members(root)["providers"][1].real.children
    for item, node in zip(providers, items, strict=True):
        if not isinstance(item, dict):
            raise node.error("a provider is a mapping")
        for what in _shape(item, value["apiVersion"].rpartition("/")[2], minor):
            raise node.error(what)
    return providers


def _shape(provider: Mapping[str, Any], version: str, minor: Minor) -> Iterator[str]:
    """What strict decoding ends on."""
    fields = dict(_PROVIDER)
    if version != "v1" or minor < OLDEST:
        del fields["tokenAttributes"]
    attributes = dict(_ATTRIBUTES)
    if minor < WITH_CACHE_TYPE:
        del attributes["cacheType"]
    yield from _fields(provider, fields, "")
    variables = provider.get("env")
    for number, variable in enumerate(variables if isinstance(variables, list) else []):
        if isinstance(variable, dict):
            yield from _fields(variable, _VARIABLE, f"env[{number}].")
    if isinstance(told := provider.get("tokenAttributes"), dict):
        yield from _fields(told, attributes, "tokenAttributes.")


def _fields(
    value: Mapping[str, Any], known: Mapping[str, type | tuple[type]], where: str
) -> Iterator[str]:
    for field, item in value.items():
        kind = known.get(field)
        if kind is None:
            yield f"the field {where + field!r} is unknown to this kubelet"
        elif item is None:
            continue
        elif isinstance(kind, tuple):
            if not isinstance(item, list):
                yield f"{where}{field} is no list"
            elif not all(one is None or isinstance(one, kind) for one in item):
                yield f"{where}{field} holds something other than {_WORDS[kind[0]]}"
        elif not isinstance(item, kind):
            yield f"{where}{field} is not {_WORDS[kind]}"
        elif field == "defaultCacheDuration" and not _is_duration(str(item)):
            yield f"{where}{field} is {item!r}, which is no duration"


def _is_duration(text: str) -> bool:
    """Whether it is one that 64 bits of nanoseconds hold (292 years)."""
    parts = _PART.findall(text)
    length = sum(float(number) * _NANOSECONDS.get(unit, 1000) for number, unit in parts)
    return bool(_DURATION.fullmatch(text)) and length < 1 << 63


def _provider(provider: Mapping[str, Any], kubelet: Reader) -> Iterator[str]:
    """What the validation behind decoding ends on."""
    name = provider.get("name") or ""
    if "/" in name or " " in name or name in (".", ".."):
        yield f".name: {name!r} may hold neither '/' nor spaces, nor be '.' or '..'"
    elif not kubelet.executable(name):
        yield f".name: no program {name!r} that can be run is in the folder of providers"
    version = provider.get("apiVersion") or ""
    if version not in {f"{_API}/{one}" for one in _VERSIONS}:
        yield f".apiVersion: {version!r} is not one of {_API}/{', '.join(_VERSIONS)}"
    patterns = provider.get("matchImages") or []
    if not patterns:
        yield ".matchImages: there is none"
    for pattern in patterns:
        if what := bad_pattern(pattern or "", kubelet.minor):
            yield f".matchImages: {pattern!r}: {what}"
    duration = provider.get("defaultCacheDuration")
    if duration is None:
        yield ".defaultCacheDuration: is missing"
    elif duration.startswith("-") and duration.strip("-0.nuµμmsh"):
        yield f".defaultCacheDuration: {duration!r} is less than 0"
    attributes = provider.get("tokenAttributes")
    if attributes is not None:
        for what in _token_attributes(attributes, version, kubelet):
            yield f".tokenAttributes{what}"


def _token_attributes(told: Mapping[str, Any], version: str, kubelet: Reader) -> Iterator[str]:
    if not kubelet.gate:
        yield f": the kubelet's feature gate {GATE} is off"
    if not told.get("serviceAccountTokenAudience"):
        yield ".serviceAccountTokenAudience: is missing"
    needed = told.get("requireServiceAccount")
    if needed is None:
        yield ".requireServiceAccount: is missing"
    if version != f"{_API}/v1":
        yield f": goes with apiVersion {_API}/v1 only"
    lists = {
        name: told.get(f"{name}ServiceAccountAnnotationKeys") or []
        for name in ("required", "optional")
    }
    if needed is False and lists["required"]:
        yield ".requiredServiceAccountAnnotationKeys: requireServiceAccount is false"
    for name, keys in lists.items():
        where = f".{name}ServiceAccountAnnotationKeys"
        for number, key in enumerate(keys):
            if not _is_key(key or ""):
                yield f"{where}: {key!r} is no annotation's key"
            if key in keys[:number]:
                yield f"{where}: {key!r} stands twice"
    for key in sorted(set(lists["required"]) & set(lists["optional"])):
        yield f": the annotation {key!r} is both required and optional"
    if kubelet.minor >= WITH_CACHE_TYPE and told.get("cacheType") not in _CACHE_TYPES:
        yield f".cacheType: {told.get('cacheType')!r} is not one of {', '.join(_CACHE_TYPES)}"


def _is_key(key: str) -> bool:
    """Whether it may be an annotation's: IsQualifiedName, in which case does not matter."""
    found = _KEY.fullmatch(key.lower())
    if found is None or len(found["name"]) > 63:
        return False
    prefix = found["prefix"]
    return prefix is None or (len(prefix) <= 253 and bool(_SUBDOMAIN.fullmatch(prefix)))


def bad_pattern(pattern: str, minor: Minor) -> str | None:
    """Why `https://` and the pattern are no URL; None if they are one."""
    if any(letter < " " or letter == "\x7f" for letter in pattern):
        return "it holds a control character"
    rest, _, fragment = pattern.partition("#")
    rest = rest.partition("?")[0]
    registry, slash, path = rest.partition("/")
    user, at, host = registry.rpartition("@")
    if at and not _USER.fullmatch(user):
        return "what stands before the '@' is no user"
    if host.startswith("["):
        inner, bracket, port = host.rpartition("]")
        if not bracket:
            return "a ']' is missing"
        host = inner.removeprefix("[").partition("%25")[0]
    else:
        host, colon, port = host.rpartition(":") if ":" in host else (host, "", "")
        port = colon + port
        if minor >= _ONE_COLON and ":" in host:
            return "it has more than one ':' before its path"
    if not _PORT.fullmatch(port):
        return f"{port!r} is no port"
    if not _HOST.fullmatch(re.sub("%[89A-Fa-f][0-9A-Fa-f]", "", host)):
        return "its host holds a character that no host has"
    if _ESCAPE.search(slash + path) or _ESCAPE.search(fragment):
        return "a '%' is not followed by two hexadecimal digits"
    return None

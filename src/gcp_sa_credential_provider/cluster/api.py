"""Requests to a Kubernetes API server: raw paths in, JSON out, long lists page by page.

The one file that imports the official client, which authenticates as the kubeconfig says and
carries the requests (TLS, proxies, tokens that expire underway). Its models are not used: a page of
raw JSON is all that is ever held, whatever the size of the cluster. Redirects are
not followed. Rules: kubernetes.io, "Kubernetes API Concepts", retrieving large results sets in
chunks (limit, continue, 410 Gone) and metadata-only fetches.
"""

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
import yaml
from kubernetes.client.api_client import ApiClient
from kubernetes.client.configuration import Configuration
from kubernetes.client.exceptions import OpenApiException
from kubernetes.config import kube_config
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import KubeConfigLoader, KubeConfigMerger

from gcp_sa_credential_provider.cluster import kubeconfig
from gcp_sa_credential_provider.cluster.failure import BadInput, ClusterFailure, evidence

T = TypeVar("T")
Progress = Callable[[int, int | None], None]
"""Called with the number of objects seen so far, and that of all if the server says it."""

# As kubectl sends it: the key set is application/jwk-set+json, and kube-apiserver answers 406 to
# whoever wants application/json alone (kubernetes: pkg/routes/openidmetadata.go).
_ANY_JSON = "application/json, */*"
METADATA_ONLY = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
DOCUMENT = 1024 * 1024
"""Bytes of one document, at most: a JWKS of hundreds of keys is far smaller."""
PAGE = 64 * 1024 * 1024
"""Bytes of one page of a list, at most."""
_RESTARTS = 3
_ERROR = 64 * 1024


@contextlib.contextmanager
def connect(path: str, context: str | None, seconds: float) -> Iterator["Api"]:
    """The API server that `context` (or the current one) of the kubeconfig `path` names.

    Keys in memory and the client's log are held for as long as the block lasts. Runs the user's
    credential plugin, if there is one; sends nothing yet. `seconds` are for connecting, and for
    each wait for more of an answer. Raises BadInput, or ClusterFailure where the plugin fails.
    """
    with contextlib.ExitStack() as stack:
        told = stack.enter_context(_log())
        merged = _merged(path)
        lists = {
            kind: [node.value for node in merged.value.get(kind) or ()]
            for kind in ("contexts", "clusters", "users")
        }
        current = merged.value.get("current-context")
        chosen = kubeconfig.choose(path, lists, current, context)
        for part in (chosen.cluster, chosen.user):
            kubeconfig.into_memory(part, stack, chosen.where)
        _without_files(stack)
        configuration = Configuration()
        try:
            # The client's loader has no types; what it fills in is checked below and by requests.
            loader = KubeConfigLoader(  # type: ignore[no-untyped-call]
                config_dict=merged, active_context=chosen.context, config_base_path=None
            )
            loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError, ValueError, TypeError, AttributeError) as error:
            raise kubeconfig.not_loaded(chosen.where, error) from None
        if "exec" in chosen.user and not (configuration.api_key or configuration.cert_file):
            raise kubeconfig.plugin_failed(chosen.where, chosen.user["exec"], told)
        yield Api(chosen, configuration, seconds)


def _without_files(stack: contextlib.ExitStack) -> None:
    """Keep in memory what a credential plugin gives, now and when the client runs it again."""
    if not kubeconfig.HAS_MEMORY:
        return
    name = "_create_temp_file_with_content"  # the client has no other place to step in
    stack.callback(setattr, kube_config, name, getattr(kube_config, name))

    def kept(content: str | bytes, *_: object, **__: object) -> str:
        octets = content.encode() if isinstance(content, str) else content
        return kubeconfig.in_memory(octets, stack)

    setattr(kube_config, name, kept)


def _merged(path: str) -> Any:
    """The client's merged view of all files."""
    kubeconfig.require(path)
    try:
        # No types here either: the next line looks at what came out.
        merged = KubeConfigMerger(path).config  # type: ignore[no-untyped-call]
        if all(isinstance(merged.value.get(kind), list) for kind in ("contexts", "clusters")):
            return merged
    except OSError as error:
        raise BadInput(
            f"kubeconfig {path}", f"cannot be read ({error.strerror})", "let this user read it"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        at = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise BadInput(f"kubeconfig {path}", f"is not YAML{at}", "correct that line") from None
    except (ConfigException, yaml.YAMLError, ValueError, TypeError, AttributeError, KeyError):
        pass
    raise kubeconfig.not_understood(path)


@contextlib.contextmanager
def _log() -> Iterator[list[str]]:
    """Keep what the client and its HTTP library log, which else goes to stderr unmasked."""
    told: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler = Keep(logging.WARNING)
    root = logging.getLogger()
    root.addHandler(handler)
    try:
        yield told
    finally:
        root.removeHandler(handler)


class Api:
    """One API server."""

    def __init__(
        self, chosen: kubeconfig.Chosen, configuration: Configuration, seconds: float
    ) -> None:
        self._chosen = chosen
        self._seconds = seconds
        configuration.retries = urllib3.Retry(
            total=4,
            connect=1,
            read=1,
            redirect=0,
            # API Priority and Fairness answers 429 with Retry-After; 503 is a server that starts.
            status=4,
            status_forcelist=(429, 503),
            backoff_factor=0.2,
            retry_after_max=10,
            raise_on_status=False,
            raise_on_redirect=False,
        )
        try:
            self._client = ApiClient(configuration)
        except urllib3.exceptions.HTTPError:
            raise kubeconfig.bad_proxy(chosen.where) from None

    @property
    def context(self) -> str:
        """Name of the kubeconfig's context."""
        return self._chosen.context

    @property
    def name(self) -> str:
        """What to call it in a message."""
        return f"{self._chosen.server} (context {self._chosen.context})"

    def read(self, path: str) -> dict[str, Any]:
        """GET one JSON object of at most DOCUMENT bytes. Raises ClusterFailure."""
        return self._get(path, _ANY_JSON, DOCUMENT)

    def collect(
        self,
        path: str,
        page: int,
        keep: Callable[[dict[str, Any]], T],
        progress: Progress,
        *,
        accept: str = _ANY_JSON,
    ) -> list[T]:
        """What `keep` makes of every object of a list, `page` objects at a time.

        A list that expires underway (410 Gone) is begun again. Raises ClusterFailure.
        """
        for _ in range(_RESTARTS):
            with contextlib.suppress(_Expired):
                return [keep(item) for item in self._items(path, page, accept, progress)]
        raise ClusterFailure(
            f"{self.name}{path}",
            f"the list expired {_RESTARTS} times before its end (410 Gone)",
            "try again when the API server is less busy",
        )

    def _items(
        self, path: str, page: int, accept: str, progress: Progress
    ) -> Iterator[dict[str, Any]]:
        following, seen = "", 0
        while True:
            query = {"limit": str(page)} | ({"continue": following} if following else {})
            try:
                answer = self._get(f"{path}?{urlencode(query)}", accept, PAGE)
            except ClusterFailure as failure:
                if failure.status == 410 and following:
                    raise _Expired from None
                raise
            items = answer.get("items")
            metadata = answer.get("metadata")
            if not isinstance(items, list) or not isinstance(metadata, dict):
                raise ClusterFailure(
                    f"{self.name}{path}",
                    f"the answer is no list (kind {evidence(str(answer.get('kind')))})",
                    "see whether the kubeconfig's server is a Kubernetes API server",
                )
            yield from (item for item in items if isinstance(item, dict))
            seen += len(items)
            before, following = following, metadata.get("continue") or ""
            rest = metadata.get("remainingItemCount")
            # The server may leave the count out; the last page has none to tell.
            progress(seen, seen + rest if isinstance(rest, int) else None if following else seen)
            if not following:
                return
            if following == before:
                raise ClusterFailure(
                    f"{self.name}{path}",
                    "the list does not go on: the same continue token came twice",
                    "see whether a proxy between here and the API server caches answers",
                )

    def _get(self, path: str, accept: str, largest: int) -> dict[str, Any]:
        where = f"{self.name}{path.partition('?')[0]}"
        try:
            method, url, headers, *_ = self._client.param_serialize(
                "GET",
                path,
                header_params={"Accept": accept, "User-Agent": "gcp-sa-credential-provider"},
                auth_settings=["BearerToken"],
            )
            answer = self._client.call_api(
                method, url, headers, _request_timeout=(self._seconds, self._seconds)
            ).response
            with contextlib.closing(answer):
                body = _body(answer, largest if answer.status == 200 else _ERROR)
        except (urllib3.exceptions.HTTPError, OpenApiException, OSError, ValueError) as error:
            raise _unreachable(where, error, self._seconds) from None
        if answer.status != 200:
            raise _refused(where, path, answer.status, body)
        if body is None:
            raise ClusterFailure(
                where,
                f"the answer is longer than {largest} bytes",
                "see whether the kubeconfig's server is a Kubernetes API server",
            )
        return _object(where, body)


class _Expired(Exception):  # noqa: N818 -- the list has, the program has not failed
    """The rest of a list is gone: etcd was compacted."""


def _body(answer: Any, largest: int) -> bytes | None:
    """The body; None if longer than `largest`."""
    parts: list[bytes] = []
    size = 0
    for part in answer.stream(64 * 1024, decode_content=True):
        size += len(part)
        if size > largest:
            return None
        parts.append(part)
    return b"".join(parts)


def _object(where: str, body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        begins = evidence(body[:60].decode("utf-8", "replace"))
        raise ClusterFailure(
            where,
            f"the answer is no JSON object (it begins: {begins or 'nothing'})",
            "see whether the kubeconfig's server is a Kubernetes API server, not a login page or"
            " a proxy",
        )
    return value


def _refused(where: str, path: str, status: int, body: bytes | None) -> ClusterFailure:
    """An answer other than 200, with the server's own sentence."""
    try:
        said = json.loads(body or b"")["message"]
    except (ValueError, RecursionError, KeyError, TypeError):
        said = (body or b"")[:200].decode("utf-8", "replace")
    what = f"HTTP {status} ({evidence(str(said)) or 'no text'})"
    return ClusterFailure(where, what, _fix(path, status), status=status)


def _fix(path: str, status: int) -> str:
    if status == 401:
        return "log in to the cluster again; `kubectl auth whoami` shows as whom"
    if status != 403:
        return "see whether `kubectl get --raw` of this path works"
    if path.startswith(("/openid/", "/.well-known/")):
        return (
            "bind the ClusterRole system:service-account-issuer-discovery to your user, or have an"
            " administrator run `kubectl get --raw /.well-known/openid-configuration` and"
            " `kubectl get --raw /openid/v1/jwks`, and give the two files with"
            " --openid-configuration and --jwks"
        )
    if path == "/version":
        return "bind the ClusterRole system:public-info-viewer to your user"
    if "/serviceaccounts" in path:
        return (
            "let your user list serviceaccounts, or give --no-service-accounts: a name too long for"
            " Google then shows at its first pull only"
        )
    return (
        "let your user list nodes, or say with --distribution and --kubernetes how they are: they"
        " are not read then"
    )


def _unreachable(where: str, error: Exception, seconds: float) -> ClusterFailure:
    """No answer at all."""
    cause: object = getattr(error, "reason", None) or error
    text = evidence(str(cause).rpartition("Caused by ")[2] or str(cause))
    if isinstance(cause, urllib3.exceptions.SSLError) or "certificate verify failed" in text:
        return ClusterFailure(
            where,
            f"TLS failed ({text})",
            "correct certificate-authority-data, client-certificate or tls-server-name in the"
            " kubeconfig",
        )
    if isinstance(cause, urllib3.exceptions.TimeoutError) and not isinstance(
        cause, urllib3.exceptions.NewConnectionError
    ):
        return ClusterFailure(
            where,
            f"no answer within {seconds:g} s",
            "see whether the API server is reached from here (VPN, proxy), or give it longer with"
            " --request-timeout",
        )
    return ClusterFailure(
        where,
        f"not reached ({text})",
        "see whether the address in the kubeconfig is right and reached from here (VPN, proxy)",
    )

"""The CredentialProviderRequest that the kubelet writes to stdin (kubelet config/v1/types.go)."""

import posix

from gcp_sa_credential_provider.plugin import jsonc
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.images import BadPattern, Pattern, parse_image
from gcp_sa_credential_provider.plugin.value import Value

API_VERSION = "credentialprovider.kubelet.k8s.io/v1"
KIND = "CredentialProviderRequest"
LARGEST = 1048576  # bytes


class Request(Value):
    """What the kubelet asks. `token` is the pod's ServiceAccount token: a secret."""

    image: Pattern
    token: str
    annotations: "dict[str, str]"


def read(fd: int) -> bytes:
    """Read stdin to its end. Raises Failure REQUEST-READ or REQUEST-LARGE."""
    data = b""
    try:
        while more := posix.read(fd, 65536):
            data += more
            if len(data) > LARGEST:
                raise Failure("REQUEST-LARGE", limit=LARGEST)
    except OSError as error:
        raise Failure("REQUEST-READ", error=error.strerror) from None
    return data


def parse(data: bytes, secrets: "list[str]") -> Request:
    """Decode the document; fields that a newer kubelet adds are ignored.

    The token is added to `secrets` before any other field may be quoted.
    Raises Failure REQUEST-EMPTY, -JSON, -KIND, -VERSION, -FIELD, -IMAGE or -NO-TOKEN.
    """
    if not data.strip():
        raise Failure("REQUEST-EMPTY")
    try:
        document = jsonc.loads(data)
    except jsonc.NotJson as error:
        raise Failure("REQUEST-JSON", reason=str(error)) from None
    if not isinstance(document, dict):
        raise Failure("REQUEST-JSON", reason="not an object")
    if isinstance(given := document.get("serviceAccountToken"), str):
        secrets.append(given)
    if document.get("kind") != KIND:
        raise Failure("REQUEST-KIND", kind=_shown(document.get("kind")))
    if document.get("apiVersion") != API_VERSION:
        raise Failure("REQUEST-VERSION", version=_shown(document.get("apiVersion")))
    annotations = document.get("serviceAccountAnnotations") or {}
    if not isinstance(annotations, dict):
        raise Failure("REQUEST-FIELD", field="serviceAccountAnnotations", expected="an object")
    try:
        image = parse_image(_field(document, "image"))
    except BadPattern as error:
        raise Failure("REQUEST-IMAGE", image=document["image"], reason=str(error)) from None
    if document.get("serviceAccountToken") in (None, ""):
        raise Failure("REQUEST-NO-TOKEN", image=image.text)
    token = _field(document, "serviceAccountToken")
    return Request(image=image, token=token, annotations=annotations)


def _field(document: "dict[str, object]", name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise Failure("REQUEST-FIELD", field=name, expected="a string")
    return value


def _shown(value: object) -> str:
    return value if isinstance(value, str) and value else "MISSING"

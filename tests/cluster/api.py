"""The API server as tests use it: objects, and waiting for one of them to become something.

Imports the kubelet tier's `ControlPlane`. Rules: Kubernetes API concepts, "Efficient detection of
changes" (a watch without a resourceVersion begins with the present state).
"""

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from kubelet.control_plane import CALL_SECONDS, ApiError, ControlPlane

PATIENCE_SECONDS = 60

Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Api(ControlPlane):
    """The administrator's view of the cluster."""

    def get(self, path: str, **query: str) -> Object:
        """One object or list."""
        found: Object = json.loads(self.read(f"{path}?{urlencode(query)}" if query else path))
        return found

    def patch(self, path: str, **fields: Any) -> Object:
        """Merge fields into one object (RFC 7386); returns it as stored."""
        body = json.dumps(fields).encode()
        with self.call(path, method="PATCH", body=body, kind="merge-patch+json") as answer:
            stored: Object = json.load(answer)
        return stored

    def forget(self, path: str) -> None:
        """Delete one object without waiting for whatever it holds; it may be gone already."""
        with contextlib.suppress(ApiError):
            self.read(f"{path}?gracePeriodSeconds=0&propagationPolicy=Background", method="DELETE")

    def wait(
        self,
        path: str,
        name: str,
        wanted: Callable[[Object], bool],
        *,
        seconds: int = PATIENCE_SECONDS,
    ) -> Object:
        """The object of the collection at `path`, as soon as it is `wanted`.

        Raises TimeoutError with its last status.
        """
        query = urlencode(
            {"watch": "1", "fieldSelector": f"metadata.name={name}", "timeoutSeconds": seconds}
        )
        last: Object = {}
        # The server ends the watch; the client would wait a little longer.
        with self.call(f"{path}?{query}", silence=seconds + CALL_SECONDS) as events:
            for line in events:
                last = json.loads(line)["object"]
                if wanted(last):
                    return last
        raise TimeoutError(f"{path}/{name} within {seconds} s: {json.dumps(last.get('status'))}")

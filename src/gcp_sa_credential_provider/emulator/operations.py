"""Long-running operations: google.longrunning.Operation as the IAM v1 API gives them.

Imports rejection. They live in memory; a restart forgets them.
"""

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from gcp_sa_credential_provider.emulator.rejection import not_found

_CAPACITY = 1000
_TYPES = "type.googleapis.com/google.iam.v1."


class Operations:
    """The operations of the last changes."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, tuple[float, dict[str, Any]]] = OrderedDict()

    def start(
        self, target: str, verb: str, response: tuple[str, Mapping[str, Any]], now: float, life: int
    ) -> dict[str, Any]:
        """A new operation on the resource `target`, done after `life` seconds.

        `response`: message type and resource. Returns what the caller is told now.
        """
        kind, resource = response
        metadata = {
            "@type": f"{_TYPES}OperationMetadata",
            "createTime": timestamp(now),
            "target": target,
            "verb": verb,
            "apiVersion": "v1",
        }
        return self.add(
            f"{target}/operations/{secrets.token_hex(16)}",
            metadata,
            {"@type": f"{_TYPES}{kind}", **resource},
            now,
            life,
        )

    def add(
        self,
        name: str,
        metadata: Mapping[str, Any],
        response: Mapping[str, Any],
        now: float,
        life: int,
    ) -> dict[str, Any]:
        """An operation under a name of the service's own. Returns what the caller is told now."""
        operation = {"name": name, "metadata": metadata, "done": True, "response": response}
        self._known[name] = (now + life, operation)
        while len(self._known) > _CAPACITY:
            self._known.popitem(last=False)
        return self.get(name, now)

    def get(self, name: str, now: float) -> dict[str, Any]:
        """An operation as it stands. Raises ApiError 404."""
        if name not in self._known:
            raise not_found(name)
        done_at, operation = self._known[name]
        if now < done_at:
            # protobuf's JSON mapping leaves "done": false out
            return {key: operation[key] for key in ("name", "metadata")}
        return operation


def timestamp(seconds: float) -> str:
    """A google.protobuf.Timestamp in JSON (RFC 3339)."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

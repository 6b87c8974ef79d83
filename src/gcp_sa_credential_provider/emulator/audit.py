"""The audit log: one Cloud Logging entry a line for every exchange and every impersonation.

Imports the standard library. Form: Google, "Example audit logs for workload identity federation"
(Data Access logs of STS and IAM, which name the principal that was mapped).
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.emulator.log import Entry
from gcp_sa_credential_provider.emulator.operations import timestamp

_CODES = {200: 0, 400: 3, 401: 16, 403: 7, 404: 5, 429: 8, 500: 13}
"""HTTP status to google.rpc.Code."""


class AuditLog:
    """An open audit file."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def __call__(self, entry: Entry) -> None:
        """Append the entry's line, in one write."""
        line = log_entry(entry)
        if line is not None:
            os.write(self._descriptor, (json.dumps(line) + "\n").encode())


@contextmanager
def opened(path: Path) -> Iterator[AuditLog]:
    """Append to the file while the block runs. Raises OSError."""
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        yield AuditLog(descriptor)
    finally:
        os.close(descriptor)


def log_entry(entry: Entry) -> dict[str, Any] | None:
    """The LogEntry of a request; None for a request that Google does not audit."""
    if entry["path"] == "/v1/token" and "audience" in entry:
        resource = entry["audience"].partition(".com/")[2] or entry["audience"]
        payload: dict[str, Any] = {
            "serviceName": "sts.googleapis.com",
            "methodName": "google.identity.sts.v1.SecurityTokenService.ExchangeToken",
            "resourceName": resource,
            "authenticationInfo": {"principalSubject": entry.get("subject") or ""},
            "metadata": {
                "@type": "type.googleapis.com/google.identity.sts.v1.AuditData",
                **_present(entry, "mapped_principal"),
            },
        }
    elif "account" in entry:
        resource = f"projects/-/serviceAccounts/{entry['account']}"
        payload = {
            "serviceName": "iamcredentials.googleapis.com",
            "methodName": "GenerateAccessToken",
            "resourceName": resource,
            "authenticationInfo": {"principalSubject": entry["principal"]},
        }
    else:
        return None
    if entry["status"] != 200:
        payload["status"] = {
            "code": _CODES.get(entry["status"], 2),
            "message": entry.get("description", ""),
        }
    project = resource.split("/")[1] if resource.startswith("projects/") else "-"
    return {
        "timestamp": timestamp(entry["at"]),
        "severity": "INFO" if entry["status"] == 200 else "ERROR",
        "logName": f"projects/{project}/logs/cloudaudit.googleapis.com%2Fdata_access",
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            **payload,
        },
    }


def _present(entry: Entry, *keys: str) -> dict[str, Any]:
    return {key: entry[key] for key in keys if key in entry}

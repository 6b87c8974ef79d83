"""The scene of most tests: one project, one pool, one cluster, and what the kubelet would send."""

import contextlib
import json
import os
import threading
from dataclasses import dataclass
from typing import Any
from unittest import mock

from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.plugin import deadline
from gcp_sa_credential_provider.plugin.host import Host
from gcp_sa_credential_provider.plugin.run import run

NUMBER = "123456789012"
POOL = f"projects/{NUMBER}/locations/global/workloadIdentityPools/k8s-pool"
PROVIDER = f"{POOL}/providers/k8s-test"
AUDIENCE = f"//iam.googleapis.com/{PROVIDER}"
SUBJECT = "system:serviceaccount:demo:puller"
ACCOUNT = "puller@project.iam.gserviceaccount.com"
IMAGE = "europe-docker.pkg.dev/project/images/app"


def google_config(issuer: Issuer, **provider: Any) -> dict[str, Any]:
    """The emulator's configuration; `provider` overrides fields of the one provider."""
    member = f"principal://iam.googleapis.com/{POOL}/subject/{SUBJECT}"
    return {
        "projects": [{"projectId": "project", "projectNumber": NUMBER}],
        "workloadIdentityPools": [{"name": POOL}],
        "workloadIdentityPoolProviders": [
            {
                "name": PROVIDER,
                "oidc": {"issuerUri": ISSUER, "jwksJson": issuer.jwks},
                "attributeMapping": {"google.subject": "assertion.sub"},
                **provider,
            }
        ],
        "serviceAccounts": [
            {
                "name": f"projects/project/serviceAccounts/{ACCOUNT}",
                "email": ACCOUNT,
                "iamPolicy": {
                    "bindings": [{"role": "roles/iam.workloadIdentityUser", "members": [member]}]
                },
            }
        ],
    }


def request(token: str | None, image: str = IMAGE, **fields: Any) -> bytes:
    """A CredentialProviderRequest; `fields` add to it or replace."""
    document = {
        "kind": "CredentialProviderRequest",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "image": image,
        "serviceAccountToken": token,
        **fields,
    }
    return json.dumps(document).encode()


@dataclass(frozen=True)
class Outcome:
    """What one run left behind."""

    code: int
    stdout: bytes
    stderr: str
    left: list[int]
    """Exit codes with which the watchdog would have left the process."""

    @property
    def error(self) -> str:
        """The code in the one line of stderr; "" on success."""
        return self.stderr.partition("[")[2].partition("]")[0]

    @property
    def response(self) -> dict[str, Any]:
        """The document on stdout."""
        document: dict[str, Any] = json.loads(self.stdout)
        return document


def run_plugin(environment: dict[str, str], stdin: bytes | None) -> Outcome:
    """Run the plugin in this process over pipes. `stdin` None: open until the watchdog ends it.

    Pauses between tries are short: how long they are is for the tests of `deadline` to say.
    """
    in_read, in_write = os.pipe()
    out_read, out_write = os.pipe()
    err_read, err_write = os.pipe()
    left: list[int] = []

    def leave(code: int) -> None:
        left.append(code)
        if stdin is None:
            os.close(in_write)

    def feed(data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):
            os.write(in_write, data)
        os.close(in_write)

    if stdin is not None:
        threading.Thread(target=feed, args=(stdin,)).start()
    host = Host(
        environment=environment, stdin=in_read, stdout=out_write, stderr=err_write, exit=leave
    )
    with mock.patch.object(deadline, "_FIRST_PAUSE", 0.001):
        code = run(host)
    os.close(in_read)
    os.close(err_write)
    if code != 0:  # a success has closed it, and the number may be another thread's by now
        os.close(out_write)
    with os.fdopen(out_read, "rb") as out, os.fdopen(err_read, "rb") as err:
        return Outcome(code=code, stdout=out.read(), stderr=err.read().decode(), left=left)

"""A fleet's gcloud.sh, the Google that it is run against, and pulls after it."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from clients.place import config
from gcp_sa_credential_provider.emulator import persistence
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan
from scene import Outcome, request, run_plugin
from unit import plans

READER = "roles/artifactregistry.reader"
IMAGES = f"projects/{plans.PROJECT}/locations/europe/repositories/images"
SHARED = "projects/other-project/locations/us/repositories/shared"


def before(jwks: str) -> dict[str, Any]:
    """Two projects with a repository each; a pool for gcloud's own login, and APIs that are off."""
    there = config(jwks)
    off = ["artifactregistry.googleapis.com", "iamcredentials.googleapis.com"]
    there["projects"][0]["disabledServices"] = off
    there["projects"].append({"projectId": "other-project", "projectNumber": "222222222222"})
    there["repositories"] += [{"name": IMAGES}, {"name": SHARED}]
    foreign = f"projects/other-project/serviceAccounts/{plans.FOREIGN}"
    there["serviceAccounts"] = [{"name": foreign}]
    return there


@dataclass(frozen=True)
class Script:
    """A fleet's script in a folder, and whom it speaks to."""

    plan: Plan
    path: Path
    google: Emulator
    environment: Mapping[str, str]
    first: str = ""
    """What its first run said, if it had one."""

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """The finished script; `changes` of the environment."""
        return subprocess.run(
            ["bash", str(self.path), *arguments],
            env={**self.environment, **changes},
            capture_output=True,
            text=True,
            timeout=250,  # twenty starts of gcloud, on a machine that builds Kubernetes beside
            check=False,
        )

    def says(self, *arguments: str) -> str:
        """What a run that must succeed says."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    def state(self) -> Any:
        """All that the emulator holds."""
        return persistence.document(self.google._google.resources)

    def writes(self) -> list[str]:
        """Method and path of the requests that could have changed something."""
        return [
            f"{entry['method']} {entry['path']}"
            for entry in self.google.log.entries("iam")
            if entry["method"] != "GET" and not entry["path"].endswith(":getIamPolicy")
        ]


def pull(
    script: Script, cluster: ClusterPlan, namespace: str, account: str, number: int = 0
) -> Outcome:
    """What the plugin gives the kubelet for an image of a repository."""
    token = plans.issuer(cluster.cluster.name).token(
        cluster.audience, namespace=namespace, service_account=account, iss=cluster.issuer
    )
    wanted = cluster.annotations.get((namespace, account))
    key = cluster.environment.get("GCP_SERVICE_ACCOUNT_ANNOTATION")
    annotations = {key: wanted} if key and wanted else {}
    return run_plugin(
        {
            **cluster.environment,
            "GCP_STS_ENDPOINT": script.google.endpoints["sts"],
            "GCP_IAM_CREDENTIALS_ENDPOINT": script.google.endpoints["iam_credentials"],
            "SSL_CERT_FILE": str(script.google.ca_pem),
            "GCP_LOG": "off",
        },
        request(
            token,
            f"{script.plan.repositories[number].image_prefix}hello",
            serviceAccountAnnotations=annotations,
        ),
    )


def status(script: Script, outcome: Outcome, number: int = 0) -> int:
    """The registry's answer to the response's credential, for an image of a repository."""
    repository = script.plan.repositories[number]
    url = script.google.endpoints["http"]["registry"]
    (password,) = {entry["password"] for entry in outcome.response["auth"].values()}
    answer = httpx.get(
        f"{url}/v2/{repository.project}/{repository.name}/hello/manifests/latest",
        headers={
            "Authorization": f"Bearer {password}",
            "Host": repository.registry,
        },
        trust_env=False,
    )
    return answer.status_code

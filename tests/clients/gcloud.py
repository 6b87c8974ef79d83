"""gcloud with a configuration of its own, and every endpoint on the emulator."""

import json
import subprocess
from typing import Any

from clients.place import PROJECT
from gcp_sa_credential_provider.emulator.inprocess import Emulator

INSTALL = "install the Google Cloud CLI (cloud.google.com/sdk)"


class Gcloud:
    """The program; `environment` is what its processes are given."""

    def __init__(self, program: str, google: Emulator, environment: dict[str, str]) -> None:
        base = google.endpoints
        overrides = {
            "IAM": base["iam"],
            "IAMCREDENTIALS": base["iam_credentials"],
            "STS": base["sts"],
            "ARTIFACTREGISTRY": base["iam"],
            "CLOUDRESOURCEMANAGER": base["iam"],
            "SERVICEUSAGE": base["iam"],
        }
        self._program = program
        self.environment = {
            **environment,
            "CLOUDSDK_CONFIG": f"{environment['HOME']}/gcloud",
            "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE": str(google.ca_pem),
            "CLOUDSDK_CORE_PROJECT": PROJECT,
            "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
            "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
            "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
            "CLOUDSDK_CORE_DISABLE_FILE_LOGGING": "1",
            "CLOUDSDK_CORE_CHECK_GCE_METADATA": "0",
            **{
                f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{url}/"
                for name, url in overrides.items()
            },
        }

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The finished process."""
        return subprocess.run(
            [self._program, *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    def text(self, *arguments: str) -> str:
        """The output of a command that must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def json(self, *arguments: str) -> Any:
        """The output of a command that must succeed, as JSON."""
        return json.loads(self.text(*arguments, "--format=json"))

    def installation(self) -> tuple[str, str]:
        """Its Python, and the folder where it is installed."""
        info = self.json("info")
        return info["basic"]["python_location"], info["installation"]["sdk_root"]

    def pools(self, *arguments: str) -> Any:
        """`gcloud iam workload-identity-pools …`."""
        return self.json("iam", "workload-identity-pools", *arguments)

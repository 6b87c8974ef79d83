"""What an operator does by hand to set a cluster up, as commands: none of their output is edited.

Imports the cluster and tests/clients.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from clients.gcloud import Gcloud
from cluster.cluster import Cluster, google_configuration
from cluster.node import SERVICE_ACCOUNT_HOST
from kubelet.google import NUMBER

NAME = "e2e"
"""The cluster's, in the fleet's description."""
PREFIX = f"{SERVICE_ACCOUNT_HOST}/project/private"


def run(*argv: str | Path, environment: dict[str, str] | None = None, seconds: int = 100) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(
        [str(part) for part in argv],
        env=environment or dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout


def program(*arguments: str | Path) -> str:
    """What our own program prints."""
    return run(sys.executable, "-m", "gcp_sa_credential_provider", *arguments)


def forget_cluster(cluster: Cluster) -> None:
    """Leave Google with its projects and repositories, and nothing else."""
    config = google_configuration(cluster.jwks())
    cluster.google.load({key: config[key] for key in ("projects", "repositories", "options")})


class Operator:
    """Works in a folder, as the cluster's and the project's administrator."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._google = cluster.google
        self._folder = folder
        self.kubeconfig = cluster.api.folder / "admin.kubeconfig"
        self.fleet = folder / "fleet.yaml"
        self.rendered = folder / "rendered"

    def setup(self, *pull: str) -> None:
        """`setup` for the first time; `pull`: NAMESPACE/SERVICEACCOUNT each."""
        program(
            "setup",
            f"--kubeconfig={self.kubeconfig}",
            f"--fleet={self.fleet}",
            f"--name={NAME}",
            "--project-id=project",
            f"--project-number={NUMBER}",
            f"--repository={PREFIX}",
            *(f"--pull={one}" for one in pull),
        )

    def render(self) -> None:
        """`render`."""
        program("render", f"--fleet={self.fleet}", f"--out={self.rendered}")

    def apply_at_google(self) -> None:
        """The rendered script, by a gcloud that is logged in."""
        found = shutil.which("gcloud")
        assert found
        token = self._folder / "access-token"
        token.write_text("anything: this Google's IAM asks nobody who they are")
        environment = {"PATH": os.environ["PATH"], "HOME": str(self._folder)}
        logged_in = Gcloud(found, self._google, environment).environment
        logged_in["CLOUDSDK_AUTH_ACCESS_TOKEN_FILE"] = str(token)
        run("bash", self.rendered / "google/gcloud.sh", environment=logged_in)

    def apply_to_cluster(self) -> None:
        """The rendered RBAC, by kubectl, as the file itself tells to."""
        how = ("--server-side", "--field-manager=gcp-sa-credential-provider")
        self.kubectl("apply", *how, f"--filename={self.rendered / NAME / 'kubernetes.yaml'}")

    def kubectl(self, *arguments: str) -> str:
        """What kubectl prints."""
        return run("kubectl", f"--kubeconfig={self.kubeconfig}", *arguments)

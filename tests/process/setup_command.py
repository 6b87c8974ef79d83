"""`setup` as a process, in a folder of its own."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from process import launch
from process.api_server import TOKEN

SAID = [
    *("--name", "east", "--project-id", "my-project", "--project-number", "123456789012"),
    *("--repository", "europe-docker.pkg.dev/my-project/images", "--pull", "team-0/robot-1"),
]
EVERY_FLAG = "--name CLUSTER, --project-id ID, --project-number NUMBER"


class Setup:
    """The command in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def __call__(self, kubeconfig: Path | None, *words: str, **environment: str) -> launch.Ended:
        """Run it; whatever it says, no token is in it."""
        command, handed = launch.console().command, launch.console().environment
        named = ["--kubeconfig", str(kubeconfig)] if kubeconfig else []
        done = subprocess.run(
            [*command, "setup", *named, *words],
            cwd=self.folder,
            env={**handed, "PATH": os.environ["PATH"], "HOME": str(self.folder), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert TOKEN.encode() not in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr
        return launch.Ended(done.returncode, done.stdout, done.stderr)

    def refusal(self, kubeconfig: Path | None, *words: str) -> tuple[int, str]:
        """Exit code and what is said, of a run that writes nothing."""
        before = self.files()
        ended = self(kubeconfig, *words)
        assert ended.code != 0
        assert self.files() == before
        return ended.code, ended.stderr.decode().removeprefix("gcp-sa-credential-provider setup: ")

    def files(self) -> dict[str, bytes]:
        """Contents by name, hidden files too."""
        return {path.name: path.read_bytes() for path in self.folder.iterdir()}

    def fleet(self) -> Any:
        """What fleet.yaml says."""
        return yaml.safe_load((self.folder / "fleet.yaml").read_text())

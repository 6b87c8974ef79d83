"""The kubelet's side of the exec protocol: run the plugin as a process, take its response.

Imports the plugin's public names, never its run. Rules: kubernetes/kubernetes
pkg/credentialprovider/plugin/plugin.go and keyring.go (v1.36.3).
"""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.demo.step import UnexpectedError
from gcp_sa_credential_provider.plugin.images import matches, parse_image, parse_pattern
from gcp_sa_credential_provider.plugin.request import API_VERSION, KIND

NAME = "gcp-sa-credential-provider"
PATIENCE_SECONDS = 60
"""The kubelet kills a plugin after one minute."""

_PACKAGES = Path(__file__).resolve().parents[2]
_LAUNCHER = """\
import sys
sys.path.insert(0, {packages!r})
from gcp_sa_credential_provider.__main__ import main
main()
"""


@dataclass(frozen=True)
class Credential:
    """A user and a password for the images that match `pattern`."""

    pattern: str
    username: str
    password: str = field(repr=False)


@dataclass(frozen=True)
class Response:
    """A CredentialProviderResponse."""

    cache_key_type: str
    cache_duration: str
    credentials: tuple[Credential, ...]

    def credential_for(self, image: str) -> Credential:
        """The one that a kubelet tries first: of those that match, the last by its pattern.

        Raises UnexpectedError where none matches.
        """
        parsed = parse_image(image)
        found = [c for c in self.credentials if matches(parse_pattern(c.pattern), parsed)]
        if not found:
            raise UnexpectedError(f"plugin: no auth entry of its response matches {image}")
        return max(found, key=lambda credential: credential.pattern)


NO_RESPONSE = Response("", "", ())
"""Before the plugin ran: a response without a credential for anything."""


@dataclass(frozen=True)
class Run:
    """One exec of the plugin."""

    exit_code: int
    line: str
    """stderr, which the kubelet copies into its log."""
    milliseconds: int
    response: Response | None
    """Only with exit code 0."""


class Kubelet:
    """A kubelet whose bin directory holds the plugin."""

    def __init__(self, bin_directory: Path, environment: Mapping[str, str]) -> None:
        """`environment`: the `env` of the provider's entry, and all that the plugin gets."""
        self.environment = dict(environment)
        self._plugin = bin_directory / NAME
        bin_directory.mkdir()
        self._plugin.write_text(_LAUNCHER.format(packages=str(_PACKAGES)))

    def ask(self, image: str, token: str) -> Run:
        """Run the plugin for an image. The token goes over stdin, and nowhere else.

        Raises UnexpectedError: killed after a minute, or exit 0 with what is no response.
        """
        request = {
            "kind": KIND,
            "apiVersion": API_VERSION,
            "image": image,
            "serviceAccountToken": token,
        }
        started = time.monotonic()
        try:
            # -IS: neither the user's environment nor site-packages, as in the plugin's own #! line.
            process = subprocess.run(
                [sys.executable, "-IS", str(self._plugin)],
                input=json.dumps(request).encode(),
                env=self.environment,
                cwd="/",
                capture_output=True,
                timeout=PATIENCE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise UnexpectedError(f"plugin: no end after {PATIENCE_SECONDS} s") from None
        return Run(
            process.returncode,
            process.stderr.decode("utf-8", "replace").strip(),
            round((time.monotonic() - started) * 1000),
            None if process.returncode else decode(process.stdout),
        )


def decode(document: bytes) -> Response:
    """A response, checked as the kubelet checks it. Raises UnexpectedError, which quotes nothing.

    A response holds a token, so no part of it goes into an error.
    """
    try:
        fields: dict[str, Any] = json.loads(document)
        if (fields["kind"], fields["apiVersion"]) != ("CredentialProviderResponse", API_VERSION):
            raise UnexpectedError("plugin: its response has another kind or apiVersion")
        return Response(
            fields["cacheKeyType"],
            fields["cacheDuration"],
            tuple(
                Credential(pattern, entry["username"], entry["password"])
                for pattern, entry in fields["auth"].items()
            ),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UnexpectedError("plugin: stdout is no CredentialProviderResponse") from None

"""The files that a node has for image pulls: the CredentialProviderConfig and the plugin's folder.

Rules: kubelet config/v1/types.go (CredentialProviderConfig). JSON is YAML, so it is written as
JSON.
"""

import json
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from kubelet.google import Google
from kubelet.harness import Kubelet, ServiceAccount

PLUGIN = "gcp-sa-credential-provider"
MATCH_IMAGES = ("*-docker.pkg.dev", "gcr.io", "us.gcr.io", "eu.gcr.io", "asia.gcr.io")
GATE = "KubeletServiceAccountTokenForCredentialProviders"
# The minor that knows tokens for providers behind the gate only, and no cacheType yet.
ALPHA = "1.33"


class Node:
    """One node of one Kubernetes minor; its kubelets end with the node's exit stack."""

    def __init__(
        self, *, minor: str, harness: Path, plugin: Path, folder: Path, google: Google
    ) -> None:
        self.minor = minor
        self.google = google
        self.bin_dir = folder / "bin"
        self.config = folder / "credential-provider-config.yaml"
        self.bin_dir.mkdir()
        self.install(plugin)
        self.stack = ExitStack()
        self.account = ServiceAccount()
        """The ServiceAccount of the pods, unless a test says otherwise."""
        self._harness = harness

    @property
    def gates(self) -> dict[str, bool]:
        """The feature gates that this minor needs for tokens."""
        return {GATE: True} if self.minor == ALPHA else {}

    def install(self, program: Path, name: str = PLUGIN) -> None:
        """Put the plugin into the folder that the kubelet runs providers from."""
        (self.bin_dir / name).symlink_to(program)

    def provider(
        self,
        *,
        name: str = PLUGIN,
        match_images: Iterable[str] = MATCH_IMAGES,
        env: dict[str, str] | None = None,
        cache_type: str = "ServiceAccount",
        require_service_account: bool = True,
        required_annotations: Iterable[str] = (),
        optional_annotations: Iterable[str] = (),
    ) -> dict[str, Any]:
        """One entry of the configuration, by default as the project recommends it."""
        variables = self.google.env() | (env or {})
        attributes: dict[str, Any] = {
            "serviceAccountTokenAudience": variables["GCP_AUDIENCE"],
            "requireServiceAccount": require_service_account,
        }
        if self.minor != ALPHA:
            attributes["cacheType"] = cache_type
        if required_annotations:
            attributes["requiredServiceAccountAnnotationKeys"] = list(required_annotations)
        if optional_annotations:
            attributes["optionalServiceAccountAnnotationKeys"] = list(optional_annotations)
        return {
            "name": name,
            "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
            "matchImages": list(match_images),
            "defaultCacheDuration": "1m",
            "env": [{"name": key, "value": value} for key, value in variables.items()],
            "tokenAttributes": attributes,
        }

    def start(
        self,
        *providers: dict[str, Any],
        accounts: Iterable[ServiceAccount] = (ServiceAccount(),),
        kubeconfig: Path | None = None,
    ) -> Kubelet:
        """A kubelet with these providers (none given: the recommended one)."""
        document = {
            "apiVersion": "kubelet.config.k8s.io/v1",
            "kind": "CredentialProviderConfig",
            "providers": providers or [self.provider()],
        }
        self.config.write_text(json.dumps(document))
        kubelet = self.boot(kubeconfig=kubeconfig)
        kubelet.service_accounts(*accounts)
        return kubelet

    def boot(
        self,
        *,
        gates: dict[str, bool] | None = None,
        environment: dict[str, str] | None = None,
        kubeconfig: Path | None = None,
    ) -> Kubelet:
        """A kubelet with the configuration file as it is. Raises harness.Refused.

        `environment` is the kubelet's own, which it passes on to the plugin.
        """
        kubelet = self.stack.enter_context(
            Kubelet(self._harness, {"PATH": "/usr/bin:/bin"} | (environment or {}))
        )
        kubelet.register(
            self.config,
            self.bin_dir,
            gates=self.gates if gates is None else gates,
            kubeconfig=kubeconfig,
        )
        return kubelet

"""One node: containerd and a kubelet in a network of their own, with the plugin installed.

Imports the machine. Settings: kubelet config v1beta1, containerd docs/cri/config.md and
docs/hosts.md (1.6), CNI bridge and host-local plugins. JSON is YAML, so that is what is written.
"""

import json
import re
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from cluster import lines
from cluster.machine import Address, Machine
from kubelet.control_plane import ControlPlane
from kubelet.node import PLUGIN
from loopback import free_port

SANDBOX_IMAGE = "localhost/pause:1"
START_SECONDS = 60
ANNOTATION = "gcp-sa-credential-provider/service-account"
SERVICE_ACCOUNT_HOST = "us-docker.pkg.dev"
"""Images of this host are pulled with cacheType ServiceAccount, …"""
TOKEN_HOST = "europe-docker.pkg.dev"
"""… images of this one with cacheType Token."""
GOOGLE_HOST = "gcr.io"
"""The emulator's own registry, with Artifact Registry's words; its image does not run."""
MIRRORED_HOST = "asia-docker.pkg.dev"
"""containerd asks a mirror first for images of this host."""
_SERVICE_ACCOUNT_HOSTS = [SERVICE_ACCOUNT_HOST, GOOGLE_HOST, MIRRORED_HOST]
_TOKEN_PLUGIN = f"{PLUGIN}-token"


def outside(number: int) -> str:
    """The address at which tests and the API server reach a node."""
    return f"127.0.1.{number}"


class Node:
    """A node named `node-NUMBER`."""

    def __init__(
        self,
        machine: Machine,
        number: int,
        *,
        kubelet: Path,
        plugin: Path | None,
        identities: Path,
        trusted: Path,
        audience: str,
    ) -> None:
        """Write its files. `trusted`: authorities of Google and the registries, in one file.

        `plugin` None: the program comes later, and its configuration with it.
        """
        self._machine = machine
        self._kubelet = kubelet
        self._identities = identities
        self._trusted = trusted
        self._number = number
        self.name = f"node-{number}"
        self.folder = machine.folder / self.name
        self._port = free_port()
        self._address = f"10.88.0.1{number}"
        self.socket = Path("/run", self.name, "containerd.sock")
        self.bin_dir = self.folder / "bin"
        self.static_pods = self.folder / "manifests"
        for folder in (self.bin_dir, self.static_pods, self.folder / "cni"):
            folder.mkdir(parents=True)
        self._write("cni/10-pods.conflist", self._pod_network())
        self._write("kubelet.yaml", self._kubelet_configuration())
        self._usual = json.dumps(self._providers(audience), indent=1)
        self._environment: dict[str, str] = {}
        if plugin:
            self.install(plugin)
            (self.bin_dir / _TOKEN_PLUGIN).symlink_to(PLUGIN)
            self._providers_file.write_text(self._usual)
        (self.folder / "containerd.toml").write_text(self._containerd_configuration())

    def install(self, plugin: Path) -> None:
        """Put the program in place in one step, as an upgrade of a node should."""
        arriving = self.bin_dir / f".{PLUGIN}"
        shutil.copy(plugin, arriving)
        arriving.replace(self.bin_dir / PLUGIN)

    def start(self, sandbox_image: Path, stack: ExitStack) -> None:
        """Start containerd, load the image of the pods' sandboxes, start the kubelet.

        `stack` ends the following of the kubelet's log.
        """
        self._machine.network(self.name, f"{self._address}/24")
        self._machine.start(
            f"containerd-{self.name}",
            "containerd",
            f"--config={self.folder / 'containerd.toml'}",
            network=self.name,
            environment={"SSL_CERT_FILE": str(self._trusted)},
        )
        with lines.of_file(self._machine.log(f"containerd-{self.name}")) as log:
            log.wait_for(lambda line: "successfully booted" in line, seconds=START_SECONDS)
        self.ctr("images", "import", str(sandbox_image))
        self.start_kubelet()
        self.log = stack.enter_context(lines.of_file(self._machine.log(self._process)))

    def ctr(self, *arguments: str) -> str:
        """What containerd's own client says of the pods' containers and images."""
        return self._machine.run(
            "ctr", f"--address={self.socket}", "--namespace=k8s.io", *arguments
        )

    def kill_container(self, container: str) -> None:
        """End the main process of a container, as a crash would. `container`: its id."""
        self.ctr("tasks", "kill", "--signal=SIGKILL", container)

    def mirror(self, host: str, mirror: str) -> None:
        """Have containerd ask `mirror` (base URL) first for images of `host`."""
        folder = self.folder / "certs.d" / host
        folder.mkdir(parents=True)
        (folder / "hosts.toml").write_text(
            f'server = "https://{host}"\n[host."{mirror}"]\ncapabilities = ["pull", "resolve"]\n'
        )

    def start_kubelet(self) -> None:
        """Start it; it goes on with the pods that are there."""
        self._machine.start(
            self._process,
            self._kubelet,
            *self._flags(),
            f"--image-credential-provider-config={self._providers_file}",
            f"--image-credential-provider-bin-dir={self.bin_dir}",
            network=self.name,
            environment=self._environment,
        )

    def _flags(self) -> list[str]:
        """The kubelet's, but for those of credential providers."""
        return [
            f"--config={self.folder / 'kubelet.yaml'}",
            f"--kubeconfig={self._identities / f'{self.name}.kubeconfig'}",
            f"--hostname-override={self.name}",
            f"--node-ip={self._address}",
            f"--root-dir={self.folder / 'kubelet'}",
            f"--cert-dir={self.folder / 'certificates'}",
        ]

    def restart_kubelet(self) -> None:
        """Stop it and start it again: what it kept in memory is gone."""
        self._machine.stop(self._process)
        self.start_kubelet()

    def take_configuration(self, text: str | None) -> None:
        """Restart the kubelet with this CredentialProviderConfig; None: with the usual one.

        A configuration that knows nothing of this cluster's own authorities finds them in the
        kubelet's environment, which the kubelet hands on.
        """
        self._environment = {} if text is None else {"SSL_CERT_FILE": str(self._trusted)}
        self._providers_file.write_text(self._usual if text is None else text)
        self.restart_kubelet()

    @property
    def _providers_file(self) -> Path:
        return self.folder / "credential-provider-config.yaml"

    @property
    def _process(self) -> str:
        return f"kubelet-{self.name}"

    def metrics(self) -> "Metrics":
        """What the kubelet counts so far."""
        url = f"https://{self.outside.host}:{self.outside.port}"
        return Metrics(ControlPlane(url=url, folder=self._identities).read("/metrics").decode())

    @property
    def inside(self) -> Address:
        """Where the kubelet's API listens."""
        return Address(host=self._address, port=self._port, network=self.name)

    @property
    def outside(self) -> Address:
        """Where the tests and the API server reach it."""
        return Address(host=outside(self._number), port=self._port)

    def _write(self, name: str, document: dict[str, Any]) -> None:
        (self.folder / name).write_text(json.dumps(document, indent=1))

    def _pod_network(self) -> dict[str, Any]:
        addresses = {
            "type": "host-local",
            "dataDir": str(self.folder / "addresses"),
            "ranges": [[{"subnet": f"10.244.{self._number}.0/24"}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipam": addresses}
        return {"cniVersion": "1.0.0", "name": "pods", "plugins": [bridge]}

    def _kubelet_configuration(self) -> dict[str, Any]:
        identity = str(self._identities / f"{self.name}-server.pem")
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self._address,
            "port": self._port,
            "healthzPort": 0,
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": True},
                "x509": {"clientCAFile": str(self._identities / "ca.pem")},
            },
            "authorization": {"mode": "Webhook"},
            "tlsCertFile": identity,
            "tlsPrivateKeyFile": identity,
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "staticPodPath": str(self.static_pods),
            # A node for minutes on somebody's machine, with whichever control groups that has.
            "cgroupDriver": "cgroupfs",
            "cgroupsPerQOS": False,
            "enforceNodeAllocatable": ["none"],
            "failCgroupV1": False,
            "failSwapOn": False,
            "imageGCHighThresholdPercent": 100,
            "evictionHard": {"memory.available": "50Mi"},
            "makeIPTablesUtilChains": False,
            "resolvConf": "",
            "volumePluginDir": str(self.folder / "volume-plugins"),
            "podLogsDir": str(self.folder / "pod-logs"),
            # Pulls at once, and no limit whose refusals would look like the registry's.
            "serializeImagePulls": False,
            "registryPullQPS": 0,
        }

    def _providers(self, audience: str) -> dict[str, Any]:
        variables = {
            "GCP_AUDIENCE": audience,
            "GCP_SERVICE_ACCOUNT_ANNOTATION": ANNOTATION,
            "SSL_CERT_FILE": str(self._trusted),
        }
        return {
            "apiVersion": "kubelet.config.k8s.io/v1",
            "kind": "CredentialProviderConfig",
            "providers": [
                {
                    "name": name,
                    "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
                    "matchImages": hosts,
                    "defaultCacheDuration": "1m",
                    "env": [{"name": key, "value": value} for key, value in variables.items()],
                    "tokenAttributes": {
                        "serviceAccountTokenAudience": audience,
                        "cacheType": cache_type,
                        "requireServiceAccount": True,
                        "optionalServiceAccountAnnotationKeys": [ANNOTATION],
                    },
                }
                for name, hosts, cache_type in (
                    (PLUGIN, _SERVICE_ACCOUNT_HOSTS, "ServiceAccount"),
                    (_TOKEN_PLUGIN, [TOKEN_HOST], "Token"),
                )
            ],
        }

    def _containerd_configuration(self) -> str:
        cri = 'plugins."io.containerd.grpc.v1.cri"'
        unwanted = ["internal.v1.opt", *(f"snapshotter.v1.{s}" for s in ("btrfs", "zfs", "aufs"))]
        disabled = json.dumps([f"io.containerd.{plugin}" for plugin in unwanted])
        return f"""version = 2
root = "{self.folder / "containerd"}"
state = "/run/{self.name}/containerd"
disabled_plugins = {disabled}
[grpc]
  address = "{self.socket}"
[{cri}]
  sandbox_image = "{SANDBOX_IMAGE}"
  disable_apparmor = true
  restrict_oom_score_adj = true  # for a root without CAP_SYS_RESOURCE
[{cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[{cri}.cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{self.folder / "cni"}"
[{cri}.registry]
  config_path = "{self.folder / "certs.d"}"
"""


class Metrics:
    """The text that a kubelet shows at /metrics (Prometheus exposition format)."""

    def __init__(self, text: str) -> None:
        self._text = text

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of this name that have these labels; 0 if there is none."""
        total = 0.0
        for shown, value in re.findall(rf"^{name}(?:{{(.*)}})? (\S+)", self._text, re.MULTILINE):
            if all(f'{key}="{wanted}"' in shown for key, wanted in labels.items()):
                total += float(value)
        return total

    @property
    def execs(self) -> int:
        """How often the kubelet has run the plugin, under either of its names."""
        return int(self.value("kubelet_credential_provider_plugin_duration_count"))

    @property
    def failed_execs(self) -> int:
        """How often that ended with an exit code other than 0."""
        return int(self.value("kubelet_credential_provider_plugin_errors_total"))

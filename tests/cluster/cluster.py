"""The whole cluster: Google, a control plane, a registry, two nodes.

Imports all parts. In a node's network Google's and the registries' own names lead to its loopback,
port 443, and from there to the emulator and to docker-registry: plugin and containerd run with the
settings that they would have at Google, and nothing leaves this machine.
"""

import contextlib
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cluster import image, lines
from cluster.api import Api
from cluster.control import ControlServers
from cluster.journal import Journal
from cluster.machine import Address, Machine, machine
from cluster.node import (
    GOOGLE_HOST,
    MIRRORED_HOST,
    SANDBOX_IMAGE,
    SERVICE_ACCOUNT_HOST,
    TOKEN_HOST,
    Node,
    outside,
)
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from kubelet import build
from kubelet.google import audience, configuration
from loopback import free_port

PROVIDER = "k8s-cluster"
REPOSITORY = "projects/project/locations/us/repositories/private"
GOOGLE_REPOSITORY = f"projects/project/locations/us/repositories/{GOOGLE_HOST}"
# Kubernetes 1.37's and 1.34's, whose answers differ where an image is on the node already.
NODES = {"node-1": build.NEWEST, "node-2": build.OLDER}
# Nodes that are hosts of their own, for the tests that want them (tests/cluster/hosted.py).
HOSTS = {"node-3": build.NEWEST, "node-4": build.OLDER}
APPLICATIONS = ("app", "batch")
ELSEWHERE_HOST = "registry.example.com"
"""A registry that is none of Google's and lets everybody pull."""
MIRROR = "mirror.example.com"
"""A registry mirror of the nodes; who answers there is a test's matter, at `mirror_port`."""
REFUSED_PREFIX = "outsiders-"
"""Namespaces that the provider's attribute condition refuses."""
_APIS = ("sts", "iamcredentials", "artifactregistry")
_REALM = "https://artifactregistry.googleapis.com/v2/token"
_SERVICE = "artifact-registry"
_READY_SECONDS = 90
# Addresses of every node's loopback, where port 443 leads to …
_AT_GOOGLE = "127.0.0.2"
_AT_REGISTRY = "127.0.0.3"
_AT_ELSEWHERE = "127.0.0.4"
_AT_MIRROR = "127.0.0.5"


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running cluster."""

    machine: Machine
    google: Emulator
    control: ControlServers
    registries: "Registries"
    nodes: dict[str, Node]
    journal: Journal
    """The plugin's records, of all nodes."""
    sandbox: Path
    """The archive of the sandboxes' image."""
    trusted: Path
    """Authorities of Google and of the registries, in one file."""
    seconds: dict[str, float]
    """How long each part of the start took."""

    @property
    def api(self) -> Api:
        """The API server."""
        return self.control.api

    def trust(self, jwks: str, *, disabled: bool = False) -> None:
        """Set the keys that Google knows of this cluster, and the state of its provider.

        Grants that tests made are forgotten.
        """
        self.google.load(google_configuration(jwks, disabled=disabled))

    def jwks(self) -> str:
        """The keys that the API server publishes."""
        return self.api.read("/openid/v1/jwks").decode()

    def admit(self, node: Node, stack: ExitStack) -> None:
        """Start a node, and lead what it asks for to where that is, and the API server to it.

        `stack` ends what follows its log.
        """
        authority = self.control.authority
        serving = authority.issue_cert(node.name, node.outside.host)
        place = self.api.folder / f"{node.name}-server.pem"
        serving.private_key_and_cert_chain_pem.write_to_path(place)
        node.start(self.sandbox, stack)
        sts = urlsplit(self.google.endpoints["sts"]).port
        assert sts
        for host, port, target in (
            ("127.0.0.1", self.control.port, self.control.port),
            (_AT_GOOGLE, 443, sts),
            (_AT_REGISTRY, 443, self.registries.private),
            (_AT_ELSEWHERE, 443, self.registries.open),
            (_AT_MIRROR, 443, self.registries.mirror_port),
        ):
            listen = Address(host=host, port=port, network=node.name)
            self.machine.relay(listen, Address(port=target))
        self.machine.relay(node.outside, node.inside)

    def wait_ready(self, name: str) -> None:
        """Until a node is."""
        self.api.wait("/api/v1/nodes", name, _is_ready, seconds=_READY_SECONDS)

    def wait_version(self, name: str, version: str) -> None:
        """Until a node is ready with a kubelet of this version."""

        def is_there(node: dict[str, Any]) -> bool:
            told: str = node["status"]["nodeInfo"]["kubeletVersion"]
            return told == version and _is_ready(node)

        self.api.wait("/api/v1/nodes", name, is_there, seconds=_READY_SECONDS)


def google_configuration(jwks: str, *, disabled: bool = False) -> dict[str, object]:
    """The emulator's configuration: one provider for the cluster, one private repository."""
    config = configuration(jwks, PROVIDER)
    (provider,) = config["workloadIdentityPoolProviders"]
    provider["disabled"] = disabled
    provider["attributeCondition"] = (
        f"!assertion['kubernetes.io']['namespace'].startsWith('{REFUSED_PREFIX}')"
    )
    config["repositories"] = [
        {"name": name, "format": "DOCKER"} for name in (REPOSITORY, GOOGLE_REPOSITORY)
    ]
    config["options"] = {"tokenRealm": {"service": _SERVICE}}
    return config


@contextlib.contextmanager
def cluster(plugin: Path) -> Iterator[Cluster]:
    """Start a cluster whose nodes run this plugin; everything is gone at the end."""
    watch = _Stopwatch()
    with ExitStack() as stack:
        house = stack.enter_context(machine())
        watch.lap("machine")
        control = ControlServers(house, [*NODES, *HOSTS])
        control.start()
        watch.lap("control plane")
        jwks = control.api.read("/openid/v1/jwks").decode()
        google = stack.enter_context(Emulator(house.folder / "google", google_configuration(jwks)))
        watch.lap("emulator")
        trusted = house.folder / "trusted.pem"
        trusted.write_bytes(google.ca_pem.read_bytes() + control.trusted.read_bytes())
        registries = Registries(house, control, google)
        for name in APPLICATIONS:
            registries.push(name)
        sandbox = _sandbox(house.folder)
        watch.lap("registries")
        journal = stack.enter_context(Journal(house))
        nodes = {}
        for number, (name, minor) in enumerate(NODES.items(), start=1):
            node = nodes[name] = Node(
                house,
                number,
                kubelet=build.kubernetes("kubelet", minor).build(),
                plugin=plugin,
                identities=control.api.folder,
                trusted=trusted,
                audience=audience(PROVIDER),
            )
        (house.folder / "hosts").write_text(_hosts())
        made = Cluster(
            machine=house,
            google=google,
            control=control,
            registries=registries,
            nodes=nodes,
            journal=journal,
            sandbox=sandbox,
            trusted=trusted,
            seconds=watch.laps,
        )
        for node in nodes.values():
            made.admit(node, stack)
        for name in nodes:
            made.wait_ready(name)
        watch.lap("nodes")
        yield made


class Registries:
    """Two of Debian's docker-registry on the same images: one asks Google, one asks nobody."""

    def __init__(self, house: Machine, control: ControlServers, google: Emulator) -> None:
        self._house = house
        self._trusted = control.trusted
        self.certificate = certificate = house.folder / "registry.pem"
        self.mirror_port = free_port()
        hosts = (SERVICE_ACCOUNT_HOST, TOKEN_HOST, MIRRORED_HOST, ELSEWHERE_HOST, MIRROR)
        leaf = control.authority.issue_cert(*hosts, "127.0.0.1")
        leaf.private_key_and_cert_chain_pem.write_to_path(certificate)
        token = {
            "realm": _REALM,
            "service": _SERVICE,
            "issuer": "gcp-sa-credential-provider",
            "rootcertbundle": str(google.ca_pem),
        }
        self.private = self._start("registry", certificate, auth={"token": token})
        self.open = self._start("registry-open", certificate)

    def _start(self, name: str, certificate: Path, **more: object) -> int:
        tls = {"certificate": str(certificate), "key": str(certificate)}
        config = {
            "version": "0.1",
            "storage": {"filesystem": {"rootdirectory": str(self._house.folder / "images")}},
            "http": {"addr": "127.0.0.1:0", "tls": tls},
            **more,
        }
        path = self._house.folder / f"{name}.yaml"
        path.write_text(json.dumps(config))
        self._house.start(name, "docker-registry", "serve", path)
        with lines.of_file(self._house.log(name)) as log:
            said = log.wait_for(lambda line: "listening on" in line, seconds=20)
        return int(said.partition("listening on 127.0.0.1:")[2].partition(",")[0])

    def push(self, name: str) -> None:
        """Put an image of this name, unlike all others, into the private repository."""
        made = image.of_program(build.pause().build(), marker=name)
        url = f"https://127.0.0.1:{self.open}"
        image.push(made, url, f"project/private/{name}", "v1", trusted=self._trusted)


def _sandbox(folder: Path) -> Path:
    """The archive of the sandboxes' image, which nodes have from the start."""
    archive = folder / "sandbox.tar"
    image.save(image.of_program(build.pause().build(), marker=""), SANDBOX_IMAGE, archive)
    return archive


def _hosts() -> str:
    names = {
        "127.0.0.1": ["localhost"],
        _AT_GOOGLE: [*(f"{api}.googleapis.com" for api in _APIS), GOOGLE_HOST],
        _AT_REGISTRY: [SERVICE_ACCOUNT_HOST, TOKEN_HOST, MIRRORED_HOST],
        _AT_ELSEWHERE: [ELSEWHERE_HOST],
        _AT_MIRROR: [MIRROR],
    }
    names |= {outside(number): [name] for number, name in enumerate([*NODES, *HOSTS], start=1)}
    return "".join(f"{address} {' '.join(hosts)}\n" for address, hosts in names.items())


def _is_ready(node: dict[str, Any]) -> bool:
    conditions = node["status"]["conditions"]
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


class _Stopwatch:
    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self._last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name] = round(now - self._last, 1)
        self._last = now

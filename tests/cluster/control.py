"""The control plane of the cluster, inside its machine: etcd, API server, controllers, scheduler.

All of it listens on the tests' loopback. Imports the kubelet tier's identities and commands.
"""

import contextlib
from pathlib import Path

from cluster.api import Api
from cluster.machine import Machine
from gcp_sa_credential_provider.demo.issuer import ISSUER
from kubelet import build
from kubelet.control_plane import (
    ApiError,
    apiserver_command,
    client_identities,
    etcd_command,
    write_identities,
    write_signing_key,
)
from loopback import free_port

START_SECONDS = 120
_CONTROLLERS = {
    "kube-controller-manager": "system:kube-controller-manager",
    "kube-scheduler": "system:kube-scheduler",
}


class ControlServers:
    """The servers of one cluster."""

    def __init__(self, machine: Machine, nodes: list[str]) -> None:
        self._machine = machine
        self._port = free_port()
        folder = machine.folder / "pki"
        folder.mkdir()
        clients = client_identities(nodes)
        clients |= {name: (user, "system:masters") for name, user in _CONTROLLERS.items()}
        self.api = Api(url=f"https://127.0.0.1:{self._port}", folder=folder)
        self.authority = write_identities(folder, self.api.url, clients)
        self._etcd_port = free_port()
        self._signers = [folder / "service-account.pem"]

    @property
    def port(self) -> int:
        """Of the API server."""
        return self._port

    def start(self) -> None:
        """Start all and wait until the API server is ready. Raises RuntimeError with its log."""
        folder = self.api.folder
        etcd = etcd_command(str(build.etcd().build()), folder, self._etcd_port, free_port())
        self._machine.start("etcd", *etcd)
        self._start_api_server()
        own_flags = {
            "kube-controller-manager": (
                f"--root-ca-file={self.trusted}",
                f"--flex-volume-plugin-dir={self._machine.folder / 'volume-plugins'}",
            )
        }
        for name in _CONTROLLERS:
            # Without leader election, which would only cost time, and without a port.
            self._machine.start(
                name,
                build.kubernetes(name).build(),
                f"--kubeconfig={folder / f'{name}.kubeconfig'}",
                "--leader-elect=false",
                "--secure-port=0",
                *own_flags.get(name, ()),
            )

    def _start_api_server(self) -> None:
        folder = self.api.folder
        command = apiserver_command(
            str(build.kube_apiserver().build()), folder, self._port, self._etcd_port, ISSUER
        )
        client = folder / "admin.pem"
        command += [
            f"--kubelet-client-certificate={client}",
            f"--kubelet-client-key={client}",
            f"--kubelet-certificate-authority={folder / 'ca.pem'}",
            # The machine's hosts file leads these to the nodes.
            "--kubelet-preferred-address-types=Hostname",
            "--allow-privileged=true",
            f"--service-account-signing-key-file={self._signers[-1]}",
            # Tokens of the keys before are still good, as when an administrator rotates.
            *(f"--service-account-key-file={signer}" for signer in self._signers[1:]),
        ]
        self._machine.start("kube-apiserver", *command)
        for _ in range(START_SECONDS * 10):
            with contextlib.suppress(ApiError, OSError):
                self.api.read("/readyz")
                return
            if self._machine.ended("kube-apiserver", 0.1):
                break
        raise RuntimeError(f"not ready: {self._machine.log('kube-apiserver').read_text()[-4000:]}")

    def rotate_signing_key(self) -> None:
        """A new key signs from now on, the API server publishes it beside the old ones."""
        signer = self.api.folder / f"service-account-{len(self._signers)}.pem"
        write_signing_key(signer)
        self._signers.append(signer)
        self._machine.stop("kube-apiserver", kill=True)
        self._start_api_server()

    @property
    def trusted(self) -> Path:
        """The certificate of the cluster's authority."""
        return self.api.folder / "ca.pem"

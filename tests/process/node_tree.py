"""Nodes' files as distributions leave them, to install into and to take out of (`--root`)."""

import hashlib
import os
import re
import stat
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from process.launch import Ended, Launcher

NAME = "gcp-sa-credential-provider"
AUDIENCE = (
    "//iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/pool-1"
    "/providers/provider-1"
)
API = "credentialprovider.kubelet.k8s.io/v1"
SCRIPT = b"#!/bin/sh\necho 'the program' >&2\nexit 2\n"
"""Stands for the static file where the program under test is not that."""
FOREIGN = b"#!/bin/sh\nexit 1\n"
CONFIG = f"""\
# As `render` writes it.
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
- name: {NAME}
  apiVersion: {API}
  matchImages: ["*-docker.pkg.dev", gcr.io, "*.gcr.io"]
  defaultCacheDuration: 0s
  env:
  - name: GCP_AUDIENCE
    value: {AUDIENCE}
  tokenAttributes:
    serviceAccountTokenAudience: {AUDIENCE}
    requireServiceAccount: true
    cacheType: Token
"""
SECOND = CONFIG.partition("providers:\n")[2].replace(NAME, f"{NAME}-b").replace("pool-1", "pool-2")

# What each distribution has, by the places of facts known of it.
_PLAIN = {
    "/usr/lib/systemd/system/kubelet.service": b"""\
[Service]
ExecStart=/usr/bin/kubelet --config=/var/lib/kubelet/config.yaml
""",
}
_K3S = {
    "/etc/systemd/system/k3s-agent.service": b"""\
[Service]
ExecStart=/usr/local/bin/k3s agent
""",
    "/var/lib/rancher/credentialprovider/bin/ecr-credential-provider": FOREIGN,
    "/var/lib/rancher/credentialprovider/config.yaml": f"""\
# ours since 2023; ask before you change it\t(tab)
apiVersion: kubelet.config.k8s.io/v1
kind: CredentialProviderConfig
providers:
  - name: ecr-credential-provider   # on EC2 only
    matchImages: &images
      - "*.dkr.ecr.*.amazonaws.com"
    defaultCacheDuration: "12h"
    apiVersion: {API}

# the end
""".encode(),
}
_JSON = f"""{{
  "apiVersion": "kubelet.config.k8s.io/v1",
  "kind": "CredentialProviderConfig",
  "providers": [
    {{
      "name": "ecr-credential-provider",
      "matchImages": ["*.dkr.ecr.*.amazonaws.com"],
      "defaultCacheDuration": "12h0m0s",
      "apiVersion": "{API}"
    }}
  ]
}}
""".encode()
_EKS = {
    "/etc/systemd/system/kubelet.service": b"""\
[Service]
EnvironmentFile=/etc/eks/kubelet/environment
ExecStart=/usr/bin/kubelet $NODEADM_KUBELET_ARGS
""",
    "/etc/eks/image-credential-provider/config.json": _JSON,
    "/etc/eks/image-credential-provider/ecr-credential-provider": FOREIGN,
    "/etc/eks/kubelet/environment": b"NODEADM_KUBELET_ARGS=--v=2 --config-dir=/etc/k.d\n",
}
_RKE2 = {
    "/usr/local/lib/systemd/system/rke2-agent.service": b"""\
[Service]
ExecStart=/usr/local/bin/rke2 agent
""",
    "/var/lib/rancher/credentialprovider/bin/acr-credential-provider": FOREIGN,
    "/var/lib/rancher/credentialprovider/config.yaml": (
        "apiVersion: kubelet.config.k8s.io/v1\r\nkind: CredentialProviderConfig\r\n"
        'providers: [{name: acr-credential-provider, matchImages: ["*.azurecr.io"],\r\n'
        f"  defaultCacheDuration: 10m, apiVersion: {API}, args: [/etc/kubernetes/azure.json]}}]"
    ).encode(),
}
_MICROK8S = {
    "/etc/systemd/system/snap.microk8s.daemon-kubelite.service": b"""\
[Service]
ExecStart=/usr/bin/snap run microk8s.daemon-kubelite
""",
    "/var/snap/microk8s/current/args/kubelet": b"--root-dir=${SNAP_COMMON}/var/lib/kubelet\n",
}
KINDS: Mapping[str, Mapping[str, bytes]] = {
    "kubelet": _PLAIN,
    "k3s": _K3S,
    "rke2": _RKE2,
    "eks": _EKS,
    "microk8s": _MICROK8S,
}
GIVEN = {
    "kubelet": "/etc/kubernetes/credential-providers/config.yaml",
    "k3s": "/var/lib/rancher/credentialprovider/config.yaml",
    "rke2": "/var/lib/rancher/credentialprovider/config.yaml",
    "eks": "/etc/kubernetes/credential-providers/config.d",
    "microk8s": "/var/snap/microk8s/common/credential-providers/config.yaml",
}
"""What the kubelet is given once ours is installed."""


@dataclass(frozen=True)
class Node:
    """A node's files, and the program to treat them with."""

    kind: str
    root: Path
    plugin: Launcher
    place: Path
    """For files beside the tree."""
    wrapper: tuple[str, ...] = ()

    def node(self, command: str, *arguments: str, wrapper: Sequence[str] = ()) -> Ended:
        """Run `node COMMAND`."""
        words = ["node", command, f"--root={self.root}", *arguments]
        return self.plugin.run(
            {"PYTHONDONTWRITEBYTECODE": "1"}, arguments=words, wrapper=wrapper or self.wrapper
        )

    def install_words(self, config: str = CONFIG, *, minor: str = "1.34") -> list[str]:
        """Of `node install`, for a configuration."""
        told = self.place / "config.yaml"
        told.write_text(config)
        words = [f"--config={told}", f"--minor={minor}"]
        if self.plugin.name != "given":
            program = self.place / "program"
            program.write_bytes(SCRIPT)
            words.append(f"--program={program}")
        return words

    def install(self, config: str = CONFIG, *more: str, minor: str = "1.34") -> Ended:
        """Run `node install`."""
        return self.node("install", *self.install_words(config, minor=minor), *more)

    def path(self, path: str) -> Path:
        """Where a path of the node is here."""
        return self.root / path.lstrip("/")

    def read(self, path: str) -> str:
        """A file's text."""
        return self.path(path).read_bytes().decode()

    @property
    def given(self) -> str:
        """What the kubelet is given once ours is installed."""
        return GIVEN[self.kind]

    @property
    def bin_dir(self) -> str:
        """Its folder of providers."""
        if self.kind in ("kubelet", "eks"):
            return "/opt/credential-providers/bin"
        return str(Path(self.given).parent / "bin")


def make(kind: str, place: Path, plugin: Launcher) -> Node:
    """A node's files in a new folder."""
    root = place / "root"
    (root / "var/lib").mkdir(parents=True)
    (root / "etc/systemd/system").mkdir(parents=True)
    for path, content in KINDS[kind].items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        file.chmod(0o755 if content == FOREIGN else 0o640)
    return Node(kind, root, plugin, place)


def photograph(root: Path, *, exactly: bool = False) -> dict[str, tuple[object, ...]]:
    """All that is in a tree; `exactly`: even whether a file is the same one as before."""
    found: dict[str, tuple[object, ...]] = {}
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            what: object = stat.S_IFMT(status.st_mode)
            if path.is_symlink():
                what = os.readlink(path)
            elif path.is_file():
                what = hashlib.sha256(path.read_bytes()).hexdigest()
            seen: tuple[object, ...] = (what, stat.S_IMODE(status.st_mode))
            if exactly:
                seen = (*seen, status.st_ino, status.st_mtime_ns)
            found[str(path.relative_to(root))] = seen
    return found


def kills(node: Callable[[], Node], command: Callable[[Node], Sequence[str]]) -> Iterator[Node]:
    """Nodes, each left by a process that was killed at another system call that changes a file.

    The calls of a first run are counted. `node` makes a new node each time; `command` gives the
    command's words.
    """
    counted = node()
    log = counted.place / "strace"
    words = (f"trace={','.join(_CHANGING)}",)
    ended = _traced(counted, command(counted), log, *words)
    assert ended.code == 0, ended
    calls = Counter(re.findall(r"^\d+ +(\w+)\(", log.read_text(), re.MULTILINE))
    for name, count in calls.items():
        for number in range(1, count + 1):
            here = node()
            inject = f"inject={name}:signal=SIGKILL:when={number}"
            ended = _traced(here, command(here), log, f"trace={name}", inject)
            assert ended.code in (-9, 137), ended
            yield here


def _traced(node: Node, words: Sequence[str], log: Path, *expressions: str) -> Ended:
    options = [word for expression in expressions for word in ("-e", expression)]
    wrapper = ("strace", "-f", "-o", str(log), *options)
    return node.node(words[0], *words[1:], wrapper=wrapper)


_CHANGING = (
    "write",
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "symlink",
    "symlinkat",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "rmdir",
)

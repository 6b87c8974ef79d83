"""What a machine must have before a cluster can run on it.

Imports the standard library and the builder.
"""

import os
import shutil
from pathlib import Path

import systemd_host
from kubelet import build

DIST = Path(__file__).parents[2] / "dist"
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "docker-registry": "docker-registry",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "setpriv": "util-linux",
    "tail": "coreutils",
    "update-ca-certificates": "ca-certificates",
    "kubectl": "kubernetes-client",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/lib/systemd/systemd-journald": "systemd",
}
"""Debian's package of each program."""


class NoPluginError(Exception):
    """There is no program to judge."""


def missing() -> list[str]:
    """What is not there, a line for people each."""
    problems = systemd_host.missing()
    if problem := build.go_problem():
        problems.append(problem)
    absent = {package for program, package in PACKAGES.items() if not shutil.which(program)}
    if absent:
        listed = " ".join(sorted(absent))
        problems.append(f"programs: not installed. Fix: apt-get install {listed}")
    return problems


def plugin_file(chosen: Path | None) -> Path:
    """The program under judgement: as chosen, or what was built last. Raises NoPluginError."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "")
    found = sorted(DIST.glob(f"*-linux-{machine}")) or sorted(DIST.glob("*.pyz"))
    path = chosen or (found[-1] if found else DIST / "gcp-sa-credential-provider.pyz")
    if not path.is_file():
        raise NoPluginError(f"{path}: no such file. Fix: `make static` or `make zipapp`")
    return path.resolve()


def image_file() -> Path:
    """The image of the static file that was built last. Raises NoPluginError."""
    found = sorted(DIST.glob("*-image.tar"))
    if not found:
        raise NoPluginError(f"{DIST}: has no image. Fix: `make image`")
    return found[-1].resolve()

"""The kubelet that runs: its effective flags, gates and version, and where it is known by whom.

Imports `process`, `embedded`, `document`, `command`. Rules: kubernetes cmd/kubelet/app/server.go
(the command line wins over files; those of --config-dir, *.conf in the order of their paths, are
merged over --config as a JSON merge patch, RFC 7396; gates of all three add up),
component-base/featuregate (a gate that is named wins over AllAlpha and AllBeta). RKE2 and k0s start
the kubelet as a child with all its flags; k3s and MicroK8s carry it in their own process.
"""

import posixpath
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.node import command, document, embedded, process
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.entry import OLDEST, Minor
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.process import PROC, Process
from gcp_sa_credential_provider.node.validate import GATE

_KINDS = ("kubelet", "k3s", "kubelite")
_VERSION = re.compile(r"v?(1)\.(\d+)\.\d+")
_HEALTHZ, _PORT = 10248, 10250
_EVERYWHERE = "0.0.0.0"  # noqa: S104 -- the kubelet's default
_SNAP = re.compile(r"(/snap/[^/]+/[^/]+)/")


@dataclass(frozen=True, kw_only=True)
class Kubelet:
    """One that runs, as it was told. Holds nothing secret."""

    pid: int
    started: str
    """Boot and clock ticks: no two processes have the same."""
    minor: Minor
    config: str | None
    """Path of --image-credential-provider-config, …"""
    bin_dir: str | None
    """… and of --image-credential-provider-bin-dir, on the host."""
    gates: Mapping[str, bool]
    """Those that were set, and the one that tokens for providers need."""
    unit: str | None
    """systemd's."""
    node_name: str | None
    within: str
    """What runs it: k3s, rke2, k0s, microk8s, or "" for a kubelet of its own."""
    server: bool
    """Whether an API server runs in the same unit."""
    program: str
    """Path of its program."""
    kubeconfig: str | None
    healthz: tuple[str, int] | None
    """Where its health is asked for; None where that is turned off."""
    address: str
    """Where its API listens; 0.0.0.0 or ::, everywhere."""
    port: int
    read_only_port: int
    """0: there is none."""
    certificates: tuple[str, ...]
    """Paths where the certificate of its port may be, first things first."""


def running(root: Root, proc: Path = PROC, *, minor: Minor | None = None) -> Kubelet | None:
    """The host's kubelet; None where none runs. `minor`: its own, if it need not be asked.

    Raises Refused: there are several, or what it was told cannot be read.
    """
    found = find(root, proc)
    if found is None:
        return None
    try:
        return _told(root, found, proc, minor)
    except OSError as error:
        if process.of(proc, found.pid) is None:
            return None
        raise _unseen(found, error) from None


def led_elsewhere(root: Root, kubelet: Kubelet, config: str, bin_dir: str) -> list[str]:
    """Where its flags for credential providers lead to other places than these, a line each."""
    return [
        f"{flag}: the kubelet has {has or 'none'}, not {wanted}"
        for flag, has, wanted in (
            ("--image-credential-provider-config", kubelet.config, config),
            ("--image-credential-provider-bin-dir", kubelet.bin_dir, bin_dir),
        )
        if has is None or root.resolve(has) != root.resolve(wanted)
    ]


def find(root: Root, proc: Path = PROC) -> Process | None:
    """The process that the kubelet is in; None where there is none. Raises Refused."""
    found = {one.pid: one for one in _candidates(root, proc)}
    # Between fork and exec a child has its parent's command line.
    alone = [one for one in found.values() if _parent(one) not in found]
    if len(alone) > 1:
        listed = ", ".join(f"{one.pid} ({one.name})" for one in sorted(alone, key=lambda p: p.pid))
        raise Refused(
            f"processes {listed}: each looks like this host's kubelet. Fix: stop the one that is"
            " not; a node has one kubelet"
        )
    return alone[0] if alone else None


def _candidates(root: Root, proc: Path) -> Iterator[Process]:
    for one in process.every(proc):
        if one.name not in _KINDS or (one.name == "k3s" and not _is_node(one)):
            continue
        if "--version" in one.argv[1:]:  # asked by kubeadm, for instance, or by `node reconcile`
            continue
        try:
            if one.in_root(root):
                yield one
        except PermissionError as error:  # to pass over it would be to take it for not there
            raise _unseen(one, error) from None
        except OSError:
            pass


def _unseen(one: Process, error: OSError) -> Refused:
    what = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return Refused(
        f"kubelet, process {one.pid}: {what}. Fix: run this as root; in a pod with hostPID and the"
        " capability SYS_PTRACE"
    )


def _is_node(k3s: Process) -> bool:
    """Not one of its other commands (k3s kubectl)."""
    named = k3s.argv[0].endswith(("-server", "-agent"))
    return named or any(word in ("server", "agent") for word in k3s.argv[1:2])


def _parent(one: Process) -> int:
    try:
        return one.parent
    except OSError:
        return 0


def _told(root: Root, found: Process, proc: Path, minor: Minor | None) -> Kubelet:
    within, server = _within(found, proc)
    if within == "k3s":
        flags = embedded.of_k3s(found)
    elif within == "microk8s":
        flags = embedded.of_kubelite(found)
    else:
        flags = embedded.flags(found.argv[1:])
    settings = _settings(found, flags)
    minor = minor or _minor(root, found, within)

    def last(name: str) -> str | None:
        return embedded.last(flags, name, "") or None

    def port(flag: str, setting: str, default: int) -> int:
        told: Any = last(flag) or settings.get(setting)
        text = told.text if isinstance(told, document.Number) else str(told or "")
        return int(text) if text.isdecimal() else default

    kubeconfig = last("kubeconfig")
    healthz = port("healthz-port", "healthzPort", _HEALTHZ)
    address = last("healthz-bind-address") or str(settings.get("healthzBindAddress") or "127.0.0.1")
    folder = last("cert-dir") or "/var/lib/kubelet/pki"
    own = last("tls-cert-file") or settings.get("tlsCertFile")
    known = (own, f"{folder}/kubelet-server-current.pem", f"{folder}/kubelet.crt")
    return Kubelet(
        pid=found.pid,
        started=found.started,
        minor=minor,
        config=_of_host(root, found, last(embedded.CONFIG)),
        bin_dir=_of_host(root, found, last(embedded.BIN_DIR)),
        gates=_gates(settings, flags, minor),
        unit=found.unit,
        node_name=last("hostname-override") or _hostname(root, found, proc),
        within=within,
        server=server,
        program=found.program,
        kubeconfig=_absolute(found, kubeconfig) if kubeconfig else None,
        healthz=(address, healthz) if healthz else None,
        address=last("address") or str(settings.get("address") or _EVERYWHERE),
        port=port("port", "port", _PORT),
        read_only_port=port("read-only-port", "readOnlyPort", 0),
        certificates=tuple(_absolute(found, str(path)) for path in known if path),
    )


def _within(found: Process, proc: Path) -> tuple[str, bool]:
    """What runs the kubelet, and whether an API server with it."""
    if found.name == "k3s":
        return "k3s", found.argv[0].endswith("-server") or "server" in found.argv[1:2]
    if found.name == "kubelite":
        told = embedded.flags(found.argv[1:])
        return "microk8s", embedded.last(told, "start-control-plane", "true") != "false"
    parent = process.of(proc, found.parent)
    if parent is not None and parent.name in ("rke2", "k0s"):
        return parent.name, any(word in ("server", "controller") for word in parent.argv[1:2])
    return "", False


def _hostname(root: Root, found: Process, proc: Path) -> str | None:
    """As the kubelet takes it: in small letters."""
    if found.shares("uts", proc):
        name = (proc / "sys/kernel/hostname").read_text()
    else:
        name = (root.read("/etc/hostname") or b"").decode("ascii", "replace")
    return name.strip().lower() or None


def _of_host(root: Root, found: Process, path: str | None) -> str | None:
    """A path of the kubelet's as one of the host. Raises Refused where they differ."""
    if path is None:
        return None
    if not path.startswith("/"):
        path = f"{(found.folder / 'cwd').readlink()}/{path}"
    theirs, ours = found.root.stat(path), root.stat(path)
    same = theirs is None or (
        ours is not None and (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)
    )
    if not same:
        raise Refused(
            f"{path}: the kubelet (process {found.pid}) has another file there than the host: it"
            " runs with mounts of its own. Fix: set this node up by hand, docs/install.md"
        )
    return path


def _settings(found: Process, flags: embedded.Flags) -> dict[str, Any]:
    """The KubeletConfiguration that counts. Raises Refused."""
    merged: dict[str, Any] = {}
    if path := embedded.last(flags, "config", ""):
        path = _absolute(found, path)
        merged = _read(found.root, path)
        if own := merged.get("tlsCertFile"):
            merged["tlsCertFile"] = posixpath.join(posixpath.dirname(path), str(own))
    folder = embedded.last(flags, "config-dir", "")
    if folder and _is_folder(found.root, _absolute(found, folder)):
        for path in _drop_ins(found.root, _absolute(found, folder)):
            merged = _patched(merged, _read(found.root, path))
    return merged


def _absolute(found: Process, path: str) -> str:
    return path if path.startswith("/") else f"{(found.folder / 'cwd').readlink()}/{path}"


def _drop_ins(root: Root, folder: str) -> list[str]:
    found: list[str] = []
    for name in root.listdir(folder):
        path = f"{folder}/{name}"
        if _is_folder(root, path):
            found += _drop_ins(root, path)
        elif name.endswith(".conf"):
            found.append(path)
    return found


def _is_folder(root: Root, path: str) -> bool:
    """One itself: filepath.WalkDir follows no link."""
    there = root.lstat(path)
    return there is not None and stat.S_ISDIR(there.st_mode)


def _read(root: Root, path: str) -> dict[str, Any]:
    content = root.read(path)
    if content is None:
        raise Refused(
            f"{path}: not there, and the kubelet was told to read it; it would not start again."
            " Fix: put it back"
        )
    try:
        value = document.value(document.read(content.decode()))
    except (Unreadable, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}. Fix: correct the kubelet's configuration") from None
    return value if isinstance(value, dict) else {}


def _patched(target: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(target)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            before = merged.get(key)
            merged[key] = _patched(before if isinstance(before, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _gates(settings: Mapping[str, Any], flags: embedded.Flags, minor: Minor) -> dict[str, bool]:
    told = settings.get("featureGates")
    found: dict[str, bool] = {}
    for name, value in (told if isinstance(told, dict) else {}).items():
        found[name] = value is True or str(value).lower() == "true"
    for word in ",".join(flags.get("feature-gates", [])).split(","):
        name, mark, value = word.strip().partition("=")
        if mark:
            found[name] = value.strip().lower() in ("1", "t", "true")
    if GATE not in found:  # alpha in 1.33, beta from then on
        of_all = found.get("AllAlpha" if minor <= OLDEST else "AllBeta")
        found[GATE] = minor > OLDEST if of_all is None else of_all
    return found


def _minor(root: Root, found: Process, within: str) -> Minor:
    """Of the program that runs, which may have been replaced on the disk. Raises Refused."""
    if within == "microk8s":
        snap = _SNAP.match(found.program)
        place = (snap[1] if snap else "/snap/microk8s/current") + "/meta/snap.yaml"
        return minor_of(root, (place,))
    argv0 = "k3s" if within == "k3s" else "kubelet"
    running = f"/proc/{found.pid}/exe"
    if root.readlink(running) is None:  # the host's /proc has other numbers, or is not there
        running = found.program
    return minor_of(root, (argv0, "--version"), executable=running)


def minor_of(root: Root, told_by: tuple[str, ...], *, executable: str | None = None) -> Minor:
    """The Kubernetes minor that a program (or a snap's description) tells. Raises Refused.

    `told_by`: its command, or the path of a `snap.yaml` alone.
    """
    if len(told_by) == 1:
        text = (root.read(told_by[0]) or b"").decode("utf-8", "replace")
        text = next((line for line in text.splitlines() if line.startswith("version:")), "")
    else:
        try:
            ended = command.run(root, told_by, executable=executable)
        except Failed as failed:
            raise Refused(f"the kubelet's version is unknown: {failed}") from None
        text = ended.output + ended.errors
    found = _VERSION.search(text)
    if found is None:
        raise Refused(
            f"{' '.join(told_by)}: no Kubernetes version is in {' '.join(text.split())[:100]!r}."
            " Fix: see that it is a kubelet of Kubernetes 1.33 or newer, and that it can be run"
        )
    return int(found[1]), int(found[2])

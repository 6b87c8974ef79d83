"""What is to be where on a node, by the way in which its kubelet is given flags.

Imports `embedded`, `kubelet`, `unit`, `change`. Places and names are those that `render` writes (a
test compares them). Whatever is there of ours already is left out of what is looked at, so that a
second look comes to the same.
"""

from dataclasses import dataclass
from stat import S_ISDIR

from gcp_sa_credential_provider.node import embedded, unit
from gcp_sa_credential_provider.node.change import Edit, Link, Remove, Write
from gcp_sa_credential_provider.node.entry import WITH_CACHE_TYPE, Minor
from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.kubelet import Kubelet
from gcp_sa_credential_provider.node.unit import Unit
from gcp_sa_credential_provider.node.validate import GATE

FOLDER = "/etc/kubernetes/credential-providers"
BIN_DIR = "/opt/credential-providers/bin"
"""Where nothing prescribes a place."""
MICROK8S = "/var/snap/microk8s/common/credential-providers"
"""$SNAP_COMMON: unlike $SNAP_DATA it is not copied at each refresh of the snap."""
UNIT_DROP_IN = "50-gcp-sa-credential-provider.conf"
ARGUMENTS = "50-gcp-sa-credential-provider.yaml"
"""In config.yaml.d of k3s and RKE2."""
EKS = "/etc/eks/image-credential-provider"
"""Where nodeadm keeps its own, written anew at every boot."""
ECR = "ecr-credential-provider"

_VARIABLE = "KUBELET_EXTRA_ARGS"
_MARK = "# gcp-sa-credential-provider"
_CHOICE = "select-config.sh"
_K0S_EXTRA = "--kubelet-extra-args"
_KUBELITE = "snap.microk8s.daemon-kubelite.service"
_GATE_FLAG = f"feature-gates={GATE}=true"
_OURS = tuple(f"--{one}" for one in (f"{embedded.CONFIG}=", f"{embedded.BIN_DIR}=", _GATE_FLAG))
UNITS = {
    "k3s": ("k3s.service", "k3s-agent.service"),
    "rke2": ("rke2-server.service", "rke2-agent.service"),
    "k0s": ("k0sworker.service", "k0scontroller.service"),
    "microk8s": (_KUBELITE,),
    "kubelet": ("kubelet.service",),
}
_SERVERS = ("k3s.service", "rke2-server.service", "k0scontroller.service")


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """What is to be where, on one node."""

    profile: str
    config: str
    """What the kubelet is given: a file, or a folder of such."""
    directory: bool
    bin_dir: str
    flags: tuple[Edit, ...]
    """What hands the kubelet its flags, and others' files beside ours; none where it has all."""
    units: tuple[str, ...]
    server: bool
    """Whether their restart takes an API server along."""
    version: tuple[str, ...] = ()
    """What tells the version of the kubelet that starts next (`kubelet.minor_of`)."""


def _unit(root: Root, kubelet: Kubelet | None, kind: str) -> Unit:
    """The unit that runs the kubelet, as it is without us. Raises Refused."""
    names = UNITS[kind]
    if kubelet and kubelet.unit and kind in kubelet.unit:  # k3s-NAME.service, for instance
        names = (kubelet.unit,)
    elif kubelet and kubelet.unit and kubelet.unit not in names:
        raise Refused(
            f"{kubelet.unit}: the kubelet (process {kubelet.pid}) runs in this unit, which is not"
            f" named like one of {kind}; to restart it would end other things. Fix: set the node up"
            " by hand (docs/install.md)"
        )
    for name in names:
        found = unit.read(root, name, without=UNIT_DROP_IN)
        if found is not None:
            return found
    raise Refused(
        f"{' or '.join(names)}: no such unit is in {unit.FOLDERS[0]}, nor where else systemd looks."
        " Fix: have systemd run the kubelet by a unit of its own, or set the node up by hand"
        " (docs/install.md)"
    )


def _drop_in(root: Root, name: str) -> tuple[str, str | None]:
    """Our drop-in's path, and what is in it."""
    path = f"/etc/systemd/system/{name}.d/{UNIT_DROP_IN}"
    content = root.read(path)
    return path, None if content is None else content.decode("utf-8", "replace")


def _without_choice(root: Root, name: str) -> list[Edit]:
    """Out of the drop-in that `render` writes for the hand: the script of these files.

    It puts their configuration in place of ours before each start; `node reconcile` does its part.
    """
    path, text = _drop_in(root, name)
    kept = [line for line in (text or "").splitlines(keepends=True) if _CHOICE not in line]
    left = "".join(kept)
    if text is None or left == text:
        return []
    needed = [line for line in kept if line.strip() not in ("", "[Service]") and line[0] != "#"]
    return [Write(path, left.encode())] if needed else [Remove(path)]


def _gate(kubelet: Kubelet | None, minor: Minor, ours: str) -> list[str]:
    """The gate, where the kubelet needs it and has it from nobody else."""
    if minor >= WITH_CACHE_TYPE:
        return []
    has = kubelet is not None and kubelet.gates.get(GATE, False)
    return [] if has and _GATE_FLAG not in ours else [_GATE_FLAG]


def _is_directory(root: Root, path: str) -> bool:
    found = root.stat(path)
    return found is not None and S_ISDIR(found.st_mode)


def of_systemd(root: Root, kubelet: Kubelet | None, profile: str, minor: Minor) -> Wiring:
    """Of a kubelet that is a unit of its own. Raises Refused."""
    found = _unit(root, kubelet, "kubelet")
    path, ours = _drop_in(root, found.name)
    gate = _gate(kubelet, minor, ours or "")
    beside: list[Edit] = []
    has = kubelet is not None and kubelet.config and kubelet.bin_dir
    nodeadm = profile == "eks" and (not has or _is_nodeadms(kubelet))
    if kubelet is None and profile != "eks":
        _refuse_unknown_flags(root, found)
    if kubelet is not None and not nodeadm and _has_others(kubelet, ours or ""):
        config, bin_dir, told = str(kubelet.config), str(kubelet.bin_dir), gate
    else:
        config, bin_dir = f"{FOLDER}/config.yaml", BIN_DIR
        if profile == "eks":
            _refuse_old_eks(minor)
            config = f"{FOLDER}/config.d"
            beside = [
                Link(f"{config}/10-ecr.json", f"{EKS}/config.json"),
                Link(f"{BIN_DIR}/{ECR}", f"{EKS}/{ECR}"),
            ]
        told = [f"{embedded.CONFIG}={config}", f"{embedded.BIN_DIR}={bin_dir}", *gate]
    content = _service(root, found, told) if told else None
    return Wiring(
        profile=profile,
        config=config,
        directory=bool(beside) or _is_directory(root, config),
        bin_dir=bin_dir,
        flags=(*beside, *_file(path, content, ours, _mode(root, found))),
        units=(found.name,),
        server=False,
        version=(_kubelet(found, kubelet), "--version"),
    )


def _has_others(kubelet: Kubelet, ours: str) -> bool:
    """Whether the kubelet has both flags from somebody else, who may have come after us.

    Where `ours` hand them over it has what these name, or none until it is restarted.
    """
    if not (kubelet.config and kubelet.bin_dir):
        return False
    return embedded.CONFIG not in ours or kubelet.config not in ours


def _is_nodeadms(kubelet: Kubelet | None) -> bool:
    return kubelet is not None and kubelet.config == f"{EKS}/config.json"


def _refuse_old_eks(minor: Minor) -> None:
    if minor < WITH_CACHE_TYPE:
        raise Refused(
            f"EKS, Kubernetes {minor[0]}.{minor[1]}: nodeadm writes its configuration anew at every"
            " boot, and only from 1.34 on can the kubelet read ours beside it. Fix: upgrade to"
            " 1.34, or give the nodes the user data that `render` writes for distribution eks"
        )


def _service(root: Root, found: Unit, told: list[str]) -> str:
    """A drop-in with which the unit's command line ends in these flags."""
    flags = [f"--{one}" for one in told]
    words = unit.words(found.command)
    if not words:
        raise Refused(f"{found.path}: it has no ExecStart. Fix: correct the unit")
    if words[-1].written in (f"${_VARIABLE}", f"${{{_VARIABLE}}}") and not _is_set(root, found):
        return f'[Service]\nEnvironment="{_VARIABLE}={" ".join(flags)}"\n'
    return _started_by(found, [*(word.written for word in words), *flags])


def _started_by(found: Unit, words: list[str]) -> str:
    """A drop-in that replaces the unit's command line; its prefixes stay."""
    listed = found.values("ExecStart")[-1]
    prefix = listed[: len(listed) - len(found.command)]
    return f"[Service]\nExecStart=\nExecStart={prefix}{' '.join(words)}\n"


def _refuse_unknown_flags(root: Root, found: Unit) -> None:
    """A unit that hands its kubelet a configuration; where it is, only the kubelet can tell."""
    texts = [found.command, *found.values("Environment"), *_variables(root, found)]
    if any(f"--{embedded.CONFIG}" in text for text in texts):
        raise Refused(
            f"{found.path}: the kubelet has --{embedded.CONFIG} already, and none runs that would"
            " tell which file that is. Fix: start the kubelet, and run this on the node"
        )


def _variables(root: Root, found: Unit) -> list[str]:
    """The unit's files of variables."""
    paths = (f"/{value.lstrip('-').lstrip('/')}" for value in found.values("EnvironmentFile"))
    return [(root.read(path) or b"").decode("utf-8", "replace") for path in paths]


def _is_set(root: Root, found: Unit) -> bool:
    """Whether somebody else gives the variable a value, be it an empty one."""
    for value in found.values("Environment"):
        if any(word.meant.startswith(f"{_VARIABLE}=") for word in unit.words(value)):
            return True
    lines = (line for text in _variables(root, found) for line in text.splitlines())
    return any(line.strip().startswith(f"{_VARIABLE}=") for line in lines)


def _file(path: str, content: str | None, ours: str | None, mode: int = 0o644) -> list[Edit]:
    """A file that is wholly ours: written, or taken away where it is not needed any more."""
    if content is not None:
        return [Write(path, content.encode("utf-8", "surrogateescape"), mode)]
    return [Remove(path)] if ours is not None else []


def _mode(root: Root, found: Unit) -> int:
    """Whoever may read all that the command line may be from: it may hold a secret."""
    mode = 0o644
    for path in (found.path, *unit.drop_ins(root, found.name)):
        told = root.stat(path)
        mode &= told.st_mode if told else mode
    return mode


def _program(found: Unit, default: str) -> str:
    words = unit.words(found.command)
    return words[0].meant if words else default


def _kubelet(found: Unit, kubelet: Kubelet | None) -> str:
    """Path of the kubelet's program, which the unit may start by a script."""
    named = _program(found, "kubelet")
    running = kubelet.program if kubelet else named
    return named if named.rpartition("/")[2] == "kubelet" else running


def _server(found: Unit, kubelet: Kubelet | None) -> bool:
    return kubelet.server if kubelet else found.name in _SERVERS


def of_rancher(root: Root, kubelet: Kubelet | None, profile: str, minor: Minor) -> Wiring:
    """Of k3s and RKE2. Raises Refused."""
    found = _unit(root, kubelet, profile)
    told = embedded.of_rancher(root, profile, _arguments(found), {})
    config, bin_dir = embedded.rancher_places(told)
    if kubelet is not None and kubelet.config and kubelet.bin_dir:
        config, bin_dir = kubelet.config, kubelet.bin_dir
    elif _is_directory(root, config):
        raise Refused(
            f"{config}: a folder, which {profile} passes over without a word. Fix: move it away; a"
            " folder must be named among the kubelet's own arguments (kubelet-arg)"
        )
    path = f"/etc/rancher/{profile}/config.yaml.d/{ARGUMENTS}"
    ours = root.read(path)
    text = None if ours is None else ours.decode("utf-8", "replace")
    gate = _gate(kubelet, minor, text or "")
    content = "".join(["kubelet-arg+:\n", *(f"- {one}\n" for one in gate)]) if gate else None
    return Wiring(
        profile=profile,
        config=config,
        directory=_is_directory(root, config),
        bin_dir=bin_dir,
        flags=(*_file(path, content, text), *_without_choice(root, found.name)),
        units=(found.name,),
        server=_server(found, kubelet),
        version=(_program(found, profile), "--version"),
    )


def _arguments(found: Unit) -> list[str]:
    return [word.meant for word in unit.words(found.command)][1:]


def of_k0s(root: Root, kubelet: Kubelet | None, profile: str, minor: Minor) -> Wiring:
    """Of k0s. Raises Refused."""
    found = _unit(root, kubelet, profile)
    path, ours = _drop_in(root, found.name)
    told = _gate(kubelet, minor, ours or "")
    config, bin_dir = f"{FOLDER}/config.yaml", BIN_DIR
    if kubelet is not None and _has_others(kubelet, ours or ""):
        config, bin_dir = str(kubelet.config), str(kubelet.bin_dir)
    else:
        told = [f"{embedded.CONFIG}={config}", f"{embedded.BIN_DIR}={bin_dir}", *told]
    content = None
    if told:
        words, before = _without(found, _K0S_EXTRA)
        extra = " ".join([*before[-1:], *(f"--{one}" for one in told)])
        content = _started_by(found, [*words, unit.quoted(f"{_K0S_EXTRA}={extra}")])
    return Wiring(
        profile=profile,
        config=config,
        directory=_is_directory(root, config),
        bin_dir=bin_dir,
        flags=tuple(_file(path, content, ours, _mode(root, found))),
        units=(found.name,),
        server=_server(found, kubelet),
        version=(_program(found, profile), "version"),
    )


def _without(found: Unit, flag: str) -> tuple[list[str], list[str]]:
    """The unit's words as written, without a flag that takes a value; and its values."""
    kept: list[str] = []
    values: list[str] = []
    words = unit.words(found.command)[::-1]
    while words:
        word = words.pop()
        if word.meant == flag and words:  # whatever the value begins with (pflag)
            values.append(words.pop().meant)
        elif word.meant.startswith(f"{flag}="):
            values.append(word.meant.removeprefix(f"{flag}="))
        else:
            kept.append(word.written)
    return kept, values


def of_microk8s(root: Root, kubelet: Kubelet | None, profile: str, minor: Minor) -> Wiring:
    """Of MicroK8s. Raises Refused."""
    found = _unit(root, kubelet, profile)
    path = embedded.MICROK8S_ARGUMENTS
    content = root.read(path)
    if content is None:
        raise Refused(f"{path}: not there. Fix: install MicroK8s on the node first")
    bare, ours = _without_ours(content.decode("utf-8", "surrogateescape"))
    told = _gate(kubelet, minor, ours)
    config, bin_dir = f"{MICROK8S}/config.yaml", f"{MICROK8S}/bin"
    if kubelet is not None and _has_others(kubelet, ours):
        config, bin_dir = str(kubelet.config), str(kubelet.bin_dir)
    else:
        told = [f"{embedded.CONFIG}={config}", f"{embedded.BIN_DIR}={bin_dir}", *told]
    text = bare
    if told:
        gap = "" if bare.endswith("\n") or not bare else "\n"
        text = "".join([bare, gap, f"{_MARK}\n", *(f"--{one}\n" for one in told)])
    edits: list[Edit] = []
    if told or ours:
        edits = [Write(path, text.encode("utf-8", "surrogateescape"), 0o660)]
    worker = root.stat("/var/snap/microk8s/current/var/lock/clustered.lock") is not None
    return Wiring(
        profile=profile,
        config=config,
        directory=_is_directory(root, config),
        bin_dir=bin_dir,
        flags=(*edits, *_without_choice(root, found.name)),
        units=(found.name,),
        server=kubelet.server if kubelet else not worker,
        version=("/snap/microk8s/current/meta/snap.yaml",),
    )


def _without_ours(text: str) -> tuple[str, str]:
    """The arguments without our mark and the flags right below it; and these."""
    kept: list[str] = []
    ours: list[str] = []
    mine = False
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        mine = bare == _MARK or (
            mine
            and bare.startswith(
                (f"--{embedded.CONFIG}=", f"--{embedded.BIN_DIR}=", f"--{_GATE_FLAG}")
            )
        )
        (ours if mine else kept).append(line)
    return "".join(kept), "".join(ours)

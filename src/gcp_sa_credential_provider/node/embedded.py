"""The flags of a kubelet that k3s or MicroK8s carries within its own process.

Imports `document`, `files`, `process`, `unit`. Rules: docs.k3s.io, "Configuration File" (files of
config.yaml.d after config.yaml; the last value of a key counts, one of `key+` is added; repeatable
arguments of the command line replace the file's); k3s-io/k3s pkg/cli/cmds/agent.go, and
pkg/daemons/agent/agent.go for when its default places are used at all; canonical/microk8s
cmd/kubelite/app/options (lines; `#` begins one that is passed over; quotes are dropped; variables
replaced).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from stat import S_ISDIR

from gcp_sa_credential_provider.node import document, unit
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.process import Process

Flags = dict[str, list[str]]

RANCHER = "/var/lib/rancher/credentialprovider"
"""Where k3s and RKE2 look unless told otherwise."""
CONFIG, BIN_DIR = "image-credential-provider-config", "image-credential-provider-bin-dir"

MICROK8S_ARGUMENTS = "/var/snap/microk8s/current/args/kubelet"

_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def flags(words: Sequence[str]) -> Flags:
    """Flags by name, each with its values in order (pflag; the kubelet takes `_` for `-`)."""
    found: Flags = {}
    left = list(words)[::-1]
    while left:
        word = left.pop()
        if word == "--":
            break
        if not word.startswith("--"):
            continue
        name, mark, value = word[2:].partition("=")
        if not mark:
            value = left.pop() if left and not left[-1].startswith("-") else "true"
        found.setdefault(name.replace("_", "-"), []).append(value)
    return found


def of_kubelite(kubelite: Process) -> Flags:
    """Of MicroK8s' kubelet. Raises Refused."""
    told = flags(kubelite.argv[1:])
    path = last(told, "kubelet-args-file", MICROK8S_ARGUMENTS)
    content = kubelite.root.read(path)
    if content is None:
        raise Refused(f"{path}: not there, and MicroK8s takes its kubelet's arguments from it")
    return flags(list(_lines(content.decode("utf-8", "replace"), kubelite.environment)))


def _lines(text: str, environment: Mapping[str, str]) -> Iterator[str]:
    for line in text.splitlines():
        bare = line.strip()
        if bare and not bare.startswith("#"):
            for word in re.sub("[\"']", "", bare).split(" "):
                yield _VARIABLE.sub(lambda m: environment.get(m[1] or m[2], ""), word)


def of_k3s(k3s: Process) -> Flags:
    """Of k3s' kubelet. Raises Refused."""
    told = of_rancher(k3s.root, "k3s", _command(k3s), k3s.environment)
    data = last(told, "data-dir", "/var/lib/rancher/k3s")
    found: Flags = {
        "kubeconfig": [f"{data}/agent/kubelet.kubeconfig"],
        "config-dir": [f"{data}/agent/etc/kubelet.conf.d"],
        "tls-cert-file": [f"{data}/agent/serving-kubelet.crt"],
    }
    if "node-name" in told:
        found["hostname-override"] = told["node-name"]
    config, bin_dir = rancher_places(told)
    if rancher_uses(k3s.root, config, bin_dir):
        found |= {CONFIG: [config], BIN_DIR: [bin_dir]}
    for word in told.get("kubelet-arg", []):
        name, mark, value = word.removeprefix("--").partition("=")
        values = found.setdefault(name.rstrip("+-").replace("_", "-"), [])
        # The last value counts; `key-` puts one before the others (k3s pkg/util/args.go).
        values.insert(0 if name.endswith("-") else len(values), value if mark else "true")
    return found


def last(found: Mapping[str, Sequence[str]], name: str, default: str) -> str:
    """The value that counts."""
    values = found.get(name)
    return values[-1] if values else default


def rancher_places(told: Flags) -> tuple[str, str]:
    """Where k3s and RKE2 look for configuration and programs, by what they were told."""
    places = ((CONFIG, f"{RANCHER}/config.yaml"), (BIN_DIR, f"{RANCHER}/bin"))
    config, bin_dir = (last(told, name, default) for name, default in places)
    return config, bin_dir


def rancher_uses(root: Root, config: str, bin_dir: str) -> bool:
    """Whether they tell their kubelet of the two places."""
    file, folder = root.stat(config), root.stat(bin_dir)
    return bool(file and folder and S_ISDIR(folder.st_mode) and not S_ISDIR(file.st_mode))


def _command(k3s: Process) -> list[str]:
    """Its arguments: its own command line, or its unit's where it has written over that."""
    if len(k3s.argv) > 2 or not k3s.unit:
        return list(k3s.argv[1:])
    found = unit.read(k3s.root, k3s.unit)
    return [word.meant for word in unit.words(found.command)][1:] if found else []


def of_rancher(
    root: Root, product: str, words: Sequence[str], environment: Mapping[str, str]
) -> Flags:
    """All that k3s or RKE2 (`product`: k3s, rke2) was told. Raises Refused."""
    prefix = product.upper()
    command = flags(words)
    path = last(command, "config", environment.get(f"{prefix}_CONFIG_FILE", ""))
    path = path or f"/etc/rancher/{product}/config.yaml"
    found: Flags = {}
    for variable, name in (("DATA_DIR", "data-dir"), ("NODE_NAME", "node-name")):
        if value := environment.get(f"{prefix}_{variable}"):
            found[name] = [value]
    folder = f"{path}.d"
    for file in (path, *(f"{folder}/{name}" for name in root.listdir(folder) if _is_yaml(name))):
        for key, values in _settings(root, file).items():
            before = found.get(key.removesuffix("+"), []) if key.endswith("+") else []
            found[key.removesuffix("+")] = [*before, *values]
    return found | command


def _is_yaml(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _settings(root: Root, path: str) -> Flags:
    content = root.read(path)
    if content is None:
        return {}
    try:
        value = document.value(document.read(content.decode()))
    except (Unreadable, UnicodeDecodeError) as error:
        raise Refused(f"{path}: {error}. Fix: correct the file") from None
    if not isinstance(value, dict):
        return {}
    return {
        key: [_text(one) for one in (found if isinstance(found, list) else [found])]
        for key, found in value.items()
    }


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return value.text if isinstance(value, document.Number) else str(value or "")

"""k3s and RKE2, which have the same agent: fixed places, and arguments in config.yaml.d.

Imports `node`, `page`. Rules: k3s-io/k3s pkg/cli/cmds/agent.go (the places) and
pkg/daemons/agent/agent.go (used only if the folder is there and the configuration is a regular
file; else ignored, with a debug line); docs.k3s.io, "Configuration File" (a key that ends in +
adds to the values of other files).
"""

from dataclasses import dataclass

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions import node, page

_BASE = "/var/lib/rancher/credentialprovider"
PLACE = node.Place(_BASE, f"{_BASE}/bin")
_ARGUMENTS = "config.yaml.d/50-gcp-sa-credential-provider.yaml"
_SERVER_ARGUMENTS = "config.yaml.d/51-gcp-sa-credential-provider-server.yaml"


@dataclass(frozen=True)
class Product:
    """One of the two."""

    name: str
    """Of the program and of its folder under /etc/rancher."""
    title: str
    server: str
    agent: str
    """systemd units."""
    keys: str
    sources: tuple[str, ...]


def files(cluster: ClusterPlan, group: NodeGroup, product: Product) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = node.wired(cluster, group, PLACE, f"{product.name} --version")
    made |= _arguments(cluster, group)
    described = page.text(_page(made, group, product), cluster, group)
    return made | {page.README: described}


def _arguments(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    made = {}
    told = [f"feature-gates={node.GATE}"] if node.is_alpha(group) else []
    if group.directory:
        told += [flag.removeprefix("--") for flag in node.flags(PLACE, group)]
    if told:
        why = comment("The + adds to the kubelet arguments of other files, in place of them.")
        made[_ARGUMENTS] = yaml_text.file({"kubelet-arg+": told}, comments=why)
    if cluster.cluster.api_server_gate:
        why = comment("For servers only: the API server's own gate.")
        gate = {"kube-apiserver-arg+": [f"feature-gates={node.GATE}"]}
        made[_SERVER_ARGUMENTS] = yaml_text.file(gate, comments=why)
    return made


def _ours(group: NodeGroup) -> str:
    """What takes others' entries in; at 1.33 the script writes over the file in the end."""
    return "both our files, and keep a copy of yours" if node.is_alpha(group) else "our file"


def _found_by_itself(group: NodeGroup, units: tuple[str, str]) -> tuple[str, ...]:
    """What the agent logs of its default file, which the directory form does without."""
    if group.directory:
        return ()
    logged = "Kubelet image credential provider bin dir and configuration file found."
    return (f"`journalctl -u {units[0]} -u {units[1]}` has `{logged}`",)


def _page(made: dict[str, str], group: NodeGroup, product: Product) -> page.Page:
    etc = f"/etc/rancher/{product.name}"
    units = (product.server, product.agent)
    places = page.places(made, group, PLACE, "UNIT")
    steps = []
    if group.directory:
        steps.append(
            f"If `{PLACE.file}` is there already, with somebody else's entries:"
            f" `ln -s ../config.yaml {PLACE.directory}/10-config.yaml`, and leave their programs in"
            f" `{PLACE.bin_dir}`."
        )
    else:
        steps.append(
            f"If `{PLACE.file}` was there before, with somebody else's entries: add them to"
            f" `providers` of {_ours(group)}, and leave their programs where they are; from 1.34 on"
            " `directory: true` in fleet.yaml does without a copy."
        )
    if node.is_alpha(group):
        steps.append(
            f"UNIT is `{units[0]}` on a server and `{units[1]}` on an agent. Let the script choose"
            f" once: `sh {PLACE.folder}/{node.SELECT}`, then `systemctl daemon-reload`."
        )
    for name in (_ARGUMENTS, _SERVER_ARGUMENTS):
        if name in made:
            places[name] = f"{etc}/{name}"
    if node.is_alpha(group):
        steps.append(
            f"Where `{etc}/config.yaml` has `feature-gates` under `kubelet-arg`, both count: the"
            " kubelet adds up gates that are given twice."
        )
    if not group.directory:
        steps.append(
            f"Nothing else to set: {product.title} uses these two places by itself if the folder"
            " is there and the configuration is a regular file. It says nothing if not."
        )
    return page.Page(
        title=product.title,
        places=places,
        steps=tuple(steps),
        restart=f"systemctl restart {units[0]}    # on a server\n"
        f"systemctl restart {units[1]}    # on an agent",
        check=_found_by_itself(group, units),
        upgrade=f"{product.title} carries its kubelet, so `{node.SELECT}` asks `{product.name}"
        f" --version` before each start of the unit, and copies `{node.CONFIG}` or"
        f" `{node.CONFIG_NEXT}` to `{PLACE.file}`.",
        take_back=(
            *(f"Remove `{places[name]}`." for name in places if name.startswith("config.yaml.d")),
            f"Remove `{PLACE.config(group)}`"
            + (
                f", `{PLACE.folder}/credential-provider-config*.yaml`, the script and the drop-in"
                " of the unit; put your copy back, if there was one; `systemctl daemon-reload`."
                if node.is_alpha(group)
                else " (with other entries in it: ours alone)."
            ),
            "Restart as above.",
            f"Remove `{places[page.PROGRAM]}`.",
        ),
        keys=product.keys,
        sources=product.sources,
        not_verified=(
            f"{product.title} itself was not run: the places and rules are read in its sources.",
            *(
                (
                    (
                        "That an own `image-credential-provider-config` among `kubelet-arg` wins"
                        " over the default place."
                    ),
                )
                if group.directory
                else ()
            ),
        ),
    )

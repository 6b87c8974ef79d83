"""The README of a node group: the same order of sections for every distribution.

Imports the plan and `node`. The order of the steps is the kubelet's: a configuration whose program
is missing ends it (kubernetes pkg/credentialprovider/plugin/plugin.go), so the program comes first
and leaves last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import kubelet
from gcp_sa_credential_provider.render.comment import HEADER
from gcp_sa_credential_provider.render.distributions import node
from gcp_sa_credential_provider.version import VERSION

README = "README.md"
PROGRAM = "the program"
"""In a table of files: the static file, which is not rendered."""


def places(
    made: Mapping[str, str], group: NodeGroup, place: node.Place, unit: str
) -> dict[str, str]:
    """Where the program and the files of `node.wired` go; `unit` runs the kubelet."""
    there = {PROGRAM: f"{place.bin_dir}/{kubelet.PLUGIN}"}
    if group.directory:
        there[node.DROP_IN] = f"{place.directory}/{node.DROP_IN}"
    elif node.is_alpha(group):
        for name in (node.CONFIG, node.CONFIG_NEXT, node.SELECT):
            there[name] = f"{place.folder}/{name}"
    else:
        there[node.CONFIG] = place.file
    if node.UNIT_DROP_IN in made:
        there[node.UNIT_DROP_IN] = f"/etc/systemd/system/{unit}.d/{node.UNIT_DROP_IN}"
    return there


@dataclass(frozen=True, kw_only=True)
class Page:
    """What one distribution says; texts are Markdown."""

    title: str
    """The distribution's name."""
    before: str = ""
    """What must be known first."""
    places: Mapping[str, str]
    """File of this folder (or PROGRAM) to its path on the node, in the order of copying."""
    steps: tuple[str, ...]
    """After copying: flags and gates."""
    restart: str
    """Commands."""
    check: tuple[str, ...] = ()
    """Beside what can be seen on every node."""
    upgrade: str = ""
    """How the change from 1.33 to 1.34 goes, where the group is at 1.33."""
    take_back: tuple[str, ...]
    keys: str
    """Issuer, and what happens to its keys."""
    sources: tuple[str, ...]
    not_verified: tuple[str, ...]
    command: bool = True
    """Whether `node install` does all this on such a node."""


def text(page: Page, cluster: ClusterPlan, group: NodeGroup) -> str:
    """The README's Markdown."""
    sections = [
        (
            f"<!-- {HEADER} -->\n\n"
            f"# {cluster.cluster.name}, nodes {group.name}: {page.title}, Kubernetes"
            f" {group.kubernetes}"
        ),
        page.before,
        (
            "To be done on every node of this group; on one node first, and the next when it is"
            " well. A fault in the configuration ends the kubelet at its start."
        ),
        (
            f"The program is the static file, {_built(group)}: `make static` in a checkout of this"
            " project puts it into `dist` (what it needs: `docs/static.md` there)."
        ),
        _command(group) if page.command else "",
        _by_hand(page, group),
        "## Restart\n\n" + _code(page.restart),
        _check(page, group),
        f"## When Kubernetes is upgraded\n\n{_upgrade(page, group)}",
        "## Take it back\n\n" + _numbered(page.take_back),
        f"## Issuer and keys\n\n{page.keys}",
        _verified(page),
    ]
    return "\n\n".join(filter(None, sections)) + "\n"


def _command(group: NodeGroup) -> str:
    entry = node.DROP_IN if group.directory else node.CONFIG
    return (
        "## By the program itself\n\n"
        "On the node, as root, with the file for its processor beside this folder's. This adds our"
        " entry to the configuration that the kubelet has, checks the whole"
        " configuration by the kubelet's rules before anything changes, restarts the kubelet, and"
        " puts everything back if the kubelet does not come up:\n\n"
        + _code(
            f"{program(group)} node install --config {entry} --dry-run\n"
            f"{program(group)} node install --config {entry}"
        )
    )


def _by_hand(page: Page, group: NodeGroup) -> str:
    lines = ["## By hand", ""]
    if page.places:
        lines += ["In this order:", "", "| file | on the node | mode |", "|---|---|---|"]
        for source, target in page.places.items():
            name = f"the static file, {_built(group)}" if source == PROGRAM else f"`{source}`"
            mode = "0755" if source == PROGRAM else "0644"
            lines.append(f"| {name} | `{target}` | {mode} |")
        lines += ["", "Owner root; no folder on the way may be writable for others. Then:", ""]
    return "\n".join(lines) + "\n" + _numbered(page.steps)


def program(group: NodeGroup) -> str:
    """How the static file is called where it lies, on a node of the group's first processor."""
    return f"./{_name(group.architectures[0])}"


def _name(architecture: str) -> str:
    """As a build names it."""
    return f"{kubelet.PLUGIN}-{VERSION}-linux-{architecture}"


def _built(group: NodeGroup) -> str:
    return " or ".join(f"`{_name(one)}`" for one in group.architectures)


def _check(page: Page, group: NodeGroup) -> str:
    """What to look at; Talos alone has no journal."""
    every: tuple[str, ...] = (
        (
            f"The kubelet's log says `Registered credential provider` for `{kubelet.PLUGIN}` at"
            " verbosity 4; at any verbosity a fault ends it with `Failed to register CRI auth"
            " plugins`."
        ),
        (
            "From 1.34 on, the metric `kubelet_credential_provider_config_info` has the same `hash`"
            " on all nodes that have the same configuration."
        ),
    )
    if group.distribution != "talos":
        every += ("A pull writes a record: `journalctl -t gcp-sa-credential-provider`.",)
    return "## Check\n\n" + "\n".join(f"- {line}" for line in (*page.check, *every))


def _upgrade(page: Page, group: NodeGroup) -> str:
    if not node.is_alpha(group):
        return f"Nothing changes: one configuration serves {kubelet.NEXT} and every later minor."
    return (
        f"A kubelet of {kubelet.ALPHA} does not start if the file has `cacheType`, one of"
        f" {kubelet.NEXT} does not start if it has not. {page.upgrade}\n\nOnce all nodes of the"
        f" group are at {kubelet.NEXT}, change `kubernetes` in fleet.yaml and render again; the"
        " gate is on by default from then on."
    )


def _verified(page: Page) -> str:
    lines = [
        "## What is verified",
        "",
        "The kubelet's own code, of every minor from 1.33 on, loads the configurations that this"
        " program makes: that is tested. Where files go and how flags are set is taken from: "
        + "; ".join(page.sources)
        + ".",
    ]
    if page.not_verified:
        lines += ["", "**Not verified** on a running installation by this project:", ""]
        lines += [f"- {line}" for line in page.not_verified]
    return "\n".join(lines)


def _numbered(steps: Iterable[str]) -> str:
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, 1))


def _code(commands: str) -> str:
    return f"```sh\n{commands.strip()}\n```"


def step(words: str, commands: str) -> str:
    """A step with a block of commands or lines below it."""
    indented = "\n".join(f"   {line}".rstrip() for line in _code(commands).splitlines())
    return f"{words}\n\n{indented}\n"

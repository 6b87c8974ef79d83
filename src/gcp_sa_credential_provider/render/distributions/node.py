"""What the nodes of all distributions share: file names, flags, the choice at an upgrade.

Imports the plan and `kubelet`. Rules: the kubelet's command line (image-credential-provider-config
takes one path, a file or, from 1.34 on, a directory; the last flag wins) and kubernetes
pkg/credentialprovider/plugin/config.go (a directory's *.json, *.yaml and *.yml are read in the
order of their names, links followed).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import kubelet
from gcp_sa_credential_provider.render.comment import HEADER, comment

CONFIG = "credential-provider-config.yaml"
CONFIG_NEXT = f"credential-provider-config-{kubelet.NEXT}.yaml"
DROP_IN = "50-gcp-sa-credential-provider.yaml"
"""Ours in a directory of configurations; a distribution's own is linked as 10-… beside it."""
SELECT = "select-config.sh"
UNIT_DROP_IN = "50-gcp-sa-credential-provider.conf"
GATE = f"{kubelet.GATE}=true"


@dataclass(frozen=True)
class Place:
    """Where the kubelet of a distribution finds providers."""

    folder: str
    """Holds the configuration, its alternatives and the script that chooses."""
    bin_dir: str

    @property
    def file(self) -> str:
        """The whole file, for the kubelet's flag."""
        return f"{self.folder}/config.yaml"

    @property
    def directory(self) -> str:
        """The directory of configurations, for the kubelet's flag."""
        return f"{self.folder}/config.d"

    def config(self, group: NodeGroup) -> str:
        """What the group's kubelets are told."""
        return self.directory if group.directory else self.file


SYSTEMD = Place("/etc/kubernetes/credential-providers", "/opt/credential-providers/bin")
"""Where nothing prescribes a place: a kubelet that is a systemd unit with flags of its own."""


def is_alpha(group: NodeGroup) -> bool:
    """Whether the group's kubelets need the gate and another file than the next minor's."""
    return group.kubernetes == kubelet.ALPHA


def configs(
    cluster: ClusterPlan, group: NodeGroup, others: Sequence[Mapping[str, Any]] = ()
) -> dict[str, str]:
    """The group's CredentialProviderConfig by file name; two where an upgrade needs both."""
    if group.directory:
        return {DROP_IN: kubelet.config(cluster, group.kubernetes)}
    made = {CONFIG: kubelet.config(cluster, group.kubernetes, others)}
    if is_alpha(group):
        made[CONFIG_NEXT] = kubelet.config(cluster, kubelet.NEXT, others)
    return made


def named(group: NodeGroup) -> str:
    """The configurations' names, for a README."""
    if group.directory:
        return f"`{DROP_IN}`"
    return f"`{CONFIG}`" + (f" (later `{CONFIG_NEXT}`)" if is_alpha(group) else "")


def wired(
    cluster: ClusterPlan,
    group: NodeGroup,
    place: Place,
    version_command: str,
    settings: Sequence[str] = (),
) -> dict[str, str]:
    """Configurations by file name; for 1.33 the choice at an upgrade; the unit's drop-in if needed.

    `version_command`: see `select_script`; `settings`: lines of the unit's [Service] section.
    """
    made = configs(cluster, group)
    lines = [*settings]
    if is_alpha(group):
        made[SELECT] = select_script(version_command)
        # /bin/sh reads the script: SELinux asks for no label that makes it a program.
        # With the -, a drop-in that was left behind without its script keeps no kubelet down.
        lines.append(f"ExecStartPre=-/bin/sh {place.folder}/{SELECT}")
    if lines:
        made[UNIT_DROP_IN] = commented() + "\n".join(["[Service]", *lines, ""])
    return made


def flags(place: Place, group: NodeGroup) -> list[str]:
    """The kubelet's command-line flags."""
    needed = [
        f"--image-credential-provider-config={place.config(group)}",
        f"--image-credential-provider-bin-dir={place.bin_dir}",
    ]
    # Gates of the command line are added to those of the kubelet's configuration file.
    return [*needed, f"--feature-gates={GATE}"] if is_alpha(group) else needed


def commented(*paragraphs: str) -> str:
    """The header and paragraphs as `#` comments, for any file that has them."""
    return "".join(f"{line}\n" for text in (HEADER, *paragraphs) for line in comment(text))


def select_script(version_command: str) -> str:
    """A script that puts the configuration in place which the node's kubelet can read.

    `version_command` prints a text with the Kubernetes version, v1.34.2, before any other. The
    script works in its own folder; it never keeps a kubelet from starting.
    """
    return (
        "#!/bin/sh\n"
        + commented(
            f"A kubelet of {kubelet.ALPHA} ends on cacheType, one of {kubelet.NEXT} and newer ends"
            " without it. This runs before the kubelet starts, so that an upgrade of the node needs"
            " no hand. It keeps what is there where it cannot tell."
        )
        + _SELECT.format(
            command=version_command,
            alpha=kubelet.ALPHA.partition(".")[2],
            config=CONFIG,
            config_next=CONFIG_NEXT,
        )
    )


_SELECT = """\
set -u
# systemd's PATH has none of the places in which distributions keep their programs.
PATH=${{PATH:-/usr/bin:/bin}}:/usr/local/bin:/opt/bin:/opt/rke2/bin:/snap/bin
folder=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd) || exit 0
version=$({command}) || version=
minor=${{version#*v1.}}
minor=${{minor%%[!0-9]*}}
case $version/$minor in
  *v1.*/{alpha}) chosen={config} ;;
  *v1.*/3[4-9] | *v1.*/[4-9][0-9]) chosen={config_next} ;;
  *)
    echo "$0: '{command}' names no Kubernetes version that this knows; nothing changed" >&2
    exit 0
    ;;
esac
# A rename puts the whole file in place or nothing.
if cp -- "$folder/$chosen" "$folder/.config.yaml.new" &&
  chmod 0644 "$folder/.config.yaml.new" &&
  mv -f -- "$folder/.config.yaml.new" "$folder/config.yaml"; then
  echo "$0: $chosen is config.yaml"
else
  echo "$0: could not put $chosen in place as $folder/config.yaml" >&2
fi
exit 0
"""

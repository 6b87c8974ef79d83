"""minikube: files of its own folder, flags by --extra-config.

Imports `node`, `page`. Rules: minikube's handbook ("Sync from host": ~/.minikube/files is copied
into the node at each start), pkg/minikube/localpath (MINIKUBE_HOME with and without it at its
end), Cloudsmith's provider README (--extra-config=kubelet.…).
"""

import shlex

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render.distributions import node, page

PLACE = node.SYSTEMD
_START = "minikube-start.sh"


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = node.configs(cluster, group) | {_START: _script(cluster, group)}
    described = page.Page(
        title="minikube",
        places={},
        steps=(
            "Put the static file for the node's processor here as `gcp-sa-credential-provider`.",
            (
                f"`./{_START}`, with further arguments of `minikube start` behind it. It copies"
                f" that file and {node.named(group)} into minikube's folder of files and starts the"
                " cluster with the kubelet's flags."
            ),
        ),
        restart=f"minikube stop && ./{_START}",
        upgrade=f"Start the new minor with `{node.CONFIG_NEXT}`: it is what `{_START} --next`"
        " copies.",
        take_back=(
            f"Remove `files{PLACE.folder}` and `files{PLACE.bin_dir}` from minikube's folder.",
            "`minikube delete`, and start anew without the flags.",
        ),
        keys="The issuer is `https://kubernetes.default.svc.cluster.local` unless"
        " `--extra-config=apiserver.service-account-issuer` says otherwise. Google cannot reach it:"
        " the keys are uploaded, anew for every `minikube delete`.",
        sources=("minikube's handbook: Sync from host", "Cloudsmith's credential provider README"),
        not_verified=("minikube was not run.", "That the copied program keeps its mode 0755."),
        command=False,
    )
    return made | {page.README: page.text(described, cluster, group)}


def _script(cluster: ClusterPlan, group: NodeGroup) -> str:
    source = node.DROP_IN if group.directory else node.CONFIG
    target = f"{PLACE.directory}/{node.DROP_IN}" if group.directory else PLACE.file
    flags = node.flags(PLACE, group)
    gates = [flag for flag in flags if flag.startswith("--feature-gates")]
    told = [f"--extra-config=kubelet.{flag.removeprefix('--')}" for flag in flags]
    if not gates:
        choice = f"config={source}\n"
    else:
        # minikube gives the gate to every component, the API server among them.
        told = [flag for flag in told if "feature-gates" not in flag]
        choice = (
            f"config={source}\n"
            f"gates={shlex.quote(gates[0])}\n"
            'if [ "${1-}" = --next ]; then\n'
            "  shift\n"
            f"  config={node.CONFIG_NEXT}\n"
            "  gates=\n"
            "fi\n"
        )
    words = "".join(f"  {shlex.quote(flag)} \\\n" for flag in told)
    return (
        "#!/bin/sh\n"
        + node.commented(f"Starts minikube for cluster {cluster.cluster.name}.")
        + f"""set -eu
cd -- "$(dirname -- "$0")"
{choice}home=${{MINIKUBE_HOME:-$HOME}}
home=${{home%/}}
files=${{home%/.minikube}}/.minikube/files
mkdir -p "$files{PLACE.bin_dir}" "$files{target.rpartition("/")[0]}"
cp gcp-sa-credential-provider "$files{PLACE.bin_dir}/gcp-sa-credential-provider"
chmod 0755 "$files{PLACE.bin_dir}/gcp-sa-credential-provider"
cp "$config" "$files{target}"
exec minikube start \\
{words}  {'${gates:+"$gates"} ' if gates else ""}"$@"
"""
    )

"""kOps: assets of the cluster's specification, and a drop-in of kubelet.service.

Imports `node`, `page`. Rules: kubernetes/kops nodeup/pkg/model/kubelet.go: the unit's command is
the kubelet and "$DAEMON_ARGS" of /etc/sysconfig/kubelet, which nodeup writes at each boot, with
flags for its own provider on AWS and Google (its program beside the kubelet); no setting adds a
flag. nodeup/pkg/model/file_assets.go: an asset's path, not its name, makes it one; its folder is
made with it.
"""

from typing import Any

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions import node, page, systemd

PLACE = node.Place(node.SYSTEMD.folder, "/usr/local/bin")
"""Programs where kOps has its own: one flag names one folder."""
_ASSETS = "kops-file-assets.yaml"
_KUBELET = "/usr/local/bin/kubelet"
_OWN = "/var/lib/kubelet/credential-provider.conf"


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    told = " ".join(node.flags(PLACE, group))
    # The same words as in the unit, ours behind them: the last flags win.
    settings = ["ExecStart=", f'ExecStart={_KUBELET} "$DAEMON_ARGS" {told}']
    if group.directory:
        # A link that leads nowhere would end the kubelet: kOps has this file on some clouds only.
        link = f"{PLACE.directory}/10-kops.yaml"
        keep = f"if test -f {_OWN}; then ln -sf {_OWN} {link}; else rm -f {link}; fi"
        settings.append(f"ExecStartPre=/bin/sh -c '{keep}'")
    wired = node.wired(cluster, group, PLACE, f"{_KUBELET} --version", settings)
    there = page.places(wired, group, PLACE, systemd.UNIT)
    described = page.Page(
        title="kOps",
        before=f"kOps writes `{_OWN}` itself on AWS and Google, with its own provider's entry, and"
        " the kubelet's flags at each boot. A drop-in of the unit adds ours behind them. "
        + (
            f"kOps' own file is linked as `{PLACE.directory}/10-kops.yaml` before each start, where"
            f" it is; its program is in `{PLACE.bin_dir}`, and so is ours."
            if group.directory
            else "**Our file replaces kOps' own**: on AWS and Google its provider would be gone."
            " Use `directory: true` in fleet.yaml there (1.34 and newer)."
        ),
        places={},
        steps=(
            (
                f"Bring the static file to `{there[page.PROGRAM]}`, mode 0755, by the machine image"
                " or by a hook of the cluster's specification that fetches it from a server of"
                " yours and runs before kubelet.service."
            ),
            (
                f"Merge `{_ASSETS}` into the InstanceGroup or the Cluster (`kops edit`), then `kops"
                " update cluster --yes` and `kops rolling-update cluster --yes`."
            ),
            f"{node.named(group)} is what these put onto a node; here it is to be read.",
        ),
        restart="kops rolling-update cluster --yes",
        upgrade=f"Every node has both files, and `{node.SELECT}` chooses by `{_KUBELET} --version`"
        " before each start of the kubelet.",
        take_back=("Remove the assets, and roll the nodes again.",),
        keys="With `serviceAccountIssuerDiscovery` the issuer is public, and its keys are fetched;"
        " without it the issuer is the cluster's own, and its keys are uploaded. Keys rotate by"
        " `kops create keypair service-account`: upload the old and the new ones together before.",
        sources=("kubernetes/kops nodeup/pkg/model/kubelet.go",),
        not_verified=(
            "No kOps cluster was made from it.",
            (
                "That nodeup has written the drop-in, and systemd read it, when it first starts the"
                " kubelet."
            ),
            (
                "On Flatcar (`/opt/kubernetes/bin`) and COS (`/home/kubernetes/bin`) the kubelet is"
                " in another folder than `/usr/local/bin`: change it in the assets."
            ),
        ),
        command=False,
    )
    made = node.configs(cluster, group) | {_ASSETS: _assets(wired, there)}
    return made | {page.README: page.text(described, cluster, group)}


def _assets(wired: dict[str, str], there: dict[str, str]) -> str:
    assets: list[dict[str, Any]] = [
        {
            "name": name.replace(".", "-"),
            "path": there[name],
            "mode": "0644",
            "content": text,
        }
        for name, text in wired.items()
    ]
    why = comment("Part of spec of a Cluster or an InstanceGroup.")
    return yaml_text.file({"fileAssets": assets}, comments=why)

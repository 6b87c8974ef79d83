"""EKS with nodes of AL2023: user data for nodeadm, which writes its own configuration at each boot.

Imports `node`, `page`. Rules: awslabs/amazon-eks-ami nodeadm/internal/kubelet:
image-credential-provider.go and its template (ECR's entry), environment.go (flags of the user come
last); NodeConfig node.eks.aws/v1alpha1 in multi-part user data.
"""

from typing import Any

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import HEADER
from gcp_sa_credential_provider.render.distributions import node, page, systemd

PLACE = node.SYSTEMD
USER_DATA = "user-data.mime"
_OWN = "/etc/eks/image-credential-provider"
_ECR = "ecr-credential-provider"
_MOST = 16_384  # bytes of user data, before base64
_BOUNDARY = "==gcp-sa-credential-provider=="

ECR_ENTRY = {
    "name": _ECR,
    "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
    "matchImages": [
        "*.dkr.ecr.*.amazonaws.com",
        "*.dkr-ecr.*.on.aws",
        "*.dkr.ecr.*.amazonaws.com.cn",
        "*.dkr-ecr.*.on.amazonwebservices.com.cn",
        "*.dkr.ecr-fips.*.amazonaws.com",
        "*.dkr-ecr-fips.*.on.aws",
        "*.dkr.ecr.*.c2s.ic.gov",
        "*.dkr.ecr.*.sc2s.sgov.gov",
        "*.dkr.ecr.*.cloud.adc-e.uk",
        "*.dkr.ecr.*.amazonaws.eu",
    ],
    "defaultCacheDuration": "12h",
}
"""As nodeadm writes it."""


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    wired = node.wired(cluster, group, PLACE, "kubelet --version")
    # ECR's entry stays: in a file by a copy, in a directory by a link to nodeadm's own.
    wired |= node.configs(cluster, group, others=() if group.directory else (ECR_ENTRY,))
    there = page.places(wired, group, PLACE, systemd.UNIT)
    user_data = _user_data(wired, there, group)
    kept = (
        f"nodeadm's own file is linked as `{PLACE.directory}/10-ecr.json`, so that ECR's entry is"
        " always the node image's."
        if group.directory
        else "ECR's entry is copied into ours from amazon-eks-ami; from 1.34 on `directory: true`"
        " in fleet.yaml links nodeadm's own file instead, so that no copy can grow old."
    )
    described = page.Page(
        title="EKS, AL2023",
        before=f"nodeadm writes `{_OWN}/config.json` at every boot, with ECR's entry alone. The"
        f" kubelet's flags of a NodeConfig come after its own and win: they name `{PLACE.folder}`."
        f" {kept}",
        places={},
        steps=(
            (
                f"Put the static file into the node image as `{there[page.PROGRAM]}`, mode 0755, or"
                f" let a part of the user data before ours fetch it from a place of yours: the"
                f" script in `{USER_DATA}` ends with an error if it is missing, and so does the"
                " kubelet."
            ),
            (
                f"Give `{USER_DATA}` to the launch template as user data; with user data of your"
                " own, put both of its parts beside yours. Managed node groups add the cluster's"
                f" part. It has {len(user_data)} bytes; EC2 takes {_MOST} of all parts together."
            ),
            "Replace the nodes.",
        ),
        restart="systemctl restart kubelet    # a node that has the files already",
        upgrade="Nodes are replaced, but by the same user data until that is changed: so every node"
        f" has both files, `{node.CONFIG}` and `{node.CONFIG_NEXT}`, and by"
        f" `{node.UNIT_DROP_IN}` `{node.SELECT}` chooses by `kubelet --version` before each start.",
        take_back=("Take the parts out of the user data, and replace the nodes.",),
        keys="The issuer is public, and its keys rotate every 7 days: Google fetches them. **Never"
        " upload them.**",
        sources=(
            "awslabs/amazon-eks-ami nodeadm/internal/kubelet",
            "EKS's documentation: irsa-fetch-keys",
        ),
        not_verified=(
            "No EKS node was started from it.",
            "That the script of the user data runs before nodeadm starts the kubelet.",
        ),
        # Before 1.34 the kubelet cannot read ours beside nodeadm's file.
        command=not node.is_alpha(group),
    )
    wired[USER_DATA] = user_data
    return wired | {page.README: page.text(described, cluster, group)}


def _user_data(wired: dict[str, str], there: dict[str, str], group: NodeGroup) -> str:
    told: dict[str, Any] = {"flags": node.flags(PLACE, group)}
    config = {
        "apiVersion": "node.eks.aws/v1alpha1",
        "kind": "NodeConfig",
        "spec": {"kubelet": told},
    }
    parts = {
        "application/node.eks.aws": yaml_text.dump(config),
        "text/x-shellscript; charset=us-ascii": _script(wired, there, group),
    }
    head = f'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="{_BOUNDARY}"\n\n{HEADER}\n'
    body = "".join(
        f"\n--{_BOUNDARY}\nContent-Type: {kind}\n\n{text}" for kind, text in parts.items()
    )
    return f"{head}{body}\n--{_BOUNDARY}--\n"


def _script(wired: dict[str, str], there: dict[str, str], group: NodeGroup) -> str:
    """What is run at the first boot, before the kubelet."""
    program = there[page.PROGRAM]
    lines = ["#!/bin/sh", "set -eu"]
    folders = {path.rpartition("/")[0] for path in there.values()}
    lines.append("mkdir -p " + " ".join(sorted(folders)))
    for name, text in wired.items():
        # No line of ours is the mark; in quotes it keeps $ and \\ as they are.
        lines += [f"cat > {there[name]} <<'END_OF_FILE'", text.rstrip("\n"), "END_OF_FILE"]
    lines.append(f"ln -sf {_OWN}/{_ECR} {PLACE.bin_dir}/{_ECR}")
    if group.directory:
        lines.append(f"ln -sf {_OWN}/config.json {PLACE.directory}/10-ecr.json")
    if node.is_alpha(group):
        lines += [f"sh {PLACE.folder}/{node.SELECT}", "systemctl daemon-reload"]
    lines.append(f"test -x {program} || {{ echo '{program}: missing' >&2; exit 1; }}")
    return "\n".join([*lines, ""])

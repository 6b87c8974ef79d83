"""OpenShift: MachineConfigs, for the platform that the cluster runs on.

Imports `node`, `page`, `kubelet`. Rules: openshift/machine-config-operator
templates/common/{aws,azure,gcp}/files (the entries that it writes itself) and
pkg/controller/template/render.go (the kubelet's flags name one file by platform, no flag can be
added); the folder of programs is read-only, so a layered image brings ours.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import kubelet, yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions import node, page

_BIN_DIR = "/usr/libexec/kubelet-image-credential-provider-plugins"
_FOLDER = "/etc/kubernetes/credential-providers"
_IMAGE = "Containerfile"
_V1 = "credentialprovider.kubelet.k8s.io/v1"

# Of docker.io for mirrors, from 4.21 on beside the platform's own.
_CRIO: dict[str, Any] = {
    "name": "crio-credential-provider",
    "apiVersion": _V1,
    "matchImages": ["docker.io"],
    "defaultCacheDuration": "1s",
    "tokenAttributes": {
        "serviceAccountTokenAudience": "https://kubernetes.default.svc",
        "cacheType": "Token",
        "requireServiceAccount": False,
    },
}
PLATFORMS: Mapping[str, Sequence[dict[str, Any]]] = {
    "ecr": (
        {
            "name": "ecr-credential-provider",
            "apiVersion": _V1,
            "matchImages": [
                "*.dkr.ecr.*.amazonaws.com",
                "*.dkr.ecr.*.amazonaws.com.cn",
                "*.dkr.ecr-fips.*.amazonaws.com",
                "*.dkr.ecr.us-iso-east-1.c2s.ic.gov",
                "*.dkr.ecr.us-isob-east-1.sc2s.sgov.gov",
            ],
            "defaultCacheDuration": "12h",
        },
    ),
    "acr": (
        {
            "name": "acr-credential-provider",
            "apiVersion": _V1,
            "matchImages": ["*.azurecr.io", "*.azurecr.cn", "*.azurecr.de", "*.azurecr.us"],
            "defaultCacheDuration": "10m",
            "args": ["/etc/kubernetes/cloud.conf"],
        },
    ),
    "gcr": (
        {
            "name": "gcr-credential-provider",
            "apiVersion": _V1,
            "matchImages": ["gcr.io", "*.gcr.io", "*.pkg.dev", "container.cloud.google.com"],
            "defaultCacheDuration": "1m",
            "args": ["get-credentials", "--v=3"],
        },
    ),
}
"""By the first word of the file that the Machine Config Operator writes: its entries."""


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    # One file, whatever the description says of directories: no flag of the kubelet can be changed.
    made = {_IMAGE: _containerfile()}
    for platform, entries in PLATFORMS.items():
        made[f"machine-config-{platform}.yaml"] = _machine_config(
            cluster, group, platform, [*entries, *(() if node.is_alpha(group) else (_CRIO,))]
        )
    described = page.Page(
        title="OpenShift",
        before="The Machine Config Operator owns the kubelet's flags: there is no way to add one,"
        " and a directory of configurations cannot be named. On AWS, Azure and Google the flags"
        f" name `{_FOLDER}/{{ecr,acr,gcr}}-credential-provider.yaml`: the MachineConfig replaces"
        " that file by one with the platform's entries and ours. **On other platforms the kubelet"
        " is given no such file, and this does not work.**"
        + (" `directory: true` of fleet.yaml changes nothing here." if group.directory else "")
        + (
            f" OpenShift 4.20 (Kubernetes 1.33) has the feature gate `{kubelet.GATE}` off, and a"
            " FeatureGate of CustomNoUpgrade bars every later upgrade: upgrade to 4.21 first."
            if node.is_alpha(group)
            else ""
        ),
        places={},
        steps=(
            (
                f"Build a layered image with the static file beside `{_IMAGE}` as"
                " `gcp-sa-credential-provider`, and give it to the pool (on-cluster layering, or"
                " `osImageURL` of a MachineConfig). The folder of programs is read-only otherwise."
            ),
            (
                f"Compare the platform's entries in `machine-config-PLATFORM.yaml` with the file in"
                f" `{_FOLDER}` of a node: they are copied, and follow OpenShift's releases."
            ),
            (
                "`oc apply -f machine-config-PLATFORM.yaml`, only once the program is on every node"
                " of the pool. The pool's nodes restart one after the other."
            ),
            (
                "On Google (`gcr`) the platform's own provider matches the same images. It is asked"
                " as well, and its credential, the node's, is tried first: take its right to read"
                " the repositories away, or every pod of the node has it."
            ),
        ),
        restart="oc adm wait-for-stable-cluster    # the operator restarts the nodes itself",
        upgrade="The MachineConfig acts at once on all nodes of the pool: upgrade, then render for"
        " the new minor.",
        take_back=(
            (
                "`oc delete machineconfig` with the name in the file; the operator puts its own"
                " file back."
            ),
            "Go back to the former image of the pool.",
        ),
        keys="OpenShift signs bound tokens with a key of its own and a cluster-internal issuer,"
        " unless it runs in STS mode (a public issuer in a bucket: fetched, not uploaded).",
        sources=("openshift/machine-config-operator templates/common, render.go",),
        not_verified=(
            "No OpenShift cluster was changed.",
            "The issuer: read `/.well-known/openid-configuration`.",
        ),
        command=False,
    )
    return made | {page.README: page.text(described, cluster, group)}


def _machine_config(
    cluster: ClusterPlan, group: NodeGroup, platform: str, entries: Sequence[dict[str, Any]]
) -> str:
    config = kubelet.config(cluster, group.kubernetes, entries)
    stored = {
        "path": f"{_FOLDER}/{platform}-credential-provider.yaml",
        "mode": 0o644,
        "overwrite": True,
        "contents": {"source": f"data:,{quote(config)}"},
    }
    document = {
        "apiVersion": "machineconfiguration.openshift.io/v1",
        "kind": "MachineConfig",
        "metadata": {
            "name": f"99-{group.name}-gcp-sa-credential-provider",
            "labels": {"machineconfiguration.openshift.io/role": group.name},
        },
        "spec": {"config": {"ignition": {"version": "3.4.0"}, "storage": {"files": [stored]}}},
    }
    why = comment(
        f"For the pool {group.name}, the node group's name (worker, master, or yours). Mode 420 is"
        " 0644."
    )
    return yaml_text.file(document, comments=why)


def _containerfile() -> str:
    return node.commented(
        "The pool's layered image: BASE is the node image of your release (`oc adm release info"
        " --image-for rhel-coreos`)."
    ) + (
        "ARG BASE\n"
        "FROM ${BASE}\n"
        f"COPY --chmod=0755 {kubelet.PLUGIN} {_BIN_DIR}/{kubelet.PLUGIN}\n"
        "RUN ostree container commit\n"
    )

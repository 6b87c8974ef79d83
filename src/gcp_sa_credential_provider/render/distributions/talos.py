"""Talos: a system extension brings the program, the machine configuration the provider.

Imports `node`, `page`, `kubelet`. Rules: siderolabs/talos (machine.kubelet.
credentialProviderConfig; from 1.14 on the document KubeCredentialProviderConfig; the folder of
providers is fixed and read-only; #11086 static programs only; #12112 token attributes from 1.12
on); siderolabs/extensions container-runtime/ecr-credential-provider (an extension's manifest).
Talos reads the provider's configuration into the Kubernetes types of its own release and writes it
anew (internal/app/machined/pkg/controllers/k8s/kubelet_service.go), where a cacheType that was not
given becomes an empty one (kubelet config/v1/types.go has no omitempty there): kubelets of 1.33 end
on that, so there is nothing for them.
"""

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import kubelet, yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions import node, page
from gcp_sa_credential_provider.version import VERSION

_BIN_DIR = "/usr/local/lib/kubelet/credentialproviders"
_FIELD = "machine-config-until-1.13.yaml"
_DOCUMENT = "machine-config-from-1.14.yaml"
_ALPHA = (
    f" **Not with kubelets of {kubelet.ALPHA}**: Talos writes the configuration anew with an empty"
    f" `cacheType`, which they do not know and end on. The files here are for {kubelet.NEXT}: put"
    " the extension onto the nodes now, and give them the machine configuration once their kubelets"
    f" are of {kubelet.NEXT}."
)


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = {"extension/manifest.yaml": _manifest(), "extension/Dockerfile": _dockerfile()}
    alpha = node.is_alpha(group)
    made |= _machine(cluster, kubelet.NEXT if alpha else group.kubernetes)
    described = page.Page(
        title="Talos",
        before="Talos 1.12 or newer: earlier ones lose the token attributes. The program must be"
        " the static file: Talos has no C library for others."
        + (" `directory: true` of fleet.yaml changes nothing here." if group.directory else "")
        + (_ALPHA if alpha else ""),
        places={},
        steps=(
            page.step(
                "Build the extension (`extension/Dockerfile`, `extension/manifest.yaml`) and push"
                " it where the image factory or imager can read it. The static files lie in"
                " `extension/` as `gcp-sa-credential-provider-amd64` and `-arm64`, mode 0755:",
                "docker buildx build --platform linux/amd64,linux/arm64"
                " -t REGISTRY/gcp-sa-credential-provider:TAG --push extension",
            ),
            (
                "Make an installer image with it, and upgrade each node to that (`talosctl upgrade"
                " --image …`): an extension comes with the system, so the node restarts."
            ),
            page.step(
                "Only then the machine configuration; Talos sets the kubelet's flags itself:",
                f"talosctl -n NODE patch mc --patch @{_FIELD}       # Talos 1.12, 1.13\n"
                f"talosctl -n NODE patch mc --patch @{_DOCUMENT}    # Talos 1.14 and newer",
            ),
            (
                "Other providers in that configuration stay only if they stand in the patch as"
                " well: the list is replaced as a whole."
            ),
        ),
        restart="# none by hand: Talos restarts the kubelet when its configuration changes",
        upgrade="Give the machine configuration together with, or after, the kubelet of"
        f" {kubelet.NEXT}: `machine.kubelet.image` may stand in the same patch.",
        take_back=(
            "Remove `credentialProviderConfig` (or the document) from the machine configuration.",
            "Upgrade to an installer image without the extension.",
        ),
        keys="The issuer is the cluster's endpoint, `https://CONTROL-PLANE:6443`, unless set"
        " otherwise: the keys are uploaded, unless it is public with a public TLS chain. From 1.14"
        " on KubeServiceAccountConfig names issuer and accepted keys. Upload the old and the new"
        " keys together **before** the signing key changes.",
        sources=(
            "siderolabs/talos, #11086, #12112",
            "docs.siderolabs.com: KubeCredentialProviderConfig",
            "siderolabs/extensions container-runtime/ecr-credential-provider",
        ),
        not_verified=(
            "Neither extension nor machine configuration was given to a Talos node.",
            "The default issuer.",
        ),
        command=False,
    )
    return made | {page.README: page.text(described, cluster, group)}


def _machine(cluster: ClusterPlan, minor: str) -> dict[str, str]:
    document = kubelet.document(cluster, minor)
    older = {"machine": {"kubelet": {"credentialProviderConfig": document}}}
    newer = {
        "apiVersion": "v1alpha1",
        "kind": "KubeCredentialProviderConfig",
        "configuration": document,
    }
    why = comment(f"For kubelets of {minor} and newer; one of {kubelet.ALPHA} ends on it.")
    return {
        _FIELD: yaml_text.file(older, comments=why),
        _DOCUMENT: yaml_text.file(newer, comments=why),
    }


def _manifest() -> str:
    manifest = {
        "version": "v1alpha1",
        "metadata": {
            "name": kubelet.PLUGIN,
            "version": VERSION,
            "author": kubelet.PLUGIN,
            "description": "Kubelet image credential provider: pods pull from Google Artifact"
            " Registry with their own ServiceAccount token.",
            "compatibility": {"talos": {"version": ">= v1.12.0"}},
        },
    }
    return yaml_text.file(manifest, comments=comment("The manifest of a Talos system extension."))


def _dockerfile() -> str:
    return node.commented("A Talos system extension: the program, where Talos looks for it.") + (
        "FROM scratch\n"
        "ARG TARGETARCH\n"
        "COPY manifest.yaml /manifest.yaml\n"
        f"COPY {kubelet.PLUGIN}-$TARGETARCH /rootfs{_BIN_DIR}/{kubelet.PLUGIN}\n"
    )

"""The kubelet's CredentialProviderConfig, for one Kubernetes minor.

Imports the plan and `yaml_text`. Rules: kubernetes/kubelet config/v1/types.go and the strict
decoding and validation of kubernetes pkg/credentialprovider/plugin/config.go: 1.33 does not know
`cacheType` and ends on it, 1.34 and newer require it; in one file a name may stand once.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import comment, decisions

PLUGIN = "gcp-sa-credential-provider"
"""The entry's name, and so the program's in the kubelet's folder of providers."""
GATE = "KubeletServiceAccountTokenForCredentialProviders"
ALPHA = "1.33"
"""The minor that knows tokens for providers only behind the gate, and no cacheType."""
NEXT = "1.34"
"""From here on one file serves every minor."""

_TOPICS = ("matchImages", "cacheType")
_ANNOTATION = "GCP_SERVICE_ACCOUNT_ANNOTATION"


def entry(cluster: ClusterPlan, minor: str) -> dict[str, Any]:
    """Our provider's entry, as the kubelet of the minor ("1.34") reads it."""
    attributes: dict[str, Any] = {
        "serviceAccountTokenAudience": cluster.audience,
        "requireServiceAccount": True,
    }
    if minor != ALPHA:
        attributes["cacheType"] = cluster.cluster.cache_type
    if annotation := cluster.environment.get(_ANNOTATION):
        attributes["optionalServiceAccountAnnotationKeys"] = [annotation]
    return {
        "name": PLUGIN,
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "matchImages": list(cluster.match_images),
        # Every answer of the plugin brings its own duration; what has none is not kept.
        "defaultCacheDuration": "0s",
        "env": [{"name": name, "value": value} for name, value in cluster.environment.items()],
        "tokenAttributes": attributes,
    }


def document(
    cluster: ClusterPlan, minor: str, others: Sequence[Mapping[str, Any]] = ()
) -> dict[str, Any]:
    """The whole configuration; `others` are entries that the distribution has, kept before ours."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [*others, entry(cluster, minor)],
    }


def config(cluster: ClusterPlan, minor: str, others: Sequence[Mapping[str, Any]] = ()) -> str:
    """The same as the text of a file, with the reasons."""
    reads = (
        f"For a kubelet of {ALPHA}: it does not know cacheType, and ends at its start if it is"
        f" told. A kubelet of {NEXT} ends without it."
        if minor == ALPHA
        else f"For kubelets of {NEXT} and newer, which require cacheType."
        f" A kubelet of {ALPHA} does not know it, and ends at its start."
    )
    lines = [
        *comment(f"Cluster {cluster.cluster.name}. {reads}"),
        *decisions(cluster.decisions, *_TOPICS),
        *comment(
            "defaultCacheDuration: 0s. Every answer of the program brings its own duration; one"
            " without is not kept."
        ),
        *comment(
            "requireServiceAccount: true. Static pods are not served, and the node's own identity"
            " is never used."
        ),
        *comment("The kubelet reads this file at its start only, and a fault in it ends it."),
    ]
    return yaml_text.file(document(cluster, minor, others), comments=lines)

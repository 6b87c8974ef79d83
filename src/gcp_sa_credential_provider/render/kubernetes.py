"""What is applied to a cluster: RBAC for its nodes, annotations of its ServiceAccounts.

Imports the plan and `yaml_text`. Rules: kubernetes
plugin/pkg/admission/noderestriction/admission.go (the resource of the verb is the audience, the
name is the ServiceAccount's); for 1.33, plugin/pkg/auth/authorizer/node/node_authorizer.go (nodes
may read ServiceAccounts only behind the API server's gate).
"""

from typing import Any

from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan, Rbac
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import comment, decisions
from gcp_sa_credential_provider.render.kubelet import ALPHA, GATE

NAME = "gcp-sa-credential-provider"
FIELD_MANAGER = NAME
RBAC_NAME = f"{NAME}-tokens"
"""Not the bare name: the chart's own Role and RoleBinding have that, in a namespace whose pods (the
installer's) may pull as others do."""
VERB = "request-serviceaccounts-token-audience"

_RBAC = "rbac.authorization.k8s.io"


def apply_command(path: str) -> str:
    """How the file at `path` is applied."""
    return f"kubectl apply --server-side --field-manager={FIELD_MANAGER} -f {path}"


def files(plan: Plan) -> dict[str, str]:
    """CLUSTER/kubernetes.yaml for every cluster that has anything to apply."""
    return {
        f"{cluster.cluster.name}/kubernetes.yaml": manifests(cluster)
        for cluster in plan.clusters
        if cluster.rbac or cluster.annotations
    }


def manifests(cluster: ClusterPlan) -> str:
    """All objects of one cluster, as the text of a file."""
    objects = [one for rbac in cluster.rbac for one in _role_and_binding(cluster, rbac)]
    objects += [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "annotations": {cluster.environment["GCP_SERVICE_ACCOUNT_ANNOTATION"]: email},
            },
        }
        for (namespace, name), email in cluster.annotations.items()
    ]
    return yaml_text.file(*objects, comments=_comments(cluster))


def _comments(cluster: ClusterPlan) -> list[str]:
    lines = [
        *comment(f"Cluster {cluster.cluster.name}. Apply with:"),
        f"#   {apply_command('kubernetes.yaml')}",
        *decisions(cluster.decisions, "rbac"),
        *comment(
            "The audience stands in `resources` whole: the API server compares the text. `kubectl"
            " auth can-i` cannot test the rule, since it reads the slashes as a path."
        ),
    ]
    if cluster.node_get_service_accounts:
        lines += comment(
            f"get serviceaccounts: until {ALPHA} the API server lets nodes read ServiceAccounts"
            f" only with its own feature gate {GATE}; this rule stands in for it."
        )
    elif cluster.cluster.kubernetes == ALPHA:
        lines += comment(
            f"No rule lets nodes read ServiceAccounts: this API server is said to have the feature"
            f" gate {GATE}=true. Without it pulls end in 'Failed to get service account'."
        )
    if cluster.annotations:
        lines += comment(
            "The ServiceAccounts have nothing here but one annotation. Server-side apply with a"
            " field manager of its own touches that alone; a client-side apply would take away what"
            " an earlier client-side apply of somebody else gave (imagePullSecrets,"
            " automountServiceAccountToken). Do not delete them by this file: `kubectl delete -f`"
            " would delete the ServiceAccounts themselves."
        )
    return lines


def _role_and_binding(cluster: ClusterPlan, rbac: Rbac) -> list[dict[str, Any]]:
    prefix = "Cluster" if rbac.namespace is None else ""
    metadata = {"name": RBAC_NAME}
    if rbac.namespace is not None:
        metadata["namespace"] = rbac.namespace
    asked = [(VERB, cluster.audience)]
    if cluster.node_get_service_accounts:
        asked.append(("get", "serviceaccounts"))
    return [
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": f"{prefix}Role",
            "metadata": metadata,
            "rules": [_rule(verb, resource, rbac) for verb, resource in asked],
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": f"{prefix}RoleBinding",
            "metadata": metadata,
            "roleRef": {"apiGroup": _RBAC, "kind": f"{prefix}Role", "name": RBAC_NAME},
            "subjects": [{"apiGroup": _RBAC, "kind": "Group", "name": "system:nodes"}],
        },
    ]


def _rule(verb: str, resource: str, rbac: Rbac) -> dict[str, Any]:
    rule: dict[str, Any] = {"verbs": [verb], "apiGroups": [""], "resources": [resource]}
    if rbac.service_accounts:
        rule["resourceNames"] = list(rbac.service_accounts)
    return rule

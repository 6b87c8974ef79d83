"""The README of a whole fleet: what to do, in order, how long to wait, who may pull what and why.

Imports the plan and what the other renderers call their files. Times at Google: third-party
measurements, 2026-09-28; Google's own action for GitHub (google-github-actions/auth) says five
minutes. Pulled images that need no credential again: KEP-2535.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Sequence

from gcp_sa_credential_provider.fleet.model import NodeGroup, Puller
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan
from gcp_sa_credential_provider.render import (
    distributions,
    gcloud,
    helm,
    iam,
    kubelet,
    kubernetes,
    terraform,
)
from gcp_sa_credential_provider.render.comment import HEADER
from gcp_sa_credential_provider.version import VERSION

README = "README.md"
_CONTEXT = "CONTEXT"
_AT = f"--context={_CONTEXT}"
_CHECKOUT = "CHECKOUT"
_REGISTRY = "REGISTRY"
_POD = "pull-check"


def folder(cluster: ClusterPlan, group: NodeGroup) -> str:
    """Where a node group's files are."""
    return f"{cluster.cluster.name}/{group.name}"


def text(plan: Plan) -> str:
    """The README's Markdown."""
    clusters = "a cluster" if len(plan.clusters) == 1 else f"{len(plan.clusters)} clusters"
    return _paragraphs(
        f"<!-- {HEADER} -->",
        f"# Images from Artifact Registry for {clusters}, by {plan.fleet.google.project_id}",
        "Pods pull with the token of their own ServiceAccount, without keys and imagePullSecrets."
        " Do the four steps in this order; each may be repeated. All paths begin at this"
        " directory.",
        _google(plan),
        _clusters(plan),
        _nodes(plan),
        _check(plan),
        _members(plan),
        *map(_cluster, plan.clusters),
        "## When fleet.yaml changes",
        "Render again, and repeat the steps whose files changed; the nodes need step 3 only where"
        " a file of their group did, and what went from a group's directory has to go from its"
        " nodes as well. `gcp-sa-credential-provider render --check` tells whether this directory"
        " is what fleet.yaml says.",
        *_gone(plan),
        "`kubectl apply` takes nothing away: a Role and RoleBinding (or ClusterRole and"
        " ClusterRoleBinding) that went from `kubernetes.yaml` are to be deleted by hand, and so is"
        " the annotation of a ServiceAccount that no longer impersonates. This lists the rules:",
        _code(
            f"kubectl {_AT} get roles,rolebindings,clusterroles,clusterrolebindings"
            f" --all-namespaces --field-selector=metadata.name={kubernetes.RBAC_NAME}"
        )
        + "\n",
    )


def _gone(plan: Plan) -> Iterator[str]:
    """What is to be taken away at Google."""
    shared = plan.fleet.google.shared_pool
    there = f"--location=global --project={plan.fleet.google.project_id}"
    iam_pools = "gcloud iam workload-identity-pools"
    made = (
        ", and of the service accounts above that it makes," if iam.created_accounts(plan) else ""
    )
    others = _emails(iam.other_accounts(plan))
    yield (
        "At Google `terraform apply` takes away whatever went, pools, providers and the service"
        f" accounts that it made among it. `{gcloud.SCRIPT} --prune` takes away grants alone: those"
        f" of principals of the pools above{made} on the repositories and service accounts above."
        + (
            f" It tells of those of other service accounts ({others}), which go by hand."
            if others
            else ""
        )
        + " So before a repository goes from fleet.yaml, take it from those who may pull, render,"
        f" and run `{gcloud.SCRIPT} --prune`. A service account that nobody impersonates any more,"
        " and its grants, go by hand."
    )
    what = "provider" if shared else "pool"
    yield (
        f"The script does not see a cluster that went: until its {what} is deleted, its pods **go"
        " on pulling**"
        + (" wherever grants of theirs are left" if shared else "")
        + ". For 30 days it can be undeleted, and a new one cannot have its id:"
    )
    yield _code(
        f"{iam_pools} providers delete PROVIDER --workload-identity-pool={shared} {there}"
        if shared
        else f"{iam_pools} delete POOL {there}"
    )


def _google(plan: Plan) -> str:
    apis = ("cloudresourcemanager.googleapis.com", "serviceusage.googleapis.com")
    project = f"--project={plan.fleet.google.project_id}"
    repositories = ", ".join(f"`{one.image_prefix.rstrip('/')}`" for one in plan.repositories)
    others = _emails(iam.other_accounts(plan))
    return _paragraphs(
        "## 1. Google",
        f"Nothing of this makes repositories; they must be there: {repositories}."
        + (f" So must these service accounts: {others}." if others else ""),
        "One of two, not both. By the script, which needs bash and the Google Cloud CLI:",
        _code(f"{gcloud.SCRIPT} --dry-run", gcloud.SCRIPT),
        "Or by Terraform or OpenTofu, which need two APIs before they can begin:",
        _code(
            shlex.join(["gcloud", "services", "enable", *apis, project]),
            f"terraform -chdir={terraform.FOLDER} init",
            f"terraform -chdir={terraform.FOLDER} apply",
        ),
        "**Then wait.** A new grant works after about 70 seconds, new keys after about 5"
        " (third-party measurements, September 2026); Google's action for GitHub tells its users"
        " to wait up to 5 minutes. Until then a pull ends in 403 or in an error of the exchange,"
        " and nothing is wrong.",
    )


def _emails(accounts: Iterable[str]) -> str:
    return ", ".join(f"`{email}`" for email in accounts)


def _clusters(plan: Plan) -> str:
    commands = map(kubernetes.apply_command, kubernetes.files(plan))
    return _paragraphs(
        "## 2. Clusters",
        "The right of nodes to ask for tokens of those that may pull. The namespaces must be"
        f" there. {_CONTEXT} is the cluster's in your kubeconfig.",
        _code(*(line.replace("kubectl", f"kubectl {_AT}", 1) for line in commands)),
        *(
            f"Cluster {cluster.cluster.name} is at {cluster.cluster.kubernetes}, and fleet.yaml"
            f" says that its API server has the feature gate `{kubelet.GATE}`: see to that before"
            " the nodes."
            for cluster in plan.clusters
            if cluster.cluster.api_server_gate
        ),
    )


def _nodes(plan: Plan) -> str:
    rows = [_row(cluster, group) for cluster in plan.clusters for group in cluster.nodes]
    table = [
        "| cluster | nodes | Kubernetes | by the chart | by hand, or the distribution's means |",
        "|---|---|---|---|---|",
        *rows,
    ]
    without = [cluster.cluster.name for cluster in plan.clusters if not cluster.nodes]
    return _paragraphs(
        "## 3. Nodes",
        "Program and configuration, and the kubelet started anew: on one node first. The kubelet"
        " reads its configuration at its start only, and a fault in it ends the kubelet.",
        "\n".join(table) if rows else "",
        _bullets(f"**{place} cannot be set up**: {why}." for place, why in obstacles(plan)),
        *_charts([cluster for cluster in plan.clusters if helm.installable(cluster)]),
        f"fleet.yaml names no nodes of {', '.join(without)}: add `nodes`, and render again."
        if without
        else "",
    )


def _charts(clusters: Sequence[ClusterPlan]) -> Iterator[str]:
    """The chart's commands, one for each of these clusters."""
    if not clusters:
        return
    yield (
        f"The chart needs its image where the nodes can already pull it, and {_REGISTRY} is that"
        f" place; {_CHECKOUT} is a checkout of this project. The build takes about ten minutes the"
        f" first time (what it needs: `{_CHECKOUT}/docs/static.md`). A registry with a secret, or"
        f" none: `{_CHECKOUT}/docs/helm.md`, The image."
    )
    image = f"{kubernetes.NAME}-{VERSION}-image.tar:{VERSION}"
    yield _code(
        f"make --directory={_CHECKOUT} image",
        f"skopeo copy --all oci-archive:{_CHECKOUT}/dist/{image}"
        f" docker://{_REGISTRY}/{kubernetes.NAME}:{VERSION}",
    )
    yield (
        "The chart changes one node after the other, and stands still where a kubelet does not"
        " come up."
    )
    yield _code(*map(_chart, clusters))


def _chart(cluster: ClusterPlan) -> str:
    name = kubernetes.NAME
    words = [
        *("helm", f"--kube-context={_CONTEXT}", "upgrade", "--install", name),
        *(f"{_CHECKOUT}/deploy/helm/{name}", f"--namespace={name}", "--create-namespace"),
        f"--values={cluster.cluster.name}/{helm.VALUES}",
        f"--set=image.repository={_REGISTRY}/{name}",
    ]
    return shlex.join(words)


def obstacles(plan: Plan) -> list[tuple[str, str]]:
    """Node groups that cannot be set up: CLUSTER/GROUP, and why."""
    return [
        (folder(cluster, group), why)
        for cluster in plan.clusters
        for group in cluster.nodes
        if (why := distributions.obstacle(group))
    ]


def _row(cluster: ClusterPlan, group: NodeGroup) -> str:
    values = f"{cluster.cluster.name}/{helm.VALUES}"
    page = f"{folder(cluster, group)}/{README}"
    cells = (
        cluster.cluster.name,
        f"{group.name}, {group.distribution}",
        group.kubernetes,
        f"[{values}]({values})" if group in helm.installable(cluster) else "no",
        f"[{page}]({page})",
    )
    return f"| {' | '.join(cells)} |"


def _check(plan: Plan) -> str:
    pod = f"kubectl {_AT} --namespace=NAMESPACE"
    return _paragraphs(
        "## 4. A pull",
        "Put an image of yours in the place of IMAGE:TAG. `Always` matters: an image that is on"
        " the node already proves nothing.",
        _code("\n\n".join(_pull(plan, one) for one in plan.clusters if one.pullers)),
        "Where it does not start, let the program read why; then take the pod away:",
        _code(
            f"{pod} describe pod/{_POD} | gcp-sa-credential-provider explain -",
            f"{pod} delete pod/{_POD}",
        ),
        "`Unauthenticated request` means that no credential came to the registry: look at the"
        " kubelet's log and at `journalctl -t gcp-sa-credential-provider` on the pod's node."
        " `Permission … denied` means that the exchange worked and the grant is missing, or is"
        " not a few minutes old yet.",
        "What is taken away works on for a while. A grant: about 90 seconds. Tokens that were"
        " given out, where a provider is disabled: up to an hour. An image that is on a node"
        " already stays usable there for the ServiceAccount that pulled it.",
    )


def _pull(plan: Plan, cluster: ClusterPlan) -> str:
    puller = cluster.pullers[0]
    spec = {"spec": {"serviceAccountName": puller.service_account or "default"}}
    words = [
        *("kubectl", _AT, f"--namespace={puller.namespace or 'default'}", "run", _POD),
        f"--image={_image(plan, puller)}IMAGE:TAG",
        *("--image-pull-policy=Always", "--restart=Never"),
        f"--overrides={json.dumps(spec)}",
    ]
    return f"# {cluster.cluster.name}\n{shlex.join(words)}"


def _image(plan: Plan, puller: Puller) -> str:
    """The prefix of the first repository that an entry of `pull` names."""
    pairs = zip(plan.fleet.repositories, plan.repositories, strict=True)
    wanted = puller.repositories
    return next(made.image_prefix for one, made in pairs if wanted is None or one.name in wanted)


def _members(plan: Plan) -> str:
    return _paragraphs(
        "## Who is granted what",
        "Exactly these members, on exactly these resources. A member has the project's number,"
        " never its id, and no provider.",
        *(part for granted in iam.grants(plan) for part in _granted(granted)),
    )


def _granted(granted: iam.Members) -> tuple[str, str]:
    members = _bullets(f"`{member}`" for member in granted.members)
    if repository := granted.repository:
        name = f"projects/{repository.project}/locations/{repository.location}/repositories"
        where = f"the repository `{name}/{repository.name}`"
    else:
        where = f"the service account `{granted.account}`"
    return f"### {granted.role} on {where}", members


def _cluster(cluster: ClusterPlan) -> str:
    facts = {
        "audience": cluster.audience,
        "issuer": cluster.issuer,
        "pool": cluster.pool,
        "provider": cluster.provider,
        **{f"maps {name}": expression for name, expression in cluster.mapping.items()},
        **({"condition": cluster.condition} if cluster.condition else {}),
        **cluster.environment,
    }
    return _paragraphs(
        f"## Cluster {cluster.cluster.name}",
        _bullets(f"{name}: {_verbatim(value)}" for name, value in facts.items()),
        "Decided, and why:",
        _bullets(
            f"**{one.topic}**: {_plain(one.choice)}. {_plain(one.reason)}"
            for one in cluster.decisions
        ),
    )


def _paragraphs(*parts: str) -> str:
    return "\n\n".join(filter(None, parts))


def _bullets(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)


def _code(*commands: str) -> str:
    return "\n".join(["```sh", *commands, "```"])


def _verbatim(value: str) -> str:
    """As code, whatever is in it: the fence is longer than any run of backticks within."""
    plain = "".join(letter if letter.isprintable() else " " for letter in value)
    fence = "`"
    while fence in plain:
        fence += "`"
    room = " " if fence != "`" else ""
    return f"{fence}{room}{plain}{room}{fence}"


def _plain(words: str) -> str:
    """A text of people as Markdown shows it."""
    plain = "".join(letter if letter.isprintable() else " " for letter in words)
    for sign in "\\`*_<[":
        plain = plain.replace(sign, f"\\{sign}")
    return plain

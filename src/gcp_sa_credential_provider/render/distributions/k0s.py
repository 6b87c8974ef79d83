"""k0s: flags by --kubelet-extra-args, for k0s itself and for k0sctl.

Imports `node`, `page`. Rules: docs.k0sproject.io, `k0s install worker`; k0sproject/k0s
apiserver.go (issuer); k0sctl's README (hosts, files, installFlags).
"""

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions import node, page

PLACE = node.SYSTEMD
_UNIT = "k0sworker.service"
_K0SCTL = "k0sctl-host.yaml"
_CLUSTER = "k0s-config.yaml"


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = node.wired(cluster, group, PLACE, "k0s version")
    there = page.places(made, group, PLACE, _UNIT)
    extra = " ".join(node.flags(PLACE, group))
    steps = [
        page.step(
            "Give k0s the flags, with all that the node was installed with before:",
            f'k0s stop\nk0s install worker --force --kubelet-extra-args="{extra}" …\nk0s start',
        )
    ]
    if node.is_alpha(group):
        steps.insert(0, f"Let the script choose once: `sh {PLACE.folder}/{node.SELECT}`.")
    if cluster.cluster.api_server_gate:
        made[_CLUSTER] = _cluster()
        steps.append(
            f"On the controllers, merge `{_CLUSTER}` into k0s.yaml and restart them: the API"
            " server's own gate."
        )
    described = page.Page(
        title="k0s",
        before=f"With k0sctl, `{_K0SCTL}` has the parts of a host: files and flags."
        " Without, on each worker:",
        places=there,
        steps=tuple(steps),
        restart="systemctl daemon-reload && systemctl restart k0sworker",
        upgrade=f"k0s carries its kubelet, so `{node.SELECT}` asks `k0s version` before each start"
        f" of {_UNIT}, and copies `{node.CONFIG}` or `{node.CONFIG_NEXT}` to `{PLACE.file}`."
        " `k0s install --force` writes the unit anew; the drop-in stays.",
        take_back=(
            (
                "Install again without these flags: `k0s stop`, `k0s install worker --force …`,"
                " `k0s start`."
            ),
            f"Remove our files from `{PLACE.folder}`"
            + (" and the drop-in of the unit." if node.is_alpha(group) else "."),
            f"Remove `{there[page.PROGRAM]}`.",
        ),
        keys="The issuer is `https://kubernetes.default.svc`, which Google cannot reach: the keys"
        " are uploaded, again whenever the cluster is built anew or its `sa.key` is replaced.",
        sources=("docs.k0sproject.io: k0s install worker", "k0sproject/k0s apiserver.go"),
        not_verified=(
            "k0s and k0sctl were not run.",
            "The keys of k0sctl's file: compare with its README.",
            *(("`featureGates` of k0s.yaml.",) if cluster.cluster.api_server_gate else ()),
        ),
    )
    made[_K0SCTL] = _k0sctl(there, extra)
    return made | {page.README: page.text(described, cluster, group)}


def _k0sctl(there: dict[str, str], extra: str) -> str:
    uploads = []
    for source, target in there.items():
        folder, _, name = target.rpartition("/")
        program = source == page.PROGRAM
        uploads.append(
            {
                "name": name,
                "src": "gcp-sa-credential-provider" if program else source,
                "dstDir": folder,
                "dst": name,
                "perm": "0755" if program else "0644",
            }
        )
    host = {"installFlags": [f'--kubelet-extra-args="{extra}"'], "files": uploads}
    why = comment(
        "Parts of one entry of spec.hosts in k0sctl.yaml; the static file lies beside it as"
        " gcp-sa-credential-provider."
    )
    return yaml_text.file(host, comments=why)


def _cluster() -> str:
    gates = [{"name": node.GATE.partition("=")[0], "enabled": True}]
    return yaml_text.file(
        {"spec": {"featureGates": gates}}, comments=comment("Part of k0s.yaml, for 1.33 only.")
    )

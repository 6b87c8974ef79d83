"""Flatcar with kubeadm: the files of `systemd` in a Butane configuration.

Imports `systemd`, `node`, `page`. Rules: Butane's specification, variant flatcar 1.1.0; /usr is
read-only, /opt and /etc are not (flatcar.org).
"""

from typing import Any

from gcp_sa_credential_provider.fleet.model import NodeGroup
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import yaml_text
from gcp_sa_credential_provider.render.comment import comment
from gcp_sa_credential_provider.render.distributions import node, page, systemd

BUTANE = "butane.yaml"
_PROGRAM = "gcp-sa-credential-provider"


def files(cluster: ClusterPlan, group: NodeGroup) -> dict[str, str]:
    """The group's files by path in its folder."""
    made = systemd.files(cluster, group)
    there = page.places(made, group, systemd.PLACE, systemd.UNIT)
    described = page.Page(
        title="Flatcar",
        before=f"For new machines, `{BUTANE}` has everything: put the static file for their"
        f" processor beside it as `{_PROGRAM}`, and run `butane --files-dir . {BUTANE}`. For"
        " machines that are there already:",
        places=there,
        steps=systemd.steps(group),
        restart=systemd.RESTART,
        upgrade=systemd.upgrade(),
        take_back=systemd.take_back(there),
        keys=systemd.KEYS,
        sources=("flatcar.org: Butane, drop-in units", "flatcar/Flatcar#1193"),
        not_verified=(
            "A Flatcar machine was not started from this configuration.",
            "That kubelet.service is the one of kubeadm's packages; it is not part of Flatcar.",
        ),
    )
    made[BUTANE] = _butane(made, there)
    return made | {page.README: page.text(described, cluster, group)}


def _butane(made: dict[str, str], there: dict[str, str]) -> str:
    stored: list[dict[str, Any]] = [
        {
            "path": there[page.PROGRAM],
            "mode": 0o755,
            "contents": {"local": _PROGRAM},
        }
    ]
    stored += [
        {"path": there[name], "mode": 0o644, "contents": {"inline": text}}
        for name, text in made.items()
        if name != node.UNIT_DROP_IN
    ]
    drop_in = {"name": node.UNIT_DROP_IN, "contents": made[node.UNIT_DROP_IN]}
    document = {
        "variant": "flatcar",
        "version": "1.1.0",
        "storage": {"files": stored},
        "systemd": {"units": [{"name": systemd.UNIT, "dropins": [drop_in]}]},
    }
    why = comment("Modes are decimal here: 493 is 0755, 420 is 0644.")
    return yaml_text.file(document, comments=why)

"""Node groups that tests render: every distribution, minor and form."""

import tempfile
from functools import cache
from pathlib import Path
from typing import get_args

from gcp_sa_credential_provider.fleet.model import Distribution
from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.render import distributions
from unit import plans

DISTRIBUTIONS: tuple[Distribution, ...] = get_args(Distribution)
MINORS = ("1.33", "1.34", "1.37")
FORMS = [
    (minor, directory)
    for minor in MINORS
    for directory in (False, True)
    if not (directory and minor == "1.33")
]
"""Minor, and whether it is the directory form, which 1.33 does not have."""


@cache
def cluster(
    distribution: Distribution,
    minor: str = "1.34",
    *,
    directory: bool = False,
    gate: bool = False,
) -> ClusterPlan:
    """A cluster with one group of nodes; `gate`: its API server has the gate."""
    fleet = plans.fleet("own")
    fleet["clusters"] = fleet["clusters"][:1]
    fleet["pull"] = fleet["pull"][:2]
    fleet["clusters"][0] |= {
        "kubernetes": minor,
        "apiServerGate": gate,
        "nodes": [
            {
                "name": "workers",
                "distribution": distribution,
                "kubernetes": minor,
                "directory": directory,
                "architectures": ["amd64", "arm64"],
            }
        ],
    }
    with tempfile.TemporaryDirectory() as folder:
        return plans.plan_from(fleet, Path(folder)).clusters[0]


def files(made: ClusterPlan) -> dict[str, str]:
    """What is rendered for the group."""
    return distributions.files(made, made.nodes[0])

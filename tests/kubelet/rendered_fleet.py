"""A fleet whose cluster is this tier's: its plan, and the emulator of Google set up by the plan.

The emulator's configuration is written from the plan alone: pool, provider, mapping, condition,
keys, accounts that may be impersonated.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.demo.issuer import ISSUER
from gcp_sa_credential_provider.fleet.decide import plan_of
from gcp_sa_credential_provider.fleet.load import parse
from gcp_sa_credential_provider.fleet.model import Distribution
from gcp_sa_credential_provider.fleet.plan import Plan
from kubelet.google import NUMBER

PROJECT = "project"
JWKS = "cluster-1.jwks.json"
ACCOUNT = f"puller@{PROJECT}.iam.gserviceaccount.com"
PULLER = {"cluster": "cluster-1", "namespace": "team-a", "serviceAccount": "puller"}


def plan(
    jwks: str,
    minor: str = "1.37",
    distribution: Distribution = "k3s",
    *,
    directory: bool = False,
    pull: Iterable[Mapping[str, Any]] = (PULLER,),
    google: Mapping[str, Any] | None = None,
    **cluster: Any,
) -> Plan:
    """The plan of a description, read and checked as `render` does; `cluster`: more of its values.

    The provider is the one that `Google` has tokens for, unless `cluster` says otherwise.
    """
    nodes = [
        {
            "name": "workers",
            "distribution": distribution,
            "kubernetes": minor,
            "directory": directory,
        }
    ]
    description = {
        "version": 1,
        "google": {"projectId": PROJECT, "projectNumber": NUMBER, **(google or {})},
        "clusters": [
            {
                "name": "cluster-1",
                "issuer": ISSUER,
                "keys": "uploaded",
                "jwks": JWKS,
                "pool": "k8s-pool",
                "provider": "k8s-cluster-1",
                "kubernetes": minor,
                "nodes": nodes,
                **cluster,
            }
        ],
        "repositories": [{"name": "repository", "location": "europe-west4"}],
        "pull": list(pull),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / JWKS).write_text(jwks)
        # JSON is YAML.
        return plan_of(parse(json.dumps(description), "fleet.yaml", folder), folder)


def emulated(made: Plan) -> dict[str, Any]:
    """The emulator's configuration for the plan's only cluster."""
    (cluster,) = made.clusters
    pool = f"projects/{NUMBER}/locations/global/workloadIdentityPools/{cluster.pool}"
    provider: dict[str, Any] = {
        "name": f"{pool}/providers/{cluster.provider}",
        "oidc": {"issuerUri": cluster.issuer, "jwksJson": cluster.jwks},
        "attributeMapping": dict(cluster.mapping),
    }
    if cluster.condition is not None:
        provider["attributeCondition"] = cluster.condition
    return {
        "projects": [{"projectId": PROJECT, "projectNumber": NUMBER}],
        "workloadIdentityPools": [{"name": pool}],
        "workloadIdentityPoolProviders": [provider],
        "serviceAccounts": [
            {
                "name": f"projects/{PROJECT}/serviceAccounts/{email}",
                "email": email,
                "iamPolicy": {
                    "bindings": [
                        {"role": grant.role, "members": [grant.member]}
                        for grant in made.grants
                        if grant.account == email
                    ]
                },
            }
            for email in made.service_accounts
        ],
    }

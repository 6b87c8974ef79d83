"""Fleets that tests render, and their plans."""

import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.demo.issuer import ISSUER, Issuer
from gcp_sa_credential_provider.fleet.decide import plan_of
from gcp_sa_credential_provider.fleet.load import parse
from gcp_sa_credential_provider.fleet.model import Fleet
from gcp_sa_credential_provider.fleet.plan import Plan

PROJECT = "my-project"
NUMBER = "123456789012"
ACCOUNT = f"puller@{PROJECT}.iam.gserviceaccount.com"
FRESH = f"fresh-one@{PROJECT}.iam.gserviceaccount.com"
FOREIGN = "puller@other-project.iam.gserviceaccount.com"
EKS_ISSUER = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF"


def _uploaded(name: str, **more: Any) -> dict[str, Any]:
    nodes = [{"name": "workers", "distribution": "k3s", "kubernetes": "1.34"}]
    return {
        "name": name,
        "issuer": ISSUER,
        "keys": "uploaded",
        "jwks": f"{name}.jwks.json",
        "kubernetes": "1.34",
        "nodes": nodes,
        **more,
    }


def _fetched(name: str, **more: Any) -> dict[str, Any]:
    nodes = [{"name": "workers", "distribution": "eks", "kubernetes": "1.34"}]
    return {
        "name": name,
        "issuer": EKS_ISSUER,
        "keys": "fetched",
        "kubernetes": "1.34",
        "nodes": nodes,
        **more,
    }


_GOOGLE = {"projectId": PROJECT, "projectNumber": NUMBER}
_REPOSITORIES = [
    {"name": "images", "location": "europe"},
    {"name": "shared", "location": "us", "project": "other-project"},
]
FLEETS: dict[str, dict[str, Any]] = {
    "own": {
        "version": 1,
        "google": _GOOGLE,
        "clusters": [_uploaded("prod-eu"), _fetched("prod-aws")],
        "repositories": _REPOSITORIES,
        "pull": [
            {"cluster": "prod-eu", "namespace": "backend", "serviceAccount": "default"},
            {"cluster": "prod-eu", "namespace": "monitoring", "repositories": ["images"]},
            {"cluster": "prod-aws"},
        ],
    },
    "shared": {
        "version": 1,
        "google": {**_GOOGLE, "sharedPool": "k8s-clusters"},
        "clusters": [_uploaded("one"), _uploaded("two")],
        "repositories": _REPOSITORIES,
        "pull": [
            {"cluster": "one", "namespace": "backend", "serviceAccount": "default"},
            {"cluster": "one", "namespace": "monitoring"},
            {"cluster": "two", "repositories": ["shared"]},
        ],
    },
    "impersonation": {
        "version": 1,
        "google": _GOOGLE,
        "clusters": [_uploaded("edge", googleServiceAccount=ACCOUNT), _uploaded("lab")],
        "repositories": _REPOSITORIES[:1],
        "pull": [
            {"cluster": "edge", "namespace": "backend", "serviceAccount": "default"},
            {
                "cluster": "lab",
                "namespace": "ci",
                "serviceAccount": "runner",
                "googleServiceAccount": FRESH,
            },
            {
                "cluster": "lab",
                "namespace": "ci",
                "serviceAccount": "guest",
                "googleServiceAccount": FOREIGN,
            },
        ],
    },
    "within": {
        "version": 1,
        "google": _GOOGLE,
        "clusters": [_uploaded("one"), _uploaded("two")],
        "repositories": _REPOSITORIES,
        "pull": [
            {"cluster": "one", "namespace": "ci", "repositories": ["images"]},
            {
                "cluster": "one",
                "namespace": "ci",
                "serviceAccount": "runner",
                "repositories": ["shared"],
                "googleServiceAccount": ACCOUNT,
            },
            {"cluster": "two"},
            {
                "cluster": "two",
                "namespace": "ci",
                "serviceAccount": "runner",
                "googleServiceAccount": FRESH,
            },
        ],
    },
}


@cache
def issuer(cluster: str) -> Issuer:
    """The signer of a cluster's tokens, the same for the same name."""
    assert cluster
    return Issuer()


def fleet(name: str) -> dict[str, Any]:
    """A fleet's description, for a test to change."""
    return copy.deepcopy(FLEETS[name])


def plan_from(description: dict[str, Any], folder: Path) -> Plan:
    """The plan of a description, unchecked; the clusters' keys are put into the folder."""
    _write_keys(description, folder)
    return plan_of(Fleet.model_validate(description), folder)


def plan(name: str, folder: Path) -> Plan:
    """The plan of one of FLEETS, checked as the text of a file is (YAML takes JSON)."""
    description = fleet(name)
    _write_keys(description, folder)
    return plan_of(parse(json.dumps(description), "fleet.yaml", folder), folder)


def _write_keys(description: dict[str, Any], folder: Path) -> None:
    for cluster in description["clusters"]:
        if "jwks" in cluster:
            keys = json.dumps({"keys": [issuer(cluster["name"]).jwk]})
            (folder / cluster["jwks"]).write_text(keys)

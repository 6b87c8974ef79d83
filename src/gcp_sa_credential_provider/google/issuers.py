"""What an issuer's name tells: who runs the cluster, and whether Google can fetch its keys.

Imports the standard library. Names of issuers: AWS, EKS user guide, "Fetch signing keys to validate
OIDC tokens"; Microsoft, AKS, "Create an OpenID Connect provider"; Google, GKE, "About Workload
Identity Federation for GKE". Names that are never public: RFC 6761, RFC 6762, RFC 8375, ICANN's
`internal`, and what Kubernetes and home routers use.
"""

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

Provider = Literal["eks", "aks", "gke"]

_PRIVATE = ("local", "internal", "localhost", "test", "invalid", "lan", "localdomain", "home.arpa")


@dataclass(frozen=True)
class Managed:
    """A provider of clusters whose issuers are public."""

    provider: Provider
    title: str
    host: re.Pattern[str]
    example: str
    rotation: str
    """Why its keys are not uploaded: a clause."""


MANAGED = (
    Managed(
        "eks",
        "EKS",
        # With a dash where it has IPv6 too (EKS user guide, "Amazon EKS networking requirements
        # for VPC and subnets").
        re.compile(
            r"oidc[.-]eks\.[a-z0-9-]+\."
            r"(amazonaws\.(com|com\.cn|eu)|api\.aws|api\.amazonwebservices\.(com\.cn|eu))"
        ),
        "https://oidc.eks.REGION.amazonaws.com/id/ID",
        "EKS replaces its signing keys every 7 days",
    ),
    Managed(
        "aks",
        "AKS",
        re.compile(r"([a-z0-9-]+\.)?oic\.prod-aks\.azure\.(com|us|cn)"),
        "https://REGION.oic.prod-aks.azure.com/TENANT/ID/",
        "AKS replaces its signing keys by itself",
    ),
    Managed(
        "gke",
        "GKE",
        re.compile(r"container\.googleapis\.com"),
        "https://container.googleapis.com/v1/projects/PROJECT/locations/LOCATION/clusters/NAME",
        "GKE replaces its signing keys by itself",
    ),
)


def host(issuer: str) -> str:
    """The host of an issuer; empty where it has none."""
    try:
        return urlsplit(issuer).hostname or ""
    except ValueError:
        return ""


def managed(issuer: str) -> Managed | None:
    """Who runs the cluster of this issuer, where its name tells."""
    name = host(issuer)
    return next((one for one in MANAGED if one.host.fullmatch(name)), None)


def is_private(name: str) -> bool:
    """Whether a host cannot be reached from the internet, whoever asks."""
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        pass
    labels = name.rstrip(".").split(".")
    return (
        len(labels) == 1
        or any(name.rstrip(".").endswith(f".{suffix}") for suffix in _PRIVATE)
        # kubernetes.default.svc.CLUSTERDOMAIN, whatever the domain.
        or labels[:2] == ["kubernetes", "default"]
        or labels[-1] == "svc"
    )

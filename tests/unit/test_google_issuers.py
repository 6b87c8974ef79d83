"""What an issuer's name tells."""

import pytest

from gcp_sa_credential_provider.google.issuers import host, is_private, managed


@pytest.mark.parametrize(
    ("issuer", "provider"),
    [
        ("https://oidc.eks.eu-west-1.amazonaws.com/id/0123", "eks"),
        ("https://oidc.eks.cn-north-1.amazonaws.com.cn/id/0123", "eks"),
        ("https://oidc.eks.eu-west-1.api.aws/id/0123", "eks"),
        ("https://oidc-eks.eu-west-1.api.aws/id/0123", "eks"),
        ("https://oidc-eks.cn-north-1.api.amazonwebservices.com.cn/id/0123", "eks"),
        ("https://oidc.eks.eusc-de-east-1.amazonaws.eu/id/0123", "eks"),
        ("https://oidc-eks.eusc-de-east-1.api.amazonwebservices.eu/id/0123", "eks"),
        ("https://oidc-eks.eu-west-1.api.aws.example.com/id/0123", None),
        ("https://westeurope.oic.prod-aks.azure.com/a/b/", "aks"),
        ("https://oic.prod-aks.azure.com/a/b/", "aks"),
        ("https://container.googleapis.com/v1/projects/p/locations/l/clusters/c", "gke"),
        ("https://oidc.eks.eu-west-1.amazonaws.com.example.com/id/0123", None),
        ("https://example.com/oidc.eks.eu-west-1.amazonaws.com", None),
        ("https://kubernetes.default.svc", None),
        ("https://[::1", None),
        ("", None),
    ],
)
def test_who_runs_the_cluster(issuer: str, provider: str | None) -> None:
    """By the whole host, never by a part of it."""
    known = managed(issuer)
    assert (known and known.provider) == provider


@pytest.mark.parametrize(
    ("issuer", "private"),
    [
        ("https://kubernetes.default.svc", True),
        ("https://kubernetes.default.svc.cluster.local", True),
        ("https://kubernetes.default.svc.example.com", True),
        ("https://control-plane:6443", True),
        ("https://k3s.local", True),
        ("https://K3S.LOCAL.", True),
        ("https://k8s.corp.internal:6443/path", True),
        ("https://router.home.arpa", True),
        ("https://10.0.0.1:6443", True),
        ("https://127.0.0.1", True),
        ("https://100.64.0.1", True),
        ("https://169.254.1.1", True),
        ("https://[fd00::1]:6443", True),
        ("https://[2001:4860:4860::8888]", False),
        ("https://8.8.8.8", False),
        ("https://oidc.example.com/cluster", False),
        ("https://local.example.com", False),
        ("https://notlocal", True),
    ],
)
def test_what_google_cannot_reach(issuer: str, private: bool) -> None:  # noqa: FBT001 -- a case
    """Addresses and names that are nobody's on the internet."""
    assert is_private(host(issuer)) is private

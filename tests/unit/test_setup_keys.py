"""Whether keys are uploaded or fetched, and which of them Google takes."""

import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from joserfc.jwk import ECKey, OKPKey

from gcp_sa_credential_provider.cluster.failure import ClusterFailure
from gcp_sa_credential_provider.cluster.issuer import Issuer
from gcp_sa_credential_provider.demo.issuer import Issuer as Signer
from gcp_sa_credential_provider.fleet.model import KeySource
from gcp_sa_credential_provider.setup.keys import choose, may_be_shown, taken

EKS = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123456789ABCDEF0123456789ABCDEF"
AKS = "https://westeurope.oic.prod-aks.azure.com/tenant/id/"
HCP = "https://myaks-dns-1234.hcp.westeurope.azmk8s.io"
GKE = "https://container.googleapis.com/v1/projects/p/locations/l/clusters/c"
K3S = "https://kubernetes.default.svc.cluster.local"
PUBLIC = "https://issuer.example.com"


@pytest.mark.parametrize(
    ("issuer", "distribution", "given", "source"),
    [
        (EKS, "eks", None, "fetched"),
        (EKS, "bottlerocket", None, "fetched"),
        (AKS, "aks", None, "fetched"),
        (GKE, "gke", None, "fetched"),
        (PUBLIC, "eks", None, "fetched"),
        (K3S, "k3s", None, "uploaded"),
        (K3S, "k3s", "uploaded", "uploaded"),
        ("https://kubernetes.default.svc.my.company.com", "kubeadm", None, "uploaded"),
        ("https://10.1.2.3:6443", "talos", None, "uploaded"),
        ("https://[fd00::1]:6443", "talos", None, "uploaded"),
        ("https://api.cluster.lan", "kubeadm", None, "uploaded"),
        (PUBLIC, "kops", "uploaded", "uploaded"),
        (PUBLIC, "kops", "fetched", "fetched"),
    ],
)
def test_choice(issuer: str, distribution: str, given: KeySource | None, source: str) -> None:
    choice = choose(issuer, {distribution}, given)
    assert choice is not None
    assert choice.source == source


@pytest.mark.parametrize("issuer", [PUBLIC, "https://203.0.114.7:6443"])
def test_only_people_know(issuer: str) -> None:
    """Whether a public name is reached, and by a public certificate, cannot be seen from here."""
    assert choose(issuer, {"kubeadm"}, None) is None


@pytest.mark.parametrize(
    ("issuer", "distribution", "given", "code", "said"),
    [
        ("http://k.example.com", "kubeadm", None, 1, "it is not https, and Google takes no other"),
        ("kubernetes/serviceaccount", "kubeadm", None, 1, "it is not https"),
        (K3S, "aks", None, 1, "Fix: az aks update --enable-oidc-issuer"),
        (HCP, "aks", None, 1, "Fix: az aks update --enable-oidc-issuer"),
        (HCP, "aks", "uploaded", 1, "Google cannot fetch them from myaks-dns-1234.hcp.westeurope"),
        (K3S, "eks", None, 1, "Fix: name a cluster whose issuer is as in https://oidc.eks.REGION"),
        (EKS, "eks", "uploaded", 2, "--keys uploaded: EKS replaces its signing keys every 7 days."),
        (AKS, "aks", "uploaded", 2, "--keys uploaded: AKS replaces"),
        (GKE, "gke", "uploaded", 2, "--keys uploaded: GKE replaces"),
        (K3S, "k3s", "fetched", 2, "Google cannot reach kubernetes.default.svc.cluster.local. Fix"),
    ],
)
def test_refused(
    issuer: str, distribution: str, given: KeySource | None, code: int, said: str
) -> None:
    with pytest.raises(ClusterFailure) as caught:
        choose(issuer, {distribution}, given)
    assert said in str(caught.value)
    assert caught.value.code == code


def key(curve: ec.EllipticCurve | None) -> dict[str, Any]:
    """A public key as kube-apiserver publishes it; None: Ed25519."""
    made = (
        ECKey.import_key(ec.generate_private_key(curve).public_key())
        if curve
        else OKPKey.import_key(ed25519.Ed25519PrivateKey.generate().public_key())
    )
    return {**made.as_dict(private=False), "kid": "new", "use": "sig"}


def issuer(*keys: dict[str, Any]) -> Issuer:
    return Issuer(K3S, {"keys": list(keys)}, "/openid/v1/jwks")


@pytest.mark.parametrize("source", ["uploaded", "fetched"])
@pytest.mark.parametrize(
    "curve", [ec.SECP384R1(), ec.SECP521R1(), None], ids=["P-384", "P-521", "Ed25519"]
)
def test_an_issuer_that_google_cannot_verify(
    source: KeySource, curve: ec.EllipticCurve | None
) -> None:
    """Refused with the way out, whoever brings the keys."""
    with pytest.raises(ClusterFailure) as caught:
        taken(issuer(key(curve)), source)
    assert "it holds no key that Google takes" in str(caught.value)
    assert "Fix: sign ServiceAccount tokens with an RSA key of 2048 bits" in str(caught.value)


def test_usable_beside_unusable() -> None:
    """An issuer on its way to another key: what works is taken, the rest is named."""
    signer = Signer()
    present = json.loads(signer.jwks)["keys"][0]
    uploaded = taken(issuer(present, key(ec.SECP384R1())), "uploaded")
    assert [one["kid"] for one in uploaded.keys] == [present["kid"]]
    assert uploaded.left_out == ("kid 'new': its curve is 'P-384', and Google takes P-256",)
    fetched = taken(issuer(present, key(ec.SECP384R1())), "fetched")
    assert fetched.keys == ()
    assert len(fetched.left_out) == 1


def test_which_former_key_sets_are_shown() -> None:
    """As `setup` writes them, and nothing else: another may hold what nobody is to see."""
    text = taken(issuer(key(ec.SECP256R1()) | {"alg": "ES256"}), "uploaded").text
    assert may_be_shown(None)
    assert may_be_shown(text)
    document = json.loads(text)
    (one,) = document["keys"]
    for other in (
        {"keys": [one | {"d": "AQ"}]},
        {"keys": [one, one | {"kid": "a", "private": "AQ"}]},
        document | {"d": "AQ"},
        {"issuer": K3S},
    ):
        assert not may_be_shown(json.dumps(other, indent=2) + "\n")
    assert not may_be_shown("")
    assert not may_be_shown(text + "-----BEGIN PRIVATE KEY-----\n")


def test_more_keys_than_can_be_uploaded() -> None:
    """Eight is the limit of an upload, not of a fetch."""
    keys = [{**key(ec.SECP256R1()), "kid": str(n), "alg": "ES256"} for n in range(9)]
    with pytest.raises(
        ClusterFailure, match=r"it holds 9 keys, and Google takes 8\. Fix: take keys"
    ):
        taken(issuer(*keys), "uploaded")
    assert taken(issuer(*keys), "fetched").left_out == ()

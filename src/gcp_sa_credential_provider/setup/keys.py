"""Whether Google is given a cluster's keys, or fetches them itself; and which of them it takes.

Pure. Uploading works wherever somebody uploads again at every change of the signing key; fetching
needs an issuer that Google reaches over public TLS. So: never upload where the provider rotates
keys (EKS, AKS, GKE), always upload where the issuer is private, and ask where its name does not
tell. Rules: google.issuers, google.keys.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass

from gcp_sa_credential_provider.cluster.failure import BadInput, ClusterFailure, evidence
from gcp_sa_credential_provider.cluster.issuer import Issuer
from gcp_sa_credential_provider.fleet.model import KeySource
from gcp_sa_credential_provider.google.issuers import MANAGED, host, is_private, managed
from gcp_sa_credential_provider.google.keys import BadKeys, KeySet, usable

# Whose API server is the issuer, public name or not, until one that Google reaches is asked for.
_NO_ISSUER = {
    "aks": "az aks update --enable-oidc-issuer, which changes the issuer, then run this again",
}


@dataclass(frozen=True)
class KeyChoice:
    """Where Google gets the keys from, and why."""

    source: KeySource
    reason: str


def choose(
    issuer: str, distributions: Collection[str], given: KeySource | None
) -> KeyChoice | None:
    """What follows from the issuer and the nodes' distributions; None: only people know.

    `given` is the operator's word. Raises ClusterFailure for an issuer that Google cannot take,
    BadInput where `given` cannot work.
    """
    name = host(issuer)
    where = f"issuer {evidence(issuer)}"
    if not issuer.startswith("https://") or not name:
        raise ClusterFailure(
            where,
            "it is not https, and Google takes no other, even with uploaded keys (third-party"
            " measurements, 2026-09-28)",
            "start kube-apiserver with --service-account-issuer=https://... in front of the present"
            " one, so that old tokens stay valid",
        )
    by_name = managed(issuer)
    provider = by_name or next((one for one in MANAGED if one.provider in distributions), None)
    private = is_private(name)
    if provider and (private or (provider.provider in _NO_ISSUER and not by_name)):
        raise ClusterFailure(
            where,
            f"{provider.rotation}, so they are not uploaded, and Google cannot fetch them from"
            f" {name}",
            _NO_ISSUER.get(
                provider.provider, f"name a cluster whose issuer is as in {provider.example}"
            ),
        )
    if provider:
        if given == "uploaded":
            raise BadInput("--keys uploaded", provider.rotation, "leave it out: Google fetches")
        return KeyChoice("fetched", f"{provider.rotation}: uploaded ones would soon be wrong")
    again = "upload them again when the signing key changes"
    if private:
        if given == "fetched":
            what = f"Google cannot reach {name}"
            raise BadInput("--keys fetched", what, "leave it out: they are uploaded")
        return KeyChoice("uploaded", f"Google cannot reach {name}; {again}")
    if given == "uploaded":
        return KeyChoice(given, f"as asked for; {again}")
    if given == "fetched":
        return KeyChoice(given, f"as asked for; Google must reach {name} by public TLS")
    return None


def taken(issuer: Issuer, source: KeySource) -> KeySet:
    """Of the cluster's keys those that Google takes. Raises ClusterFailure if there are none.

    Fetched keys may be more than can be uploaded; none of them is then in the answer.
    """
    try:
        if source == "uploaded":
            return usable(json.dumps(issuer.jwks).encode())
        left_out = tuple(reason for key in issuer.jwks["keys"] for reason in _left_out(key))
        if len(left_out) == len(issuer.jwks["keys"]):
            return usable(json.dumps({"keys": issuer.jwks["keys"][:1]}).encode())
        return KeySet((), left_out)
    except BadKeys as bad:
        raise ClusterFailure(issuer.where, bad.what, bad.fix) from None


def may_be_shown(former: str | None) -> bool:
    """Whether a file with this text is a key set as it is written here, or not there.

    Any other may hold a private key.
    """
    try:
        return former is None or usable(former.encode()).text == former
    except BadKeys:
        return False


def _left_out(key: object) -> list[str]:
    try:
        usable(json.dumps({"keys": [key]}).encode())
    except BadKeys as bad:
        return [bad.what]
    return []

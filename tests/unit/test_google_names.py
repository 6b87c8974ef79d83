"""Names and members at Google."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gcp_sa_credential_provider.google import limits, names, principals
from gcp_sa_credential_provider.plugin.names import provider_name

CLUSTERS = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", fullmatch=True)
POOL = "projects/123456789012/locations/global/workloadIdentityPools/k8s-prod"


@given(CLUSTERS)
def test_an_id_is_one_that_google_takes(cluster: str) -> None:
    """Of every name of a cluster; the plugin takes the audience that it is part of."""
    made = names.federation_id(cluster)
    least, most = limits.ID_CHARACTERS
    assert re.fullmatch(f"(?!gcp-)[a-z0-9-]{{{least},{most}}}", made)
    audience = names.audience("googleapis.com", names.pool_name("1", made), made)
    assert provider_name(audience, "googleapis.com") == audience


@given(st.lists(CLUSTERS, min_size=2, max_size=2, unique=True), st.text("a-", max_size=30))
def test_ids_stay_apart(pair: list[str], middle: str) -> None:
    """Also of names that begin or end alike."""
    first, second = (f"{middle.strip('-')}{cluster}{'x' * 20}"[:63].strip("-") for cluster in pair)
    assert (names.federation_id(first) == names.federation_id(second)) == (first == second)


@pytest.mark.parametrize(
    ("cluster", "wanted"),
    [
        ("a", "k8s-a"),
        ("b" * 28, f"k8s-{'b' * 28}"),
        ("b" * 29, f"k8s-{'b' * 21}-3c7bc9"),
        (f"{'b' * 20}-{'c' * 20}", f"k8s-{'b' * 20}-c56f19"),
    ],
)
def test_long_names_are_cut(cluster: str, wanted: str) -> None:
    """At 32 characters, with a hash, never with two dashes."""
    assert names.federation_id(cluster) == wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("prod", "prod"),
        ("p" * 32, "p" * 32),
        ("p" * 33, f"{'p' * 29}..."),
        (f"{'p' * 28} and more", f"{'p' * 28}..."),
    ],
)
def test_a_display_name(text: str, wanted: str) -> None:
    """At most 32 characters."""
    assert names.display_name(text) == wanted


def test_members() -> None:
    """As Google writes them; in other universes by their own host."""
    universe = "googleapis.com"
    assert principals.service_account("a@b.c") == "serviceAccount:a@b.c"
    subject = "system:serviceaccount:backend:default"
    base = f"iam.googleapis.com/{POOL}"
    assert principals.subject(universe, POOL, subject) == f"principal://{base}/subject/{subject}"
    assert (
        principals.attribute(universe, POOL, "namespace", "backend")
        == f"principalSet://{base}/attribute.namespace/backend"
    )
    assert principals.everyone(universe, POOL) == f"principalSet://{base}/*"
    assert principals.everyone("s3nsapis.fr", POOL) == f"principalSet://iam.s3nsapis.fr/{POOL}/*"

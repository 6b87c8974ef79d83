"""response: what the kubelet gets, and for how long it may keep it."""

import json

import pytest

from gcp_sa_credential_provider.plugin.response import cache_seconds, document


@pytest.mark.parametrize(
    ("lifetime", "expected"),
    [
        (None, 0),
        (-5, 0),
        (0, 0),
        (60, 0),
        (61, 1),
        (100, 40),
        (240, 180),
        (720, 540),
        (2400, 1800),
        (3598, 2998),
        (43200, 42600),
    ],
)
def test_the_margin_is_a_quarter_between_one_and_ten_minutes(
    lifetime: int | None, expected: int
) -> None:
    """A pull of many gigabytes authenticates again in its middle."""
    assert cache_seconds(lifetime) == expected


def test_the_document() -> None:
    """Every field that the kubelet reads."""
    assert json.loads(document(["gcr.io", "x:5000"], "tok", "Registry", 7)) == {
        "kind": "CredentialProviderResponse",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "cacheKeyType": "Registry",
        "cacheDuration": "7s",
        "auth": {
            "gcr.io": {"username": "oauth2accesstoken", "password": "tok"},
            "x:5000": {"username": "oauth2accesstoken", "password": "tok"},
        },
    }

"""images: the kubelet's matching, and which patterns may be given a token."""

import pytest

from gcp_sa_credential_provider.plugin.images import (
    BadPattern,
    matches,
    parse_image,
    parse_pattern,
)
from gcp_sa_credential_provider.plugin.settings import REGISTRIES


@pytest.mark.parametrize(
    ("pattern", "image", "expected"),
    [
        ("*-docker.pkg.dev", "us-docker.pkg.dev/p/r/i", True),
        ("*-docker.pkg.dev", "us-central1-docker.pkg.dev/p/r/i", True),
        ("*.pkg.dev", "us-docker.pkg.dev/p/r/i", True),
        ("*-docker.pkg.dev", "a.us-docker.pkg.dev/p/r/i", False),
        ("*-docker.pkg.dev", "us-python.pkg.dev/p/r/i", False),
        ("*-docker.pkg.dev", "us-docker.pkg.dev.example.com/p/r/i", False),
        ("*.gcr.io", "us.gcr.io/p/i", True),
        ("*.gcr.io", "gcr.io/p/i", False),
        ("gcr.io", "gcr.io/p/i", True),
        ("gcr.io", "us.gcr.io/p/i", False),
        ("gcr.io", "GCR.io/p/i", False),
        ("us-docker.pkg.dev/p/r", "us-docker.pkg.dev/p/r/i", True),
        ("us-docker.pkg.dev/p/r", "us-docker.pkg.dev/p/r2/i", True),
        ("us-docker.pkg.dev/p/r/", "us-docker.pkg.dev/p/r2/i", False),
        ("gcr.io:443", "gcr.io/p/i", False),
        ("gcr.io", "gcr.io:443/p/i", False),
        ("gcr.io:443", "gcr.io:443/p/i", True),
        ("us-*-docker.pkg.dev", "us-east1-docker.pkg.dev/p/i", True),
        ("*us*-docker.pkg.dev", "a-us-b-docker.pkg.dev/p/i", True),
        ("*us*a*-docker.pkg.dev", "x-us-b-docker.pkg.dev/p/i", False),
        ("aa*aa.gcr.io", "aaa.gcr.io/p/i", False),
        ("localhost:5000", "localhost:5000/p/i", True),
    ],
)
def test_matching_is_the_kubelets(pattern: str, image: str, *, expected: bool) -> None:
    """The rows were measured with the kubelet's URLsMatch."""
    assert matches(parse_pattern(pattern), parse_image(image)) is expected


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("https://gcr.io", "a scheme never matches; leave it out"),
        ("gcr.io/*", "the kubelet knows no wildcard in a path; a path is a plain prefix"),
        ("*.io", "a wildcard in the last two labels matches strangers' registries"),
        ("us.gcr.*", "a wildcard in the last two labels matches strangers' registries"),
        ("*.example.com", "wildcards stand in *.pkg.dev and *.gcr.io only; name the host whole"),
        ("*.example.dev", "wildcards stand in *.pkg.dev and *.gcr.io only; name the host whole"),
        ("*.gcr.dev", "wildcards stand in *.pkg.dev and *.gcr.io only; name the host whole"),
        ("*.pkg.dev.io", "wildcards stand in *.pkg.dev and *.gcr.io only; name the host whole"),
        ("*", "a wildcard in the last two labels matches strangers' registries"),
        ("", "its host is not a host name"),
        ("gcr..io", "its host is not a host name"),
        ("us-[ab].gcr.io", "its host is not a host name"),
        ("gcr.io:x", "its port is not a number"),
        ("gcr.io:", "its port is not a number"),
        ("gcr.io/a b", "its path has a character that no repository has"),
        ("localhost", "it is not a registry's host name"),
    ],
)
def test_a_pattern_that_reaches_strangers_or_nothing_is_refused(pattern: str, reason: str) -> None:
    """GCP_REGISTRIES says who is given a Google token."""
    with pytest.raises(BadPattern) as caught:
        parse_pattern(pattern)
    assert str(caught.value) == reason


@pytest.mark.parametrize(
    "image",
    ["gcr.io", "gcr.io/", "a b.io/x", "gcr.io/x\r\n", "gcr.io#x/y", "u@gcr.io/x", "[::1]/x"],
)
def test_an_image_that_no_kubelet_sends_is_refused(image: str) -> None:
    """Host and path have the characters of a reference, nothing else."""
    with pytest.raises(BadPattern):
        parse_image(image)


def test_the_key_for_a_registry_has_its_port() -> None:
    """As the kubelet writes it."""
    assert parse_image("localhost:5000/a/b").registry == "localhost:5000"


def test_the_default_patterns_are_good() -> None:
    """What ships must pass its own check."""
    assert [parse_pattern(text).text for text in REGISTRIES.split(",")] == REGISTRIES.split(",")

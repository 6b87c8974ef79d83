"""How often the kubelet runs the plugin, counted by its own metric and by Google's side."""

import pytest

from kubelet.harness import Kubelet, Pull, ServiceAccount
from kubelet.node import ALPHA, PLUGIN, Node

IMAGE = "us-docker.pkg.dev/project/repository/app"
SAME_REPOSITORY = "us-docker.pkg.dev/project/repository/other"
OTHER_HOST = "europe-west4-docker.pkg.dev/project/repository/app"
ONCE = {PLUGIN: 1}


def execs(kubelet: Kubelet, *pulls: Pull) -> dict[str, int]:
    """Pull, insist that every pull got a credential, and say how often the plugin was run."""
    pulled = kubelet.pull(*pulls)
    assert all(len(found) == 1 for found in pulled.credentials), pulled.errors
    return pulled.execs


def test_same_pod_and_other_pod_of_the_account(node: Node) -> None:
    """The cache belongs to the ServiceAccount: neither pull nor pod makes another exec."""
    kubelet = node.start()
    token = node.google.token
    assert execs(kubelet, Pull(image=IMAGE, token=token())) == ONCE
    assert execs(kubelet, Pull(image=IMAGE, token=token())) == {}
    assert execs(kubelet, Pull(image=IMAGE, token=token(), pod="pod-2")) == {}
    assert node.google.exchanges() == 1


def test_other_service_account(node: Node) -> None:
    """Another ServiceAccount never gets what was cached for the first."""
    other = ServiceAccount(name="other", uid="5e7a1c0e-0000-4000-8000-000000000002")
    kubelet = node.start(accounts=[ServiceAccount(), other])
    first = kubelet.pull(Pull(image=IMAGE, token=node.google.token())).credential
    theirs = node.google.token(service_account="other")
    pull = Pull(image=IMAGE, token=theirs, service_account="other", pod="pod-2")
    pulled = kubelet.pull(pull)
    assert pulled.execs == ONCE
    assert pulled.credential.password != first.password
    assert node.google.principal(pulled.credential.password).endswith("team-a:other")


def test_recreated_service_account(node: Node) -> None:
    """A ServiceAccount of the same name and another UID is another one."""
    kubelet = node.start()
    pull = Pull(image=IMAGE, token=node.google.token())
    assert execs(kubelet, pull) == ONCE
    kubelet.service_accounts(ServiceAccount(uid="5e7a1c0e-0000-4000-8000-00000000000f"))
    assert execs(kubelet, pull) == ONCE


@pytest.mark.parametrize(
    ("cache_key_type", "same_repository", "other_host"),
    [("Global", {}, {}), ("Registry", {}, ONCE), ("Image", ONCE, ONCE)],
)
def test_cache_key_type(
    node: Node,
    cache_key_type: str,
    same_repository: dict[str, int],
    other_host: dict[str, int],
) -> None:
    """GCP_CACHE_KEY_TYPE decides which other images one answer serves."""
    kubelet = node.start(node.provider(env={"GCP_CACHE_KEY_TYPE": cache_key_type}))
    token = node.google.token()
    assert execs(kubelet, Pull(image=IMAGE, token=token)) == ONCE
    assert execs(kubelet, Pull(image=IMAGE, token=token)) == {}
    assert execs(kubelet, Pull(image=SAME_REPOSITORY, token=token)) == same_repository
    assert execs(kubelet, Pull(image=OTHER_HOST, token=token)) == other_host


def test_cache_type_token(node: Node) -> None:
    """With cacheType Token (from 1.34 on) an answer serves the very token it was given for."""
    kubelet = node.start(node.provider(cache_type="Token"))
    token = node.google.token()
    assert execs(kubelet, Pull(image=IMAGE, token=token)) == ONCE
    assert execs(kubelet, Pull(image=OTHER_HOST, token=token)) == {}
    another = execs(kubelet, Pull(image=IMAGE, token=node.google.token()))
    assert another == ({} if node.minor == ALPHA else ONCE)


def test_eight_pulls_at_once_with_one_token(node: Node) -> None:
    """Equal pulls that start together share one exec."""
    kubelet = node.start()
    pulls = [Pull(image=IMAGE, token=node.google.token())] * 8
    assert execs(kubelet, *pulls) == ONCE
    assert node.google.exchanges() == 1


def test_eight_pulls_at_once_with_eight_tokens(node: Node) -> None:
    """Pods that start together on a fresh node have a token each, and each its exec."""
    kubelet = node.start(node.provider(cache_type="Token"))
    pods = [f"pod-{n}" for n in range(8)]
    pulls = [Pull(image=IMAGE, token=node.google.token(), pod=p) for p in pods]
    assert execs(kubelet, *pulls) == {PLUGIN: 8}
    assert node.google.exchanges() == 8


def test_runs_again_before_the_token_ends(node: Node) -> None:
    """The answer is kept until ten minutes before the access token ends, and no longer."""
    kubelet = node.start()
    pull = Pull(image=IMAGE, token=node.google.token())
    assert execs(kubelet, pull) == ONCE
    kept = node.google.lifetime(kubelet.pull(pull).credential.password) - 600
    kubelet.advance(kept - 30)
    assert execs(kubelet, pull) == {}
    kubelet.advance(40)
    assert execs(kubelet, pull) == ONCE
    assert node.google.exchanges() == 2


def test_short_lived_token_is_never_cached(node: Node) -> None:
    """A token with less than a minute left is answered with cacheDuration 0s."""
    kubelet = node.start()
    pull = Pull(image=IMAGE, token=node.google.token(seconds=50))
    assert execs(kubelet, pull) == ONCE
    assert execs(kubelet, pull) == ONCE


def test_failure_is_not_cached(node: Node) -> None:
    """Every pull tries anew while Google refuses, and succeeds once it no longer does."""
    kubelet = node.start()
    pull = Pull(image=IMAGE, token=node.google.token())
    refused = node.google.refuse()
    for _ in range(2):
        pulled = kubelet.pull(pull)
        assert pulled.credentials == [[]]
        assert pulled.execs == pulled.exec_errors == ONCE
    node.google.accept_again(refused)
    assert execs(kubelet, pull) == ONCE

"""What the kubelet hands to the container runtime, image by image."""

import pytest

from kubelet.harness import Pull, ServiceAccount
from kubelet.node import MATCH_IMAGES, PLUGIN, Node

GOOGLE_IMAGES = (
    "us-docker.pkg.dev/project/repository/app",
    "europe-west4-docker.pkg.dev/project/repository/team/app",
    "gcr.io/project/app",
    "us.gcr.io/project/app",
    "eu.gcr.io/project/app",
    "asia.gcr.io/project/app",
)
OTHER_IMAGES = (
    "ghcr.io/owner/app",
    "docker.io/library/nginx",
    "registry.example.com/app",
    "mirror.gcr.io/library/nginx",
    "us-docker.pkg.dev.example.com/project/app",
    "us-docker.pkg.dev:443/project/repository/app",
)


@pytest.mark.parametrize("image", GOOGLE_IMAGES)
def test_google_images_get_googles_token(node: Node, image: str) -> None:
    """An image of the default patterns is pulled with the token that STS gave for the pod."""
    pulled = node.start().pull(Pull(image=image, token=node.google.token()))
    assert pulled.credential.username == "oauth2accesstoken"
    assert node.google.principal(pulled.credential.password).endswith(
        "/subject/system:serviceaccount:team-a:puller"
    )
    assert pulled.execs == {PLUGIN: 1}
    assert pulled.errors == []
    assert node.google.exchanges() == 1


def test_other_images_get_nothing(node: Node) -> None:
    """The kubelet does not even run the plugin for images of other registries."""
    kubelet = node.start()
    pulled = kubelet.pull(*(Pull(image=i, token=node.google.token()) for i in OTHER_IMAGES))
    assert pulled.credentials == [[] for _ in OTHER_IMAGES]
    assert pulled.execs == {}
    assert pulled.token_requests == []


def test_one_answer_serves_every_google_host(node: Node) -> None:
    """The keys of `auth` are patterns that the kubelet's keyring matches with all our hosts."""
    kubelet = node.start()
    token = node.google.token()
    first = kubelet.pull(Pull(image=GOOGLE_IMAGES[0], token=token)).credential
    pulled = kubelet.pull(*(Pull(image=i, token=token) for i in GOOGLE_IMAGES))
    assert pulled.credentials == [[first] for _ in GOOGLE_IMAGES]
    assert pulled.execs == {}


def test_the_pods_token_has_the_audience_and_is_bound_to_the_pod(node: Node) -> None:
    """The kubelet asks for one audience, GCP_AUDIENCE, and binds the token to the pod."""
    pulled = node.start().pull(Pull(image=GOOGLE_IMAGES[0], token=node.google.token()))
    (request,) = pulled.token_requests
    assert request["spec"]["audiences"] == [node.google.audience]
    assert request["spec"]["boundObjectRef"] == {
        "apiVersion": "v1",
        "kind": "Pod",
        "name": "pod-1",
        "uid": "uid-of-pod-1",
    }


def test_pulled_images_are_recorded_for_the_service_account(node: Node) -> None:
    """From 1.35 on the kubelet remembers for whom it pulled; before, it keeps no source."""
    pulled = node.start().pull(Pull(image=GOOGLE_IMAGES[0], token=node.google.token()))
    account = ServiceAccount()
    known = {"UID": account.uid, "Namespace": account.namespace, "Name": account.name}
    expected = None if node.minor in {"1.33", "1.34"} else {"Secret": None, "ServiceAccount": known}
    assert pulled.credential.source == expected


def test_without_service_account_nothing_is_run(node: Node) -> None:
    """A static pod has no ServiceAccount: with requireServiceAccount it is passed over."""
    pulled = node.start().pull(Pull(image=GOOGLE_IMAGES[0], service_account=""))
    assert pulled.credentials == [[]]
    assert pulled.execs == {}
    assert pulled.token_requests == []


def test_missing_required_annotation_runs_nothing(node: Node) -> None:
    """A ServiceAccount without the annotation has not opted in."""
    kubelet = node.start(node.provider(required_annotations=["example.com/pull"]))
    pulled = kubelet.pull(Pull(image=GOOGLE_IMAGES[0], token=node.google.token()))
    assert pulled.credentials == [[]]
    assert pulled.execs == {}
    assert pulled.token_requests == []


def test_annotation_chooses_the_google_service_account(node: Node) -> None:
    """The kubelet passes the annotation on, and the plugin impersonates the account it names."""
    key = "gcp-sa-credential-provider/service-account"
    provider = node.provider(
        optional_annotations=[key], env={"GCP_SERVICE_ACCOUNT_ANNOTATION": key}
    )
    annotated = ServiceAccount(annotations={key: node.google.account})
    plain = ServiceAccount(name="plain", uid="5e7a1c0e-0000-4000-8000-000000000002")
    kubelet = node.start(provider, accounts=[annotated, plain])
    pulled = kubelet.pull(
        Pull(image=GOOGLE_IMAGES[0], token=node.google.token()),
        Pull(
            image=GOOGLE_IMAGES[0],
            token=node.google.token(service_account="plain"),
            pod="pod-2",
            service_account="plain",
        ),
    )
    assert pulled.errors == []
    ((impersonated,), (direct,)) = pulled.credentials
    assert node.google.principal(impersonated.password) == f"serviceAccount:{node.google.account}"
    assert node.google.principal(direct.password).endswith("team-a:plain")
    assert node.google.impersonations() == 1


def test_two_providers_both_answer(node: Node) -> None:
    """Two providers that match one image are both run, and both credentials are offered."""
    second = f"{PLUGIN}-{node.google.second_provider}"
    node.install(node.bin_dir / PLUGIN, second)
    audience = node.google.second_audience
    kubelet = node.start(
        node.provider(), node.provider(name=second, env={"GCP_AUDIENCE": audience})
    )
    token = node.google.token(audiences=[node.google.audience, audience])
    pulled = kubelet.pull(Pull(image=GOOGLE_IMAGES[0], token=token))
    assert pulled.execs == {PLUGIN: 1, second: 1}
    ((first, other),) = pulled.credentials
    assert {first.username, other.username} == {"oauth2accesstoken"}
    assert first.password != other.password
    assert node.google.exchanges() == 2


def test_match_images_beyond_the_registries_get_no_token(node: Node) -> None:
    """An over-broad matchImages does not hand a Google token to a stranger.

    The plugin refuses the image; once an answer is cached, the kubelet no longer asks, and the
    answer has no key for the image.
    """
    kubelet = node.start(node.provider(match_images=[*MATCH_IMAGES, "registry.example.com"]))
    stranger = Pull(image="registry.example.com/app", token=node.google.token())
    before = kubelet.pull(stranger)
    assert before.credentials == [[]]
    assert before.exec_errors == {PLUGIN: 1}
    assert node.google.exchanges() == 0

    assert kubelet.pull(Pull(image=GOOGLE_IMAGES[0], token=stranger.token)).credential
    after = kubelet.pull(stranger)
    assert after.credentials == [[]]
    assert after.execs == {}

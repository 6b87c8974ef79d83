"""Who passes the condition, and as whom: judged by Google's own CEL library, for any fleet."""

import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcp_sa_credential_provider.emulator.cel import Expression
from gcp_sa_credential_provider.fleet.decide import plan_of
from gcp_sa_credential_provider.fleet.fence import TooMany, fence_of
from gcp_sa_credential_provider.fleet.model import Fleet, Puller
from gcp_sa_credential_provider.fleet.plan import Plan
from gcp_sa_credential_provider.google.limits import CONDITION_CHARACTERS, SUBJECT_BYTES
from gcp_sa_credential_provider.google.mapping import own_pool, shared_pool

# Few and alike, so that entries meet, and neighbours' names begin alike.
NAMES = ["default", "web", "web-2", "we", "b", "a.b", "in"]
NAMESPACES = [name for name in NAMES if "." not in name]
PULLERS = st.builds(
    lambda namespace, account: Puller(
        cluster="prod", namespace=namespace, service_account=account if namespace else None
    ),
    st.none() | st.sampled_from(NAMESPACES),
    st.none() | st.sampled_from(NAMES),
)


def claims(namespace: str, account: str, *, bound: bool = True) -> dict[str, Any]:
    """A token's, as kube-apiserver writes them; `bound`: to a pod."""
    pod = {"pod": {"name": "pod-1", "uid": str(uuid.UUID(int=1))}} if bound else {}
    return {
        "iss": "https://kubernetes.default.svc",
        "sub": f"system:serviceaccount:{namespace}:{account}",
        "kubernetes.io": {
            "namespace": namespace,
            "serviceaccount": {"name": account, "uid": str(uuid.UUID(int=2))},
            **pod,
        },
    }


def passes(condition: str | None, namespace: str, account: str) -> bool:
    """Whether Google lets that ServiceAccount in."""
    if condition is None:
        return True
    expression = Expression(condition)
    assert expression.may_be("BOOL")
    return expression.evaluate({"assertion": claims(namespace, account)}) is True


def may_pull(pullers: Iterable[Puller], namespace: str, account: str) -> bool:
    """Whether an entry is about that ServiceAccount."""
    return any(
        puller.namespace in (None, namespace) and puller.service_account in (None, account)
        for puller in pullers
    )


@given(st.lists(PULLERS, min_size=1, max_size=8))
@settings(deadline=None)
def test_exactly_those_that_may_pull_pass(pullers: list[Puller]) -> None:
    """For every ServiceAccount of the cluster, in both directions."""
    condition = fence_of(pullers).condition
    for namespace in NAMESPACES:
        for account in NAMES:
            passed = passes(condition, namespace, account)
            assert passed == may_pull(pullers, namespace, account), (condition, namespace, account)


@given(st.lists(st.integers(0, 300), min_size=1, max_size=300, unique=True))
@settings(deadline=None, max_examples=30)
def test_a_condition_is_never_too_long(numbers: list[int]) -> None:
    """By ServiceAccount while it fits, then by their namespaces; nobody who may pull is refused."""
    pullers = [
        Puller(cluster="prod", namespace=f"team-{number % 3}", service_account=f"puller-{number}")
        for number in numbers
    ]
    condition = fence_of(pullers).condition
    assert condition is not None
    assert len(condition) <= CONDITION_CHARACTERS
    assert all(passes(condition, p.namespace or "", p.service_account or "") for p in pullers)
    assert not passes(condition, "kube-system", "default")
    exact = len(numbers) <= 80
    inside = f"team-{numbers[0] % 3}"
    assert not (exact and passes(condition, inside, "stranger"))


def test_the_longest_condition() -> None:
    """4096 characters are taken, one more is by namespace; too many of these are refused."""

    def accounts(last: int) -> list[Puller]:
        names = [*(f"{number:04}" for number in range(120)), "x" * last]
        return [Puller(cluster="prod", namespace="ns", service_account=one) for one in names]

    room = CONDITION_CHARACTERS - len(fence_of(accounts(1)).condition or "") + 1
    longest, longer = fence_of(accounts(room)), fence_of(accounts(room + 1))
    assert len(longest.condition or "") == CONDITION_CHARACTERS
    assert longest.choice == "those that may pull"
    assert longer.condition == "assertion['kubernetes.io']['namespace'] in ['ns']"
    with pytest.raises(TooMany, match=r"^400 namespaces make \d+ characters$"):
        fence_of([Puller(cluster="prod", namespace=f"namespace-{n}") for n in range(400)])


def plan(pullers: list[Puller], *, shared: bool, pod: bool) -> Plan:
    """The plan of one cluster whose keys are fetched."""
    cluster = {
        "name": "prod",
        "issuer": "https://oidc.example.com",
        "keys": "fetched",
        "kubernetes": "1.36",
        "cacheType": "Token",
        "mapPod": pod,
    }
    google = {"projectId": "my-project", "projectNumber": "1"}
    description = {
        "version": 1,
        "google": google | ({"sharedPool": "clusters"} if shared else {}),
        "clusters": [cluster],
        "repositories": [{"name": "images", "location": "europe"}],
        "pull": [one.model_dump(by_alias=True, exclude_none=True) for one in pullers],
    }
    return plan_of(Fleet.model_validate(description), Path("nowhere"))


def principals(mapping: Mapping[str, str], token: Mapping[str, Any], pool: str) -> set[str]:
    """All names that Google has for the bearer of a token (Google: principal identifiers)."""
    values = {
        target: Expression(source).evaluate({"assertion": token})
        for target, source in mapping.items()
    }
    subject = values.pop("google.subject")
    assert len(subject.encode()) <= SUBJECT_BYTES
    path = f"iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/{pool}"
    return {
        f"principal://{path}/subject/{subject}",
        f"principalSet://{path}/*",
        *(f"principalSet://{path}/{target}/{value}" for target, value in values.items()),
    }


@given(st.lists(PULLERS, min_size=1, max_size=5), st.booleans(), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=50)
def test_exactly_those_that_may_pull_are_granted(
    pullers: list[Puller],
    shared: bool,  # noqa: FBT001 -- hypothesis passes by position
    pod: bool,  # noqa: FBT001 -- as above
    bound: bool,  # noqa: FBT001 -- as above
) -> None:
    """The mapping of a token gives a name that is granted, or none of its names is."""
    made = plan(pullers, shared=shared, pod=pod)
    [cluster] = made.clusters
    granted = {grant.member for grant in made.grants}
    for namespace in NAMESPACES:
        for account in NAMES:
            token = claims(namespace, account, bound=bound)
            names = principals(cluster.mapping, token, cluster.pool)
            reads = not granted.isdisjoint(names)
            assert reads == may_pull(pullers, namespace, account), (granted, names)


def test_another_cluster_of_the_pool_is_granted_nothing() -> None:
    """The same issuer and the same subjects: only the mapping's prefix tells them apart."""
    everything = [
        Puller(cluster="prod"),
        Puller(cluster="prod", namespace="web"),
        Puller(cluster="prod", namespace="web", service_account="default"),
    ]
    granted = {grant.member for grant in plan(everything, shared=True, pod=True).grants}
    assert len(granted) == 3
    other = shared_pool("prod-2", pod=True)
    assert granted.isdisjoint(principals(other, claims("web", "default"), "clusters"))
    assert granted <= principals(
        shared_pool("prod", pod=True), claims("web", "default"), "clusters"
    )


def test_a_token_without_kubernetes_claims() -> None:
    """The guards hold: what is not there is empty."""
    token = claims("web", "default", bound=False)
    del token["kubernetes.io"]["namespace"]
    for target in ("attribute.namespace", "attribute.pod"):
        assert Expression(own_pool(pod=True)[target]).evaluate({"assertion": token}) == ""

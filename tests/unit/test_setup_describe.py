"""A cluster's entry: what is taken anew, what people wrote stays, how node groups are named."""

import pytest

from gcp_sa_credential_provider.cluster.distributions import Detected
from gcp_sa_credential_provider.cluster.failure import ClusterFailure
from gcp_sa_credential_provider.cluster.issuer import Issuer
from gcp_sa_credential_provider.cluster.nodes import Group, LeftOut
from gcp_sa_credential_provider.cluster.observe import Observed
from gcp_sa_credential_provider.fleet.model import Cluster, NodeGroup
from gcp_sa_credential_provider.setup.describe import Entry, check, entry
from gcp_sa_credential_provider.setup.keys import KeyChoice

ISSUER = Issuer("https://kubernetes.default.svc", {"keys": []}, "somewhere")
UPLOADED, FETCHED = KeyChoice("uploaded", "private"), KeyChoice("fetched", "rotated")


def group(distribution: str, minor: str, architecture: str = "amd64") -> Group:
    detected = Detected(distribution, "a sign", "a source: of it")
    return Group(detected, minor, architecture, ("containerd",), 1)


def described(*groups: Group, previous: Cluster | None = None, keys: KeyChoice = UPLOADED) -> Entry:
    observed = Observed(ISSUER, "1.34", groups)
    return entry("east", observed, "1.34", keys, previous, None, None)


def before(*nodes: NodeGroup, **fields: object) -> Cluster:
    """An entry as it was."""
    said = {"name": "east", "issuer": "https://old", "keys": "uploaded", "kubernetes": "1.33"}
    return Cluster.model_validate(said | {"nodes": nodes} | fields)


def named(entry: Entry) -> list[tuple[str, str, str]]:
    return [(one.name, one.distribution, one.kubernetes) for one in entry.cluster.nodes]


def test_one_group_has_a_plain_name() -> None:
    """Architectures are together: only the program differs."""
    made = described(group("k3s", "1.34", "arm64"), group("k3s", "1.34"))
    assert named(made) == [("nodes", "k3s", "1.34")]
    assert made.cluster.nodes[0].architectures == ("amd64", "arm64")
    assert made.node_comments == {"nodes": "a sign (a source: of it)"}


def test_several_groups_are_named_by_what_they_are() -> None:
    made = described(group("k3s", "1.34"), group("k3s", "1.33"), group("talos", "1.34"))
    assert [name for name, _, _ in named(made)] == ["k3s-1-34", "k3s-1-33", "talos-1-34"]


def test_names_of_groups_stay() -> None:
    """So does `directory`: it is an operator's choice."""
    old = NodeGroup(name="big", distribution="k3s", kubernetes="1.34", directory=True)
    made = described(group("k3s", "1.34"), group("talos", "1.34"), previous=before(old))
    assert named(made) == [("big", "k3s", "1.34"), ("talos-1-34", "talos", "1.34")]
    assert [one.directory for one in made.cluster.nodes] == [True, False]


def test_an_upgraded_group_stays_itself() -> None:
    """All nodes of a distribution have a new minor: no new folder of files for them."""
    old = NodeGroup(name="big", distribution="k3s", kubernetes="1.33")
    made = described(group("k3s", "1.34"), previous=before(old))
    assert named(made) == [("big", "k3s", "1.34")]


def test_half_an_upgrade_is_two_groups() -> None:
    old = NodeGroup(name="big", distribution="k3s", kubernetes="1.33")
    made = described(group("k3s", "1.34"), group("k3s", "1.33"), previous=before(old))
    assert named(made) == [("k3s-1-34", "k3s", "1.34"), ("big", "k3s", "1.33")]


def test_unread_nodes_stay() -> None:
    old = NodeGroup(name="big", distribution="k3s", kubernetes="1.33")
    assert described(previous=before(old)).cluster.nodes == (old,)


def test_what_people_wrote_stays() -> None:
    """Ids, cacheType and the place of the keys; issuer and version are the cluster's own."""
    old = before(pool="old-pool", cache_type="Token", map_pod=True, jwks="keys/east.json")
    made = described(previous=old).cluster
    assert (made.issuer, made.kubernetes) == ("https://kubernetes.default.svc", "1.34")
    assert (made.pool, made.cache_type, made.map_pod, made.jwks) == (
        "old-pool",
        "Token",
        True,
        "keys/east.json",
    )


def test_fetched_keys_have_no_file() -> None:
    made = described(previous=before(jwks="east.jwks.json"), keys=FETCHED)
    assert (made.cluster.keys, made.cluster.jwks) == ("fetched", None)
    assert made.comments["keys"] == "rotated"


def test_what_is_left_out_is_said() -> None:
    """Without numbers: these would change the file at every run."""
    left_out = (LeftOut("windows: the plugin runs on Linux", 3),)
    observed = Observed(ISSUER, "1.34", (group("k3s", "1.34"),), left_out)
    made = entry("east", observed, "1.34", UPLOADED, None, "Token", "a@b.iam.gserviceaccount.com")
    assert made.comments["kubernetes"] == "nodes left out: windows: the plugin runs on Linux"
    assert made.cluster.google_service_account == "a@b.iam.gserviceaccount.com"
    assert made.cluster.cache_type == "Token"


@pytest.mark.parametrize(
    ("groups", "minor", "said"),
    [
        ((), "1.32", "Kubernetes 1.32: kubelets can ask for tokens for image pulls from 1.33 on"),
        ((), None, "nodes: none of them can be set up (windows). Fix: name another cluster"),
    ],
)
def test_nothing_to_set_up(groups: tuple[Group, ...], minor: str | None, said: str) -> None:
    observed = Observed(ISSUER, minor, groups, (LeftOut("windows", 3),))
    with pytest.raises(ClusterFailure) as caught:
        check(observed, minor)
    assert str(caught.value).startswith(said)

"""fleet.yaml after a set-up: what is added, and that all else stays as people wrote it."""

from gcp_sa_credential_provider.fleet.load import parse
from gcp_sa_credential_provider.fleet.model import Cluster, Google, NodeGroup, Puller, Repository
from gcp_sa_credential_provider.setup.describe import Entry
from gcp_sa_credential_provider.setup.fleetfile import Draft, compose

FILE = "fleet.yaml"
PRESENT = """\
# Kept by the platform team.
version: 1
google: {projectId: my-project, projectNumber: "123456789012"}
clusters:
    # the first one
    - name: west
      issuer: https://kubernetes.default.svc
      keys: uploaded # since 2026
      # never change this
      pool: old-pool-name
      jwks: keys/west.json
      kubernetes: '1.33'   # until summer
      # groups
      nodes:
          - name: small # arm
            distribution: k3s
            kubernetes: '1.33'
          - {name: big, distribution: k3s, kubernetes: '1.33'}
repositories: [{name: images, location: europe}]
# who
pull:
    - {cluster: west, namespace: backend} # all of it
"""


def entry(name: str, minor: str = "1.34", **more: object) -> Entry:
    nodes = (NodeGroup(name="small", distribution="k3s", kubernetes=minor),)
    fields = {
        "name": name,
        "issuer": "https://kubernetes.default.svc",
        "keys": "uploaded",
        "jwks": f"{name}.jwks.json",
        "kubernetes": minor,
        "nodes": nodes,
    }
    comments = {"keys": "because of KEYS", "kubernetes": "because of VERSION"}
    return Entry(Cluster.model_validate(fields | more), comments, {"small": "because of NODES"})


def test_a_new_file() -> None:
    """It describes what was said, with the reasons; numbers in quotes."""
    google = Google(project_id="my-project", project_number="123456789012")
    repository = Repository(name="images", location="europe")
    puller = Puller(cluster="east", namespace="backend", service_account="default")
    text = compose(None, Draft(entry("east"), google, (repository,), (puller,)))
    fleet = parse(text, FILE, None)
    assert (fleet.google, fleet.clusters) == (google, (entry("east").cluster,))
    assert (fleet.repositories, fleet.pull) == ((repository,), (puller,))
    for line in (
        "# Every cluster has a pool of its own (no sharedPool)",
        '  projectNumber: "123456789012"',
        "    keys: uploaded  # because of KEYS",
        '    kubernetes: "1.34"  # because of VERSION',
        "        distribution: k3s  # because of NODES",
    ):
        assert line in text


def test_nothing_new_changes_nothing() -> None:
    """Byte for byte, odd indents, quotes and braces included."""
    cluster = parse(PRESENT, FILE, None).clusters[0]
    same = Entry(cluster, {"keys": "other words"}, {"small": "other words", "big": "other words"})
    assert compose(PRESENT, Draft(same, None, (), ())) == PRESENT


def test_another_cluster_is_added() -> None:
    """At the end of the list; every line that was there is still there, in its order."""
    puller = Puller(cluster="east", namespace="frontend")
    text = compose(PRESENT, Draft(entry("east"), None, (), (puller,)))
    fleet = parse(text, FILE, None)
    before = parse(PRESENT, FILE, None)
    assert fleet.clusters == (*before.clusters, entry("east").cluster)
    assert fleet.pull == (*before.pull, puller)
    rest = iter(text.splitlines())
    assert all(line in rest for line in PRESENT.splitlines())


def test_a_cluster_is_read_again() -> None:
    """What changed has its new reason; comments and fields of people's own stay."""
    again = entry("west", pool="old-pool-name", jwks="keys/west.json")
    text = compose(PRESENT, Draft(again, None, (), ()))
    assert parse(text, FILE, None).clusters == (again.cluster,)
    for line in (
        "    # the first one",
        "      keys: uploaded # since 2026",
        "      # never change this",
        "      # groups",
        "          - name: small # arm",
        "# who",
    ):
        assert line in text.splitlines()
    assert "because of KEYS" not in text
    assert '      kubernetes: "1.34"   # because of VERSION' in text.splitlines()
    assert "big" not in text


def test_braces_take_no_comment() -> None:
    """A comment inside of them would swallow the rest of the line."""
    flow = PRESENT.replace("\n          - name: small # arm", "").replace(
        "\n            distribution: k3s\n            kubernetes: '1.33'", ""
    )
    wanted = entry("west", pool="old-pool-name", jwks="keys/west.json", kubernetes="1.33")
    nodes = (NodeGroup(name="big", distribution="rke2", kubernetes="1.33"),)
    changed = Entry(wanted.cluster.model_copy(update={"nodes": nodes}), {}, {"big": "reason"})
    text = compose(flow, Draft(changed, None, (), ()))
    assert "          - {name: big, distribution: rke2, kubernetes: '1.33'}" in text.splitlines()
    assert parse(text, FILE, None).clusters == (changed.cluster,)


def test_variables_of_the_site_stay_as_written() -> None:
    """With their comments, and numbers without quotes."""
    site = """\
      environment: # the site's
        GCP_TIMEOUT: 20 # a slow line
"""
    present = PRESENT.replace("      # groups\n", site + "      # groups\n")
    previous = parse(present, FILE, None).clusters[0]
    assert previous.environment.timeout == "20"
    again = Entry(previous.model_copy(update={"kubernetes": "1.34"}), {}, {})
    assert site in compose(present, Draft(again, None, (), ()))


def test_repositories_of_entries_that_are_there() -> None:
    """Comments stay where people put them, in braces and below the last value too."""
    present = (
        PRESENT
        + """\
    - cluster: west # half of it
      namespace: frontend
      # from here on: the shop

    - cluster: west
      namespace: shop # all of it
      # and nothing else
    - cluster: west
      namespace: base
      repositories: [images] # so far
"""
    )
    more = {0: ("images",), 1: ("images",), 2: ("images", "base"), 3: ("base",)}
    base = Repository(name="base", location="us")
    cluster = parse(present, FILE, None).clusters[0]
    text = compose(present, Draft(Entry(cluster, {}, {}), None, (base,), (), more))
    assert text.endswith("""\
repositories: [{name: images, location: europe}, {name: base, location: us}]
# who
pull:
    - {cluster: west, namespace: backend, repositories: [images]} # all of it
    - cluster: west # half of it
      namespace: frontend
      repositories: [images]
      # from here on: the shop

    - cluster: west
      namespace: shop # all of it
      repositories: [images, base]
      # and nothing else
    - cluster: west
      namespace: base
      repositories: [images, base] # so far
""")

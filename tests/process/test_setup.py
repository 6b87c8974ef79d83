"""`setup` as a process, against an API server over real TLS: what it writes and refuses."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import ECKey

from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.fleet.model import Distribution
from process.api_server import TOKEN, ApiServer, node
from process.setup_command import EVERY_FLAG, SAID, Setup


def test_whole(setup: Setup, cluster: ApiServer, issuer: Issuer) -> None:
    """Issuer, keys, versions and node groups from the cluster, the rest from flags."""
    cluster.nodes = 11
    ended = setup(cluster.kubeconfig(), *SAID)
    assert (ended.code, ended.stderr) == (0, b"")
    assert sorted(setup.files()) == ["east.jwks.json", "fleet.yaml"]
    assert setup.fleet() == {
        "version": 1,
        "google": {"projectId": "my-project", "projectNumber": "123456789012"},
        "clusters": [
            {
                "name": "east",
                "issuer": "https://kubernetes.default.svc.cluster.local",
                "keys": "uploaded",
                "jwks": "east.jwks.json",
                "kubernetes": "1.34",
                "cacheType": "ServiceAccount",
                "nodes": [
                    {
                        "name": "nodes",
                        "distribution": "k3s",
                        "kubernetes": "1.34",
                        "architectures": ["amd64", "arm64"],
                    }
                ],
            }
        ],
        "repositories": [{"name": "images", "location": "europe"}],
        "pull": [{"cluster": "east", "namespace": "team-0", "serviceAccount": "robot-1"}],
    }
    uploaded = json.loads(setup.files()["east.jwks.json"])
    (key,) = json.loads(issuer.jwks)["keys"]
    assert uploaded == {"keys": [key]}
    assert b"nodes 9 x k3s 1.34 amd64 (containerd): kubeletVersion with +k3s" in ended.stdout
    assert b"ServiceAccounts 5, of which 0 cannot pull" in ended.stdout
    assert {authorization for _, _, authorization in cluster.asked} == {f"Bearer {TOKEN}"}


def test_again_changes_nothing(setup: Setup, cluster: ApiServer) -> None:
    """The same cluster, the same words: nothing is written, and no --yes is needed."""
    setup(cluster.kubeconfig(), *SAID)
    before = setup.files()
    ended = setup(cluster.kubeconfig(), *SAID)
    assert (ended.code, setup.files()) == (0, before)
    assert b"fleet.yaml says all this already" in ended.stdout


def test_known_things_are_not_wanted_again(setup: Setup, cluster: ApiServer) -> None:
    """Of a cluster that is in the file, its name is enough."""
    setup(cluster.kubeconfig(), *SAID)
    assert setup(cluster.kubeconfig(), "--name", "east").code == 0


def test_what_is_there_is_not_changed_unasked(setup: Setup, cluster: ApiServer) -> None:
    """The diff is shown; --yes writes it, with the comments and the mode that the file had."""
    setup(cluster.kubeconfig(), *SAID)
    file = setup.folder / "fleet.yaml"
    file.write_text("# ours\n" + file.read_text())
    file.chmod(0o600)
    cluster.version = "v1.35.0+k3s1"
    before = setup.files()
    ended = setup(cluster.kubeconfig(), "--name", "east")
    assert (ended.code, setup.files()) == (2, before)
    assert b'-    kubernetes: "1.34"\n+    kubernetes: "1.35"\n' in ended.stdout
    assert ended.stderr == (
        b"gcp-sa-credential-provider setup: fleet.yaml: would change, see above. Fix: add --yes to"
        b" change what is there\n"
    )
    dry = setup(cluster.kubeconfig(), "--name", "east", "--yes", "--dry-run")
    assert (dry.code, setup.files()) == (0, before)
    assert setup(cluster.kubeconfig(), "--name", "east", "--yes").code == 0
    assert file.read_text() == before["fleet.yaml"].decode().replace(
        'kubernetes: "1.34"\n    cacheType', 'kubernetes: "1.35"\n    cacheType'
    )
    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "former",
    [
        '{"keys": [{"kty": "RSA", "kid": "a", "n": "AQ", "e": "AQAB", "d": "the-scalar"}]}\n',
        "-----BEGIN EC PRIVATE KEY-----\nthe-scalar\n",
    ],
    ids=["JWKS", "PEM"],
)
def test_a_private_key_that_is_replaced_is_not_shown(
    setup: Setup, cluster: ApiServer, former: str
) -> None:
    """Where the cluster's key set belongs: the diff would quote it."""
    setup(cluster.kubeconfig(), *SAID)
    file = setup.folder / "east.jwks.json"
    public = file.read_bytes()
    file.write_text(former)
    for words, code in (((), 2), (("--yes", "--dry-run"), 0), (("--yes",), 0)):
        ended = setup(cluster.kubeconfig(), "--name", "east", *words)
        assert (ended.code, b"the-scalar" in ended.stdout + ended.stderr) == (code, False)
        assert (
            f"east.jwks.json: replaced, {len(former)} bytes, not shown\n".encode() in ended.stdout
        )
    assert file.read_bytes() == public


def test_a_second_cluster(setup: Setup, cluster: ApiServer) -> None:
    """It is added; project and repositories are known from the first."""
    setup(cluster.kubeconfig(), *SAID)
    kubeconfig = cluster.kubeconfig()
    assert setup(kubeconfig, "--name", "west", "--pull", "*", "--yes").code == 0
    fleet = setup.fleet()
    assert [one["name"] for one in fleet["clusters"]] == ["east", "west"]
    assert fleet["pull"][1:] == [{"cluster": "west"}]


TEAM_B = (
    *("--name", "west", "--repository", "europe-docker.pkg.dev/my-project/b-images"),
    *("--pull", "web/default", "--yes"),
)


def repositories(setup: Setup) -> dict[str, Any]:
    """What each entry of `pull` lists, by namespace."""
    return {one["namespace"]: one.get("repositories") for one in setup.fleet()["pull"]}


def test_each_team_its_repositories(setup: Setup, cluster: ApiServer) -> None:
    """A second team's repository is not the first one's, nor the other way round."""
    setup(cluster.kubeconfig(), *SAID)
    assert repositories(setup) == {"team-0": None}
    ended = setup(cluster.kubeconfig(), *TEAM_B)
    assert ended.code == 0
    apart = {"team-0": ["images"], "web": ["b-images"]}
    assert repositories(setup) == apart
    assert (
        b"  note: b-images: not for team-0/robot-1 of east, limited to the repositories so far;"
        b" --pull gives more\n"
    ) in ended.stdout
    before = setup.files()
    for words in (SAID, TEAM_B, ("--name", "east", "--pull", "team-0/robot-1")):
        assert setup(cluster.kubeconfig(), *words).code == 0
        assert setup.files() == before


def test_a_repository_for_those_that_are_named(setup: Setup, cluster: ApiServer) -> None:
    """Nobody by itself; an entry that lists some is given one more."""
    setup(cluster.kubeconfig(), *SAID)
    other = ("--name", "east", "--repository", "us-docker.pkg.dev/my-project/images", "--yes")
    ended = setup(cluster.kubeconfig(), *other)
    assert repositories(setup) == {"team-0": ["images"]}
    assert b"  note: nobody is given images-us: --pull says who\n" in ended.stdout
    assert setup(cluster.kubeconfig(), *other, "--pull", "team-0/robot-1").code == 0
    assert repositories(setup) == {"team-0": ["images", "images-us"]}


def test_an_entry_with_all_that_is_named_keeps_all(setup: Setup, cluster: ApiServer) -> None:
    """It is asked for."""
    setup(cluster.kubeconfig(), *SAID)
    other = ("--repository", "europe-docker.pkg.dev/my-project/b-images", "--yes")
    words = ("--name", "east", *other, "--pull", "team-0/robot-1")
    assert b"note: b-images" not in setup(cluster.kubeconfig(), *words).stdout
    assert repositories(setup) == {"team-0": None}


def test_everything_missing_is_named_at_once(setup: Setup, cluster: ApiServer) -> None:
    """Without a terminal nothing is asked, and the long list is not even read."""
    cluster.issuer = "https://issuer.example.com"
    assert setup.refusal(cluster.kubeconfig()) == (
        2,
        (
            "command line: not everything is said, and there is no terminal to ask at (missing:"
            f" {EVERY_FLAG}, --keys uploaded|fetched, --repository PREFIX, --pull WHO). Fix: add"
            " these flags\n"
        ),
    )
    assert not any("serviceaccounts" in path for path, _, _ in cluster.asked)


def test_names_too_long_for_google(setup: Setup, cluster: ApiServer) -> None:
    """They are listed with the way out; one that is to pull is refused."""
    long = "a" * 100
    cluster.account = lambda index: {
        "metadata": {"namespace": "team-0", "name": f"robot-{index}" if index else long}
    }
    ended = setup(cluster.kubeconfig(), *SAID)
    assert ended.code == 0
    assert b"ServiceAccounts 5, of which 1 cannot pull" in ended.stdout
    assert f"    team-0/{long} (129 bytes)\n".encode() in ended.stdout
    assert b"whose namespace and name have together 104 bytes at most\n" in ended.stdout
    (setup.folder / "fleet.yaml").unlink()
    (setup.folder / "east.jwks.json").unlink()
    code, text = setup.refusal(cluster.kubeconfig(), *SAID, "--pull", f"team-0/{long}")
    assert code == 2
    assert text.startswith(f"pull team-0/{long}: its name is too long for Google. Fix: pods of")


def test_a_shared_pool_leaves_less_room(setup: Setup, cluster: ApiServer) -> None:
    """Its prefix counts, and a pool for each cluster is the other way out."""
    long = "a" * 96
    cluster.account = lambda index: {
        "metadata": {"namespace": "team-0", "name": f"robot-{index}" if index else long}
    }
    ended = setup(cluster.kubeconfig(), *SAID, "--shared-pool", "all-clusters")
    assert ended.code == 0
    assert f"    team-0/{long} (131 bytes)\n".encode() in ended.stdout
    assert b"together 98 bytes at most, or the fleet a pool for each cluster" in ended.stdout
    assert setup.fleet()["google"]["sharedPool"] == "all-clusters"


def test_an_issuer_with_a_curve_that_google_does_not_know(setup: Setup, cluster: ApiServer) -> None:
    key = ECKey.import_key(ec.generate_private_key(ec.SECP384R1()).public_key())
    cluster.jwks = {"keys": [{**key.as_dict(private=False), "kid": "a", "alg": "ES384"}]}
    code, text = setup.refusal(cluster.kubeconfig(), *SAID)
    assert code == 1
    assert "its curve is 'P-384', and Google takes P-256" in text
    assert "Fix: sign ServiceAccount tokens with an RSA key" in text


def test_eks_is_never_uploaded(setup: Setup, cluster: ApiServer) -> None:
    cluster.issuer = "https://oidc.eks.eu-west-1.amazonaws.com/id/0123"
    cluster.version = "v1.34.1-eks-113cf36"
    base = node(1)
    base["status"]["nodeInfo"]["kubeletVersion"] = "v1.34.1-eks-113cf36"
    cluster.node = lambda _: base
    assert setup(cluster.kubeconfig(), *SAID).code == 0
    (written,) = setup.fleet()["clusters"]
    assert (written["keys"], "jwks" in written) == ("fetched", False)
    assert written["nodes"][0]["distribution"] == "eks"
    assert list(setup.files()) == ["fleet.yaml"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"version": "v1.32.9+k3s1"},
            "Kubernetes 1.32: kubelets can ask for tokens for image pulls from 1.33 on",
        ),
        ({"issuer": "http://k.example.com"}, "it is not https, and Google takes no other"),
    ],
)
def test_clusters_that_cannot_be_set_up(
    setup: Setup, cluster: ApiServer, change: dict[str, str], said: str
) -> None:
    for name, value in change.items():
        setattr(cluster, name, value)
    code, text = setup.refusal(cluster.kubeconfig(), *SAID)
    assert (code, said in text) == (1, True)


def test_a_cluster_of_nodes_that_cannot_be_set_up(setup: Setup, cluster: ApiServer) -> None:
    """GKE's nodes have their own provider."""
    base = node(1)
    base["status"]["nodeInfo"]["kubeletVersion"] = "v1.34.1-gke.1829001"
    cluster.node = lambda _: base
    cluster.issuer = "https://container.googleapis.com/v1/projects/p/locations/l/clusters/c"
    code, text = setup.refusal(cluster.kubeconfig(), *SAID)
    assert code == 1
    assert "nodes: none of them can be set up (GKE: its nodes have Google's own credential" in text


class Saved:
    """The two documents of a cluster as files."""

    def __init__(self, folder: Path, issuer: Issuer) -> None:
        configuration, jwks = folder / "openid-configuration.json", folder / "jwks.json"
        configuration.write_text(json.dumps({"issuer": "https://kubernetes.default.svc"}))
        jwks.write_text(issuer.jwks)
        self.flags = ["--openid-configuration", str(configuration), "--jwks", str(jwks)]


def test_saved_documents(setup: Setup, tmp_path: Path, issuer: Issuer) -> None:
    """What they cannot say is wanted as flags, then the same comes out."""
    saved = Saved(tmp_path, issuer).flags
    code, text = setup.refusal(None, *saved)
    assert code == 2
    missing = f"{EVERY_FLAG}, --kubernetes MINOR, --distribution NAME"
    assert f"(missing: {missing}, --repository PREFIX, --pull WHO)" in text
    ended = setup(None, *saved, *SAID, "--kubernetes", "v1.33.5", "--distribution", "kubeadm")
    assert (ended.code, ended.stderr) == (0, b"")
    (written,) = setup.fleet()["clusters"]
    assert (written["issuer"], written["kubernetes"], written["nodes"]) == (
        "https://kubernetes.default.svc",
        "1.33",
        [
            {
                "name": "nodes",
                "distribution": "kubeadm",
                "kubernetes": "1.33",
                "architectures": ["amd64"],
            }
        ],
    )
    assert setup(None, *saved, "--name", "east").code == 0, "the file says the rest"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--jwks", "x"], "one of --openid-configuration and --jwks is missing"),
        (
            ["--jwks", "x", "--openid-configuration", "y", "--context", "z"],
            "--kubeconfig and --context name a cluster, and so do",
        ),
        (["--distribution", "gentoo"], "'gentoo' is not known. Fix: use one of k3s, rke2"),
        (["--project-id", "123"], "is a project number, and the id belongs here"),
        (["--request-timeout", "-1"], "'-1' is not a number of seconds"),
        (["--pull", "Backend"], "has capital letters"),
    ],
)
def test_wrong_usage(setup: Setup, words: list[str], said: str) -> None:
    code, text = setup.refusal(None, *words)
    assert (code, said in text) == (2, True)


def test_flags_of_the_whole_fleet_do_not_move_it(setup: Setup, cluster: ApiServer) -> None:
    setup(cluster.kubeconfig(), *SAID)
    words = ["--name", "west", "--pull", "*", "--shared-pool", "all-clusters"]
    assert setup.refusal(cluster.kubeconfig(), *words) == (
        2,
        (
            "--shared-pool: is all-clusters, and fleet.yaml has none. Fix: leave it out; to change"
            " it for the whole fleet, edit the file\n"
        ),
    )


def test_a_fleet_that_is_wrong(setup: Setup, cluster: ApiServer) -> None:
    """What is there must be right before anything is added: line and column are told."""
    setup(cluster.kubeconfig(), *SAID)
    file = setup.folder / "fleet.yaml"
    file.write_text(file.read_text().replace("location: europe", "location: europe-west4-a"))
    code, text = setup.refusal(cluster.kubeconfig(), *SAID, "--yes")
    assert code == 2
    assert text.startswith("fleet.yaml:24:5: repositories[0].location: 'europe-west4-a' is a zone")


def test_help_names_every_distribution(setup: Setup) -> None:
    """It is all that somebody without the documentation has."""
    said = setup(None, "--help", COLUMNS="10000").stdout.decode()
    for name in get_args(Distribution):
        assert re.search(rf"\b{name}\b", said), name

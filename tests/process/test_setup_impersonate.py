"""`setup` where pulls impersonate: an account reads for all that pull as it what one is given."""

from typing import Any

import pytest

from process.api_server import ApiServer
from process.setup_command import SAID, Setup

ACCOUNT = "puller@my-project.iam.gserviceaccount.com"
OTHER = "other@my-project.iam.gserviceaccount.com"
IMAGES = ("--repository", "europe-docker.pkg.dev/my-project/images")
SECRET = ("--name", "east", "--repository", "europe-docker.pkg.dev/my-project/secret", "--yes")
FIX = (
    " Fix: let one pull as another account (--pull NAMESPACE/SERVICEACCOUNT=ACCOUNT, or"
    " --impersonate ACCOUNT for a cluster), or give both the same repositories: here images, secret"
    " (--repository for each, --pull for both)\n"
)


def pulls(setup: Setup) -> list[Any]:
    """What each entry of `pull` says besides its cluster."""
    return [
        {key: said for key, said in one.items() if key != "cluster"}
        for one in setup.fleet()["pull"]
    ]


def test_a_repository_for_one_of_an_account(setup: Setup, cluster: ApiServer) -> None:
    """Refused, since all that pull as it would: nothing is said to be limited that is not."""
    assert setup(cluster.kubeconfig(), *SAID, "--impersonate", ACCOUNT).code == 0
    code, said = setup.refusal(cluster.kubeconfig(), *SECRET, "--pull", "admins")
    assert code == 2
    assert said == (
        f"{ACCOUNT}: team-0/robot-1 of east and admins of east would pull as this account, which"
        f" reads for both what only one of them is given (images, secret).{FIX}"
    )


def test_ways_out(setup: Setup, cluster: ApiServer) -> None:
    """Those of the refusal: an account of its own, or the same for both."""
    setup(cluster.kubeconfig(), *SAID, "--impersonate", ACCOUNT)
    robot = {"namespace": "team-0", "serviceAccount": "robot-1"}
    both = ("--pull", "admins", "--pull", "team-0/robot-1")
    ended = setup(cluster.kubeconfig(), *SECRET, *IMAGES, *both, "--dry-run")
    assert (ended.code, ended.stderr) == (0, b"")
    assert b"not for" not in ended.stdout
    ended = setup(cluster.kubeconfig(), *SECRET, "--pull", f"admins/x={OTHER}")
    assert ended.code == 0
    assert b"note: secret: not for team-0/robot-1 of east, limited to" in ended.stdout
    own = {"namespace": "admins", "serviceAccount": "x", "googleServiceAccount": OTHER}
    assert pulls(setup) == [
        robot | {"repositories": ["images"]},
        own | {"repositories": ["secret"]},
    ]
    ended = setup(cluster.kubeconfig(), *SECRET, *IMAGES, *both)
    assert (ended.code, ended.stderr) == (0, b"")
    assert pulls(setup)[0] == robot | {"repositories": ["images", "secret"]}
    assert pulls(setup)[2] == {"namespace": "admins"}


@pytest.mark.parametrize(
    ("pull", "words"),
    [
        ("robot", ("--name", "east", "--impersonate", ACCOUNT, "--yes")),
        ("other", ("--name", "west", *IMAGES, "--impersonate", OTHER, "--pull", "web", "--yes")),
    ],
    ids=["an account for a cluster that had none", "that of another cluster"],
)
def test_an_account_for_entries_that_differ(
    setup: Setup, cluster: ApiServer, pull: str, words: tuple[str, ...]
) -> None:
    """Whatever makes them pull as one."""
    own = f"={OTHER}" if pull == "other" else ""
    setup(cluster.kubeconfig(), *SAID)
    assert setup(cluster.kubeconfig(), *SECRET, "--pull", f"admins/x{own}").code == 0
    code, said = setup.refusal(cluster.kubeconfig(), *words)
    first, second = (
        ("admins/x of east", "web of west")
        if own
        else ("team-0/robot-1 of east", "admins/x of east")
    )
    assert code == 2
    assert said == (
        f"{OTHER if own else ACCOUNT}: {first} and {second} would pull as this account, which reads"
        f" for both what only one of them is given (images, secret).{FIX}"
    )

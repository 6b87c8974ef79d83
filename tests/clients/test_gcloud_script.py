"""The rendered script, run by bash with the real gcloud against the emulator."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clients.forked import forked
from clients.gcloud import INSTALL, Gcloud
from clients.place import child_environment, credential_file, subject_token_file
from clients.script import IMAGES, READER, SHARED, Script, before, pull, status
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.google.names import pool_name
from gcp_sa_credential_provider.render import gcloud as rendered
from gcp_sa_credential_provider.render import terraform
from unit import plans
from unit.google_side import of_emulator, of_plan, of_terraform

# gcloud takes a second to start: a fleet's tests share a worker, and there its first run.
FLEETS = [
    pytest.param(name, marks=pytest.mark.xdist_group(f"gcloud-{name}"))
    for name in sorted(plans.FLEETS)
]
OWN = pytest.mark.xdist_group("gcloud-own")
IMPERSONATION = pytest.mark.xdist_group("gcloud-impersonation")


@pytest.fixture(scope="module")
def logged_in(
    client: Callable[[str, str], str], issuer: Issuer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Emulator, Gcloud]]:
    """One Google for this module, and gcloud with a login there."""
    folder = tmp_path_factory.mktemp("login")
    with Emulator(folder / "google", before(issuer.jwks), proxy={}) as google:
        gcloud = Gcloud(client("gcloud", INSTALL), google, child_environment(folder, google))
        with forked(folder, *gcloud.installation()) as python:
            gcloud.environment["CLOUDSDK_PYTHON"] = str(python)
            token = subject_token_file(folder, issuer)
            path = credential_file(folder / "credentials.json", token, google.endpoints)
            gcloud.text("auth", "login", f"--cred-file={path}")
            yield google, gcloud


@pytest.fixture
def google(logged_in: tuple[Emulator, Gcloud], issuer: Issuer) -> Emulator:
    """As before anything was run."""
    google, _ = logged_in
    google.load(before(issuer.jwks))
    google.log.clear()
    return google


@pytest.fixture
def gcloud(logged_in: tuple[Emulator, Gcloud], google: Emulator) -> Gcloud:
    """Logged in."""
    return logged_in[1]


Rendered = Callable[[str], Script]


@pytest.fixture
def written(tmp_path: Path, google: Emulator, gcloud: Gcloud) -> Rendered:
    """Renders one of the sample fleets."""

    def write(name: str) -> Script:
        plan = plans.plan(name, tmp_path)
        out = tmp_path / "out"
        for path, text in rendered.files(plan).items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_text(text)
        return Script(plan, out / rendered.SCRIPT, google, gcloud.environment)

    return write


@pytest.fixture(scope="module")
def first_runs() -> dict[str, tuple[str, Any]]:
    """By fleet: what a first run said, and Google after it."""
    return {}


@pytest.fixture
def settled(written: Rendered, first_runs: dict[str, tuple[str, Any]]) -> Rendered:
    """The script of one of the sample fleets, and Google as its first run left it."""

    def settle(name: str) -> Script:
        script = written(name)
        if name not in first_runs:
            first_runs[name] = script.says(), script.state()
        said, state = first_runs[name]
        script.google.load(state)
        script.google.log.clear()
        return replace(script, first=said)

    return settle


@pytest.mark.parametrize("name", FLEETS)
def test_it_makes_what_terraform_says_and_the_plan_asks(settled: Rendered, name: str) -> None:
    """The second run finds everything as described, and asks only."""
    script = settled(name)
    asked = of_plan(script.plan)
    assert of_emulator(script.state(), asked) == asked
    assert of_terraform({**terraform.files(script.plan), **rendered.files(script.plan)}) == asked
    enabling = "APIs: enabling artifactregistry.googleapis.com iamcredentials.googleapis.com"
    assert enabling in script.first
    as_described = script.state()
    again = script.says()
    assert script.writes() == []
    assert script.state() == as_described
    assert not [word for word in ("creating", "updating", "enabling", "granting") if word in again]


PULLERS = {
    "own": [(0, "backend", "default"), (0, "monitoring", "any")],
    "shared": [(0, "backend", "default"), (0, "monitoring", "any")],
    "impersonation": [(0, "backend", "default"), (1, "ci", "runner"), (1, "ci", "guest")],
    "within": [(0, "ci", "any"), (0, "ci", "runner"), (1, "ci", "runner"), (1, "web", "any")],
}
STRANGERS = {
    "own": [(0, "backend", "other"), (0, "kube-system", "default")],
    "shared": [(0, "backend", "other"), (0, "kube-system", "default")],
    "impersonation": [(0, "other", "default"), (1, "ci", "nobody")],
    "within": [(0, "other", "default")],
}


@pytest.mark.parametrize("name", FLEETS)
def test_the_plugin_pulls(settled: Rendered, name: str) -> None:
    """Who is named may pull; the exchange refuses the others of the same cluster."""
    script = settled(name)
    for number, namespace, account in PULLERS[name]:
        outcome = pull(script, script.plan.clusters[number], namespace, account)
        assert (outcome.code, outcome.stderr) == (0, "")
        assert status(script, outcome) == 200
    for number, namespace, account in STRANGERS[name]:
        refused = pull(script, script.plan.clusters[number], namespace, account)
        assert (refused.code, refused.error) == (1, "STS-CONDITION")
    if name == "shared":
        # The same namespace and name in another cluster is another principal.
        theirs = pull(script, script.plan.clusters[1], "backend", "default", 1)
        assert (theirs.code, theirs.stderr) == (0, "")
        assert (status(script, theirs, 0), status(script, theirs, 1)) == (403, 200)


@OWN
def test_drift_is_mended(settled: Rendered, gcloud: Gcloud) -> None:
    """By hand: keys replaced, fields changed, disabled, a grant taken; one run undoes it all."""
    script = settled("own")
    as_described = script.state()
    pool = ("--workload-identity-pool=k8s-prod-eu", "--location=global")
    wrong = script.path.with_name("wrong.json")
    wrong.write_text(Issuer().jwks)
    gcloud.pools(
        *("providers", "update-oidc", "k8s-prod-eu", *pool, f"--jwk-json-path={wrong}"),
        *("--allowed-audiences=mine", "--attribute-condition=true", "--display-name=other"),
        *("--attribute-mapping=google.subject=assertion.jti", "--disabled"),
    )
    gcloud.pools("update", "k8s-prod-aws", "--location=global", "--disabled")
    aws = ("--workload-identity-pool=k8s-prod-aws", "--location=global")
    gcloud.pools("providers", "update-oidc", "k8s-prod-aws", *aws, f"--jwk-json-path={wrong}")
    granted = next(grant for grant in script.plan.grants if grant.repository)
    script.google.revoke(IMAGES, READER, granted.member)
    assert script.state() != as_described
    said = script.says()
    assert '    <   "disabled": true,' in said
    assert script.state() == as_described
    assert sorted(line for line in said.splitlines() if line.endswith("updating")) == [
        "pool k8s-prod-aws: updating",
        "provider k8s-prod-aws: updating",
        "provider k8s-prod-eu: updating",
    ]


@OWN
def test_what_was_deleted_comes_back(settled: Rendered, gcloud: Gcloud) -> None:
    """Its id cannot be used anew for thirty days: it is undeleted."""
    script = settled("own")
    as_described = script.state()
    pool = ("--workload-identity-pool=k8s-prod-eu", "--location=global")
    gcloud.pools("providers", "delete", "k8s-prod-eu", *pool)
    gcloud.pools("delete", "k8s-prod-aws", "--location=global")
    said = script.says()
    assert "provider k8s-prod-eu: undeleting" in said
    assert "pool k8s-prod-aws: undeleting" in said
    assert script.state() == as_described


@OWN
def test_a_grant_too_many(settled: Rendered) -> None:
    """Is told, and taken away when asked; members that are not of these pools stay."""
    script = settled("own")
    script.google.grant(IMAGES, READER, "serviceAccount:ci@elsewhere.iam.gserviceaccount.com")
    with_stranger = script.state()
    pool = pool_name(plans.NUMBER, "k8s-prod-eu")
    member = f"principalSet://iam.googleapis.com/{pool}/*"
    script.google.grant(IMAGES, READER, member)
    too_many = script.state()
    sentence = f"images: {member} has {READER}, which fleet.yaml does not give"
    said = script.says()
    assert f"{sentence}; --prune takes it away" in said
    assert script.state() == too_many
    said += script.says("--prune")
    assert script.state() == with_stranger
    assert "elsewhere" not in said


@IMPERSONATION
def test_an_account_too_many(settled: Rendered, tmp_path: Path) -> None:
    """A repository that is pulled from no longer: what accounts were granted there is pruned."""
    described = plans.fleet("impersonation")
    described["repositories"] = plans.fleet("own")["repositories"]
    for puller in described["pull"]:
        puller["repositories"] = ["images"]
    script = settled("impersonation")
    text = rendered.files(plans.plan_from(described, tmp_path))[rendered.SCRIPT]
    script.path.write_text(text)
    foreign = f"serviceAccount:{plans.FOREIGN}"
    script.google.grant(SHARED, READER, foreign)
    as_described = script.state()
    member = f"serviceAccount:{plans.FRESH}"
    script.google.grant(SHARED, READER, member)
    said = script.says("--prune")
    assert f"shared: taking {READER} from {member}\n" in said
    assert f"shared: {foreign} has {READER}, which fleet.yaml does not give; --prune leaves" in said
    assert script.state() == as_described


@IMPERSONATION
def test_a_dry_run_changes_nothing(written: Rendered, google: Emulator) -> None:
    """It asks Google, and prints the commands."""
    script = written("impersonation")
    untouched = script.state()
    said = script.says("--dry-run")
    assert "gcloud services enable artifactregistry.googleapis.com" in said
    assert script.writes() == []
    assert script.state() == untouched
    resources = google._google.resources
    projects = {
        name: replace(project, disabled_services=frozenset())
        for name, project in resources.projects.items()
    }
    google._google.change(lambda there: replace(there, projects=projects))
    said = script.says("--dry-run")
    assert script.writes() == []
    for command in (
        "  gcloud iam workload-identity-pools create k8s-edge --location=global",
        "  gcloud iam workload-identity-pools providers create-oidc k8s-edge",
        "  gcloud iam service-accounts create fresh-one --project=my-project",
        "  gcloud artifacts repositories add-iam-policy-binding images --location=europe",
        f"  gcloud iam service-accounts add-iam-policy-binding {plans.FRESH}",
    ):
        assert command in said
    assert said.endswith("nothing was changed (--dry-run)\n")


@OWN
def test_a_wrong_number_is_refused(written: Rendered) -> None:
    """Before anything is changed: every audience and member would name another project."""
    script = written("own")
    script.path.write_text(script.path.read_text().replace(f"NUMBER={plans.NUMBER}", "NUMBER=1"))
    untouched = script.state()
    done = script.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "gcloud.sh: the project my-project has the number 123456789012, and fleet.yaml says 1."
        " Fix: correct google.projectId or google.projectNumber in fleet.yaml and render again;"
        " nothing was changed\n"
    )
    assert script.state() == untouched


@OWN
def test_without_a_login(written: Rendered, tmp_path: Path) -> None:
    """Nothing is asked for, gcloud's own words and the remedy are shown."""
    script = written("own")
    done = script.run(CLOUDSDK_CONFIG=str(tmp_path / "nobody"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "You do not currently have an active account selected" in done.stderr
    assert done.stderr.endswith("gcloud has no working credentials. Fix: gcloud auth login\n")
    assert script.writes() == []


@OWN
def test_a_refusal_ends_it(written: Rendered) -> None:
    """Google's words are shown, and the next run goes on where it ended."""
    script = written("own")
    script.google.faults.set("status", status=403, path="*:setIamPolicy", body=_DENIED)
    done = script.run()
    assert done.returncode == 1
    assert "you may not" in done.stderr
    assert "gcloud artifacts repositories: Google refused (see above)" in done.stderr
    script.google.faults.clear()
    said = script.says()
    assert "provider k8s-prod-eu: as described" in said
    asked = of_plan(script.plan)
    assert of_emulator(script.state(), asked) == asked


_DENIED = {"error": {"code": 403, "message": "you may not", "status": "PERMISSION_DENIED"}}


@IMPERSONATION
def test_what_comes_late_is_waited_for(written: Rendered) -> None:
    """A new account is not known everywhere at once: the grant is asked for again."""
    script = written("impersonation")
    unknown = {"error": {"code": 400, "message": "Service account x does not exist."}}
    script.google.faults.set(
        "status", status=400, path="*/images:setIamPolicy", times=2, body=unknown
    )
    script.says()
    assert script.google.faults.hits("status") == 2
    asked = of_plan(script.plan)
    assert of_emulator(script.state(), asked) == asked


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with what the script needs but gcloud."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in ("bash", "cat", "dirname", "mktemp", "rm"):
        path = shutil.which(program)
        assert path
        (folder / program).symlink_to(path)
    return folder


def lone_script(tmp_path: Path) -> Path:
    """A script that nobody has logged in for."""
    path = tmp_path / "gcloud.sh"
    path.write_text(rendered.files(plans.plan("own", tmp_path))[rendered.SCRIPT])
    return path


_NO_GCLOUD = (
    "gcloud.sh: gcloud is not on PATH. Fix: install the Google Cloud CLI,"
    " https://cloud.google.com/sdk/docs/install\n"
)
_UNKNOWN = "gcloud.sh: unknown argument --frce. Fix: gcloud.sh --help lists them\n"


@pytest.mark.parametrize(
    ("arguments", "code", "stdout", "stderr"),
    [
        ([], 1, "", _NO_GCLOUD),
        (["--frce"], 1, "", _UNKNOWN),
        (["--help"], 0, "usage: gcloud.sh [--dry-run] [--prune]", ""),
    ],
)
def test_before_google_is_asked(
    tmp_path: Path, bare: Path, arguments: list[str], code: int, stdout: str, stderr: str
) -> None:
    """What needs no gcloud."""
    done = subprocess.run(
        ["bash", str(lone_script(tmp_path)), *arguments],
        env={"PATH": str(bare)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (code, stderr)
    assert done.stdout.partition("\n")[0] == stdout


@pytest.mark.parametrize("name", sorted(plans.FLEETS))
def test_shellcheck(client: Callable[[str, str], str], tmp_path: Path, name: str) -> None:
    """Finds nothing."""
    path = tmp_path / "gcloud.sh"
    path.write_text(rendered.files(plans.plan(name, tmp_path))[rendered.SCRIPT])
    done = subprocess.run(
        [client("shellcheck", "apt-get install shellcheck"), str(path)],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")

"""The rendered script, run by bash with the real gcloud against the emulator."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from clients.gcloud import INSTALL, Gcloud
from clients.place import config, credential_file
from gcp_sa_credential_provider.demo.issuer import Issuer
from gcp_sa_credential_provider.emulator import persistence
from gcp_sa_credential_provider.emulator.inprocess import Emulator
from gcp_sa_credential_provider.fleet.plan import ClusterPlan, Plan
from gcp_sa_credential_provider.google.names import pool_name
from gcp_sa_credential_provider.render import gcloud as rendered
from gcp_sa_credential_provider.render import terraform
from scene import Outcome, request, run_plugin
from unit import plans
from unit.google_side import of_emulator, of_plan, of_terraform

READER = "roles/artifactregistry.reader"
IMAGES = f"projects/{plans.PROJECT}/locations/europe/repositories/images"
SHARED = "projects/other-project/locations/us/repositories/shared"


@pytest.fixture
def google(tmp_path: Path, issuer: Issuer) -> Iterator[Emulator]:
    """Two projects with a repository each; a pool for gcloud's own login, and APIs that are off."""
    there = config(issuer.jwks)
    off = ["artifactregistry.googleapis.com", "iamcredentials.googleapis.com"]
    there["projects"][0]["disabledServices"] = off
    there["projects"].append({"projectId": "other-project", "projectNumber": "222222222222"})
    there["repositories"] += [{"name": IMAGES}, {"name": SHARED}]
    foreign = f"projects/other-project/serviceAccounts/{plans.FOREIGN}"
    there["serviceAccounts"] = [{"name": foreign}]
    with Emulator(tmp_path / "google", there, proxy={}) as emulator:
        yield emulator


@pytest.fixture
def gcloud(
    client: Callable[[str, str], str],
    google: Emulator,
    environment: dict[str, str],
    tmp_path: Path,
    token_file: Path,
) -> Gcloud:
    """Logged in."""
    gcloud = Gcloud(client("gcloud", INSTALL), google, environment)
    path = credential_file(tmp_path / "credentials.json", token_file, google.endpoints)
    gcloud.text("auth", "login", f"--cred-file={path}")
    google.log.clear()
    return gcloud


@dataclass(frozen=True)
class Script:
    """A fleet's script in a folder, and whom it speaks to."""

    plan: Plan
    path: Path
    google: Emulator
    environment: Mapping[str, str]

    def run(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """The finished script; `changes` of the environment."""
        return subprocess.run(
            ["bash", str(self.path), *arguments],
            env={**self.environment, **changes},
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )

    def says(self, *arguments: str) -> str:
        """What a run that must succeed says."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    def state(self) -> Any:
        """All that the emulator holds."""
        return persistence.document(self.google._google.resources)

    def writes(self) -> list[str]:
        """Method and path of the requests that could have changed something."""
        return [
            f"{entry['method']} {entry['path']}"
            for entry in self.google.log.entries("iam")
            if entry["method"] != "GET" and not entry["path"].endswith(":getIamPolicy")
        ]


Written = Callable[[str], Script]


@pytest.fixture
def written(tmp_path: Path, google: Emulator, gcloud: Gcloud) -> Written:
    """Renders one of the sample fleets."""

    def write(name: str) -> Script:
        plan = plans.plan(name, tmp_path)
        out = tmp_path / "out"
        for path, text in rendered.files(plan).items():
            (out / path).parent.mkdir(parents=True, exist_ok=True)
            (out / path).write_text(text)
        return Script(plan, out / rendered.SCRIPT, google, gcloud.environment)

    return write


def pull(
    script: Script, cluster: ClusterPlan, namespace: str, account: str, number: int = 0
) -> Outcome:
    """What the plugin gives the kubelet for an image of a repository."""
    token = plans.issuer(cluster.cluster.name).token(
        cluster.audience, namespace=namespace, service_account=account, iss=cluster.issuer
    )
    wanted = cluster.annotations.get((namespace, account))
    key = cluster.environment.get("GCP_SERVICE_ACCOUNT_ANNOTATION")
    annotations = {key: wanted} if key and wanted else {}
    return run_plugin(
        {
            **cluster.environment,
            "GCP_STS_ENDPOINT": script.google.endpoints["sts"],
            "GCP_IAM_CREDENTIALS_ENDPOINT": script.google.endpoints["iam_credentials"],
            "SSL_CERT_FILE": str(script.google.ca_pem),
            "GCP_LOG": "off",
        },
        request(
            token,
            f"{script.plan.repositories[number].image_prefix}hello",
            serviceAccountAnnotations=annotations,
        ),
    )


def status(script: Script, outcome: Outcome, number: int = 0) -> int:
    """The registry's answer to the response's credential, for an image of a repository."""
    repository = script.plan.repositories[number]
    url = script.google.endpoints["http"]["registry"]
    (password,) = {entry["password"] for entry in outcome.response["auth"].values()}
    answer = httpx.get(
        f"{url}/v2/{repository.project}/{repository.name}/hello/manifests/latest",
        headers={
            "Authorization": f"Bearer {password}",
            "Host": repository.registry,
        },
        trust_env=False,
    )
    return answer.status_code


@pytest.mark.parametrize("name", sorted(plans.FLEETS))
def test_it_makes_what_terraform_says_and_the_plan_asks(written: Written, name: str) -> None:
    """The second run finds everything as described, and asks only."""
    script = written(name)
    said = script.says()
    asked = of_plan(script.plan)
    assert of_emulator(script.state(), asked) == asked
    assert of_terraform({**terraform.files(script.plan), **rendered.files(script.plan)}) == asked
    assert "APIs: enabling artifactregistry.googleapis.com iamcredentials.googleapis.com" in said
    before = script.state()
    script.google.log.clear()
    again = script.says()
    assert script.writes() == []
    assert script.state() == before
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


@pytest.mark.parametrize("name", sorted(plans.FLEETS))
def test_the_plugin_pulls(written: Written, name: str) -> None:
    """Who is named may pull; the exchange refuses the others of the same cluster."""
    script = written(name)
    script.says()
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


def test_drift_is_mended(written: Written, gcloud: Gcloud) -> None:
    """By hand: keys replaced, fields changed, disabled, a grant taken; one run undoes it all."""
    script = written("own")
    script.says()
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


def test_what_was_deleted_comes_back(written: Written, gcloud: Gcloud) -> None:
    """Its id cannot be used anew for thirty days: it is undeleted."""
    script = written("own")
    script.says()
    as_described = script.state()
    pool = ("--workload-identity-pool=k8s-prod-eu", "--location=global")
    gcloud.pools("providers", "delete", "k8s-prod-eu", *pool)
    gcloud.pools("delete", "k8s-prod-aws", "--location=global")
    said = script.says()
    assert "provider k8s-prod-eu: undeleting" in said
    assert "pool k8s-prod-aws: undeleting" in said
    assert script.state() == as_described


def test_a_grant_too_many(written: Written) -> None:
    """Is told, and taken away when asked; members that are not of these pools stay."""
    script = written("own")
    script.says()
    as_described = script.state()
    pool = pool_name(plans.NUMBER, "k8s-prod-eu")
    member = f"principalSet://iam.googleapis.com/{pool}/*"
    script.google.grant(IMAGES, READER, member)
    sentence = f"images: {member} has {READER}, which fleet.yaml does not give"
    assert f"{sentence}; --prune takes it away" in script.says()
    assert script.state() != as_described
    script.says("--prune")
    assert script.state() == as_described
    stranger = "serviceAccount:ci@elsewhere.iam.gserviceaccount.com"
    script.google.grant(IMAGES, READER, stranger)
    with_stranger = script.state()
    assert stranger not in script.says("--prune")
    assert script.state() == with_stranger


def test_a_dry_run_changes_nothing(written: Written, google: Emulator) -> None:
    """It asks Google, and prints the commands."""
    script = written("impersonation")
    before = script.state()
    said = script.says("--dry-run")
    assert "gcloud services enable artifactregistry.googleapis.com" in said
    assert script.writes() == []
    assert script.state() == before
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


def test_a_wrong_number_is_refused(written: Written) -> None:
    """Before anything is changed: every audience and member would name another project."""
    script = written("own")
    script.path.write_text(script.path.read_text().replace(f"NUMBER={plans.NUMBER}", "NUMBER=1"))
    before = script.state()
    done = script.run()
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "gcloud.sh: the project my-project has the number 123456789012, and fleet.yaml says 1."
        " Fix: correct google.projectId or google.projectNumber in fleet.yaml and render again;"
        " nothing was changed\n"
    )
    assert script.state() == before


def test_without_a_login(written: Written, tmp_path: Path) -> None:
    """Nothing is asked for, gcloud's own words and the remedy are shown."""
    script = written("own")
    done = script.run(CLOUDSDK_CONFIG=str(tmp_path / "nobody"))
    assert (done.returncode, done.stdout) == (1, "")
    assert "You do not currently have an active account selected" in done.stderr
    assert done.stderr.endswith("gcloud has no working credentials. Fix: gcloud auth login\n")
    assert script.writes() == []


def test_a_refusal_ends_it(written: Written) -> None:
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


def test_what_comes_late_is_waited_for(written: Written) -> None:
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

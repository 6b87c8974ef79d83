"""OpenTofu judges what is written as HCL: rendered files, and the module in deploy/terraform."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clients import opentofu
from clients.stand_in import made, played
from gcp_sa_credential_provider.fleet.plan import Plan
from gcp_sa_credential_provider.render import gcloud, terraform
from gcp_sa_credential_provider.render.hcl import Block, document
from kubelet.build import go_problem
from unit import plans
from unit.google_side import of_plan

MODULE = Path(__file__).parents[2] / "deploy" / "terraform"


@dataclass(frozen=True)
class Tofu:
    """The program, in one folder."""

    program: Path
    folder: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The finished process; it may reach nothing."""
        return subprocess.run(
            [str(self.program), *arguments],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.folder),
                "CHECKPOINT_DISABLE": "1",
                "HTTPS_PROXY": "http://127.0.0.1:9",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    def text(self, *arguments: str) -> str:
        """The output of a command that must succeed."""
        done = self.run(*arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def applied(self) -> dict[str, Any]:
        """All that `apply` made of the folder, from nothing."""
        self.text("init", "-backend=false", "-no-color")
        self.text("apply", "-auto-approve", "-no-color")
        state: dict[str, Any] = json.loads(self.text("show", "-json"))
        return state


@pytest.fixture
def tofu(tmp_path: Path) -> Tofu:
    """OpenTofu in an empty folder."""
    program = opentofu.program() if go_problem() is None else None
    if program is None or not program.exists():
        problem = go_problem() or "it was not built"
        message = f"OpenTofu: {problem}. Fix: PYTHONPATH=tests python -m clients.opentofu build"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    folder = tmp_path / "tofu"
    folder.mkdir()
    return Tofu(program, folder)


@pytest.fixture(params=sorted(plans.FLEETS))
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
    """The plan of each sample fleet."""
    return plans.plan(request.param, tmp_path)


def write(folder: Path, files: dict[str, str]) -> None:
    """Rendered files below a folder."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)


def test_rendered_files_are_formatted(tofu: Tofu, plan: Plan) -> None:
    """`tofu fmt` would change nothing."""
    write(tofu.folder, terraform.files(plan))
    assert tofu.text("fmt", "-check", "-diff", "-recursive") == ""


def test_the_module_is_formatted(tofu: Tofu) -> None:
    """With its submodule, examples and tests."""
    shutil.copytree(MODULE, tofu.folder / "module")
    assert tofu.text("fmt", "-check", "-diff", "-recursive") == ""


def test_what_is_rendered_makes_what_the_plan_asks(tofu: Tofu, plan: Plan) -> None:
    """Every expression evaluated by OpenTofu, with a stand-in for Google."""
    write(tofu.folder, gcloud.files(plan))
    folder = tofu.folder / "google" / "terraform"
    folder.mkdir()
    for path, text in terraform.files(plan).items():
        if not path.endswith("versions.tf"):
            (tofu.folder / path).write_text(played(text, plans.NUMBER))
    here = Tofu(tofu.program, folder)
    state = here.applied()
    assert made(state) == of_plan(plan)
    outputs = {name: output["value"] for name, output in state["values"]["outputs"].items()}
    assert outputs["audiences"] == {
        cluster.cluster.name: cluster.audience for cluster in plan.clusters
    }
    assert {member for members in outputs["principals"].values() for member in members} == {
        grant.member for grant in plan.grants if grant.repository
    }
    assert "No changes." in here.text("plan", "-no-color", "-detailed-exitcode")


def test_a_wrong_number_is_refused(tofu: Tofu, tmp_path: Path) -> None:
    """Before anything is made."""
    plan = plans.plan("own", tmp_path)
    write(tofu.folder, gcloud.files(plan))
    main = terraform.files(plan)["google/terraform/main.tf"]
    folder = tofu.folder / "google" / "terraform"
    write(folder, {"main.tf": played(main, "999999999999")})
    here = Tofu(tofu.program, folder)
    here.text("init", "-backend=false")
    done = here.run("apply", "-auto-approve", "-no-color")
    assert done.returncode == 1
    assert "does not have the number 123456789012" in " ".join(
        done.stderr.replace("│", " ").split()
    )
    assert not (folder / "terraform.tfstate").exists()


def _variables(description: dict[str, Any], plan: Plan) -> dict[str, Any]:
    """The module's variables for a fleet."""
    keys = {cluster.cluster.name: cluster.jwks for cluster in plan.clusters}
    accounts = {"google_service_account": "googleServiceAccount"}
    puller = accounts | {"cluster": "cluster", "namespace": "namespace"}
    puller |= {"service_account": "serviceAccount", "repositories": "repositories"}
    return {
        "project_id": description["google"]["projectId"],
        "shared_pool": description["google"].get("sharedPool"),
        "clusters": {
            cluster["name"]: {
                "issuer": cluster["issuer"],
                "jwks_json": keys[cluster["name"]],
                "google_service_account": cluster.get("googleServiceAccount"),
            }
            for cluster in description["clusters"]
        },
        "repositories": {
            repository["name"]: {
                "location": repository["location"],
                "project": repository.get("project"),
            }
            for repository in description["repositories"]
        },
        "pull": [
            {ours: entry.get(theirs) for ours, theirs in puller.items()}
            for entry in description["pull"]
        ],
    }


LONG = "a-rather-long-name-of-a-cluster-in-europe"


def _renamed(description: dict[str, Any], name: str) -> dict[str, Any]:
    """The first cluster under another name."""
    old = description["clusters"][0]["name"]
    description["clusters"][0]["name"] = name
    for entry in description["pull"]:
        if entry["cluster"] == old:
            entry["cluster"] = name
    return description


@pytest.mark.parametrize("name", [*sorted(plans.FLEETS), LONG])
def test_the_module_decides_as_the_tool_does(tofu: Tofu, tmp_path: Path, name: str) -> None:
    """Ids, display names, mappings, conditions, members: the same for the same fleets."""
    description = _renamed(plans.fleet("own"), LONG) if name == LONG else plans.fleet(name)
    plan = plans.plan_from(description, tmp_path)
    shutil.copytree(MODULE / "modules", tofu.folder / "modules")
    for file in MODULE.glob("*.tf"):
        if file.name != "versions.tf":
            (tofu.folder / file.name).write_text(played(file.read_text(), plans.NUMBER))
    variables = json.dumps(_variables(description, plan))
    (tofu.folder / "terraform.tfvars.json").write_text(variables)
    state = tofu.applied()
    assert made(state) == of_plan(plan)
    assert state["values"]["outputs"]["audiences"]["value"] == {
        cluster.cluster.name: cluster.audience for cluster in plan.clusters
    }


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("issuer", "http://kubernetes.default.svc", "An issuer begins with https://"),
        ("issuer", "https://oidc.eks.eu-west-1.amazonaws.com/id/A1", "EKS, AKS and GKE replace"),
        (
            "jwks_json",
            '{"keys": [{"n": "AQ", "d": "VERYSECRET"}]}',
            "no private key.",
        ),
        ("jwks_json", '{"keys": []}', "with a list of keys"),
        ("jwks_json", "-----BEGIN RSA PRIVATE KEY-----", "with a list of keys"),
        ("jwks_json", None, "Google cannot fetch from https://kubernetes.default"),
    ],
)
def test_the_module_refuses_issuers_and_keys(
    tofu: Tofu, tmp_path: Path, field: str, value: str | None, message: str
) -> None:
    """Before anything is planned; a private key is not quoted."""
    variables = _variables(plans.fleet("own"), plans.plan("own", tmp_path))
    variables["clusters"]["prod-eu"][field] = value
    said = _refusal(tofu, variables)
    assert message in said
    assert "VERYSECRET" not in said


def test_the_module_refuses_a_key_of_two_clusters(tofu: Tofu, tmp_path: Path) -> None:
    """However it is written, and whatever keys are beside it."""
    variables = _variables(plans.fleet("shared"), plans.plan("shared", tmp_path))
    clusters = variables["clusters"]
    both = [json.loads(clusters[name]["jwks_json"])["keys"] for name in ("one", "two")]
    clusters["two"]["jwks_json"] = json.dumps({"keys": [*both[1], *both[0]]}, indent=2)
    assert "Two clusters have a key in common" in _refusal(tofu, variables)


def test_the_module_refuses_an_account_that_undoes_a_limit(tofu: Tofu, tmp_path: Path) -> None:
    """By its name."""
    fleet = plans.fleet("impersonation")
    variables = _variables(fleet, plans.plan("impersonation", tmp_path))
    variables["repositories"]["secret"] = {"location": "europe"}
    limited = {"cluster": "edge", "namespace": "guests", "repositories": ["images"]}
    variables["pull"].append(limited)
    said = _refusal(tofu, variables)
    assert f"Entries of `pull` that impersonate {plans.ACCOUNT} are given different" in said


@pytest.mark.parametrize("both", [True, False], ids=["both fetched", "one uploaded"])
def test_the_module_refuses_a_public_issuer_of_two_clusters(
    tofu: Tofu, tmp_path: Path, *, both: bool
) -> None:
    variables = _variables(plans.fleet("shared"), plans.plan("shared", tmp_path))
    for name, cluster in variables["clusters"].items():
        cluster["issuer"] = "https://issuer.example.com"
        if both or name == "two":
            cluster["jwks_json"] = None
    assert "A public issuer has the keys of one cluster" in _refusal(tofu, variables)


def _refusal(tofu: Tofu, variables: dict[str, Any]) -> str:
    """What the module says to them, without the frame and the line breaks."""
    shutil.copytree(MODULE / "modules", tofu.folder / "modules")
    for file in MODULE.glob("*.tf"):
        if file.name != "versions.tf":
            (tofu.folder / file.name).write_text(played(file.read_text(), plans.NUMBER))
    (tofu.folder / "terraform.tfvars.json").write_text(json.dumps(variables))
    tofu.text("init", "-backend=false", "-no-color")
    done = tofu.run("plan", "-no-color")
    assert done.returncode == 1
    return " ".join((done.stdout + done.stderr).replace("│", " ").split())


def test_the_modules_own_tests(tofu: Tofu) -> None:
    """`tofu validate` and `tofu test` of the part that needs no provider."""
    folder = tofu.folder / "names"
    shutil.copytree(MODULE / "modules" / "names", folder)
    here = Tofu(tofu.program, folder)
    here.text("init", "-backend=false", "-no-color")
    here.text("validate", "-no-color")
    said = here.text("test", "-no-color")
    assert said.rstrip().endswith("0 failed.")
    assert said.count("... pass") > 10


def test_every_text_stays_that_text(tofu: Tofu) -> None:
    """Literals, as OpenTofu evaluates them."""
    texts = {
        "templates": "${var.x} %{ if y } $${z} %%{ $$ % $",
        "quotes": "a \"b\" 'c' \\d \\n",
        "lines": "one\ntwo\r\n\tthree",
        "others": "Zürich \x1b[31m \u2028 \U0001f512",
    }
    blocks = [Block("output", (name,), {"value": text}) for name, text in texts.items()]
    (tofu.folder / "main.tf").write_text(document(["# texts"], blocks))
    outputs = tofu.applied()["values"]["outputs"]
    assert {name: output["value"] for name, output in outputs.items()} == texts

"""The rendered script as text: its quoting, its keys, its comments. tests/clients runs it."""

import json
import shlex
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from gcp_sa_credential_provider.fleet.plan import Plan
from gcp_sa_credential_provider.render import gcloud
from gcp_sa_credential_provider.render.gcloud import pairs
from gcp_sa_credential_provider.render.shell import Verbatim, command
from unit import plans


@pytest.fixture(params=sorted(plans.FLEETS))
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
    """The plan of each sample fleet."""
    return plans.plan(request.param, tmp_path)


def calls(plan: Plan) -> list[list[str]]:
    """The words of each call in `converge`, as a shell reads them."""
    text = gcloud.files(plan)[gcloud.SCRIPT]
    body = text.partition("converge() {\n")[2].partition("\n}\n")[0]
    lexer = shlex.shlex(body.replace("\\\n", " "), posix=True, punctuation_chars="\n")
    lexer.whitespace, lexer.whitespace_split = " ", True
    found: list[list[str]] = [[]]
    for word in lexer:
        if word.strip("\n"):
            found[-1].append(word)
        else:
            found.append([])
    return [words for words in found if words]


def test_bash_reads_it(plan: Plan) -> None:
    """Without running it."""
    script = gcloud.files(plan)[gcloud.SCRIPT]
    done = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_grant_is_a_word(plan: Plan) -> None:
    """Roles, places and members, as the plan has them."""
    granted = {
        (words[1], words[4], member)
        for words in calls(plan)
        if words[0] == "grant"
        for member in words[words.index("--") + 1 :]
    }
    assert granted == {
        (
            grant.role,
            grant.repository.name if grant.repository else grant.account,
            grant.member,
        )
        for grant in plan.grants
    }


def test_providers_are_words(plan: Plan) -> None:
    """What is compared with Google's answer, and what is sent."""
    found = {words[2]: words for words in calls(plan) if words[0] == "provider"}
    assert set(found) == {cluster.provider for cluster in plan.clusters}
    for cluster in plan.clusters:
        words = found[cluster.provider]
        wanted = json.loads(words[4])
        assert wanted.get("attributeCondition") == cluster.condition
        assert wanted["attributeMapping"] == cluster.mapping
        assert wanted["oidc"] == {"issuerUri": cluster.issuer}
        assert f"--attribute-condition={cluster.condition or ''}" in words
        assert f"--issuer-uri={cluster.issuer}" in words


def test_keys_are_written_where_they_are_uploaded(tmp_path: Path) -> None:
    """One file for each such cluster, which Terraform reads as well."""
    plan = plans.plan("own", tmp_path)
    files = gcloud.files(plan)
    assert set(files) == {gcloud.SCRIPT, "google/jwks/prod-eu.json"}
    assert json.loads(files["google/jwks/prod-eu.json"]) == json.loads(plan.clusters[0].jwks or "")
    by_cluster = {words[2]: words[3] for words in calls(plan) if words[0] == "provider"}
    assert by_cluster == {"k8s-prod-eu": "$HERE/jwks/prod-eu.json", "k8s-prod-aws": "/dev/null"}


def test_accounts_of_other_projects_are_not_made(tmp_path: Path) -> None:
    """Their owners make them."""
    made = [
        words[2] for words in calls(plans.plan("impersonation", tmp_path)) if words[0] == "account"
    ]
    assert made == [plans.FRESH, plans.ACCOUNT]


def test_a_repository_that_nobody_pulls_from_any_more(tmp_path: Path) -> None:
    """Is looked at all the same: the last grant on it is told, and goes with --prune."""
    described = plans.fleet("own")
    for puller in described["pull"]:
        puller["repositories"] = ["images"]
    plan = plans.plan_from(described, tmp_path)
    [words] = [words for words in calls(plan) if words[0] == "grant" and words[4] == "shared"]
    assert (words[1], words[-1]) == ("roles/artifactregistry.reader", "--")
    member = f"principalSet://iam.googleapis.com/projects/{plans.NUMBER}/locations/global"
    member += "/workloadIdentityPools/k8s-prod-aws/*"
    functions = resources.files("gcp_sa_credential_provider.render").joinpath("gcloud.sh")
    script = f"""set -euo pipefail
NUMBER={plans.NUMBER} POOLS=(k8s-prod-aws) DRY_RUN='' NEW_ACCOUNTS='' ERRORS={tmp_path}/errors
gcloud() {{ echo "$3" >>{tmp_path}/asked; echo '{member}'; }}
{functions.read_text(encoding="utf-8")}
{command(words)}
"""
    for prune, asked in (("", 1), ("yes", 3)):
        done = subprocess.run(
            ["bash", "-c", f"PRUNE={prune}\n{script}"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{member}" in done.stdout
        assert len((tmp_path / "asked").read_text().splitlines()) == asked
    assert (tmp_path / "asked").read_text().splitlines()[-1] == "remove-iam-policy-binding"


@pytest.mark.parametrize("prune", ["", "yes"])
def test_accounts_that_no_longer_pull_from_a_repository(tmp_path: Path, prune: str) -> None:
    """Those that the script makes are told, or taken with --prune; the fleet's others told."""
    described = plans.fleet("impersonation")
    described["repositories"] = plans.fleet("own")["repositories"]
    for puller in described["pull"][1:]:
        puller["repositories"] = ["images"]
    plan = plans.plan_from(described, tmp_path)
    [words] = [words for words in calls(plan) if words[0] == "grant" and words[4] == "shared"]
    made, kept, other = (
        f"serviceAccount:{email}" for email in (plans.FRESH, plans.ACCOUNT, plans.FOREIGN)
    )
    assert words[words.index("--") + 1 :] == [kept]
    strangers = [
        "serviceAccount:ci@my-project.iam.gserviceaccount.com",
        f"group:{plans.FRESH}",
        f"{made}.example.com",
    ]
    have = "\n".join([made, kept, other, *strangers])
    text = gcloud.files(plan)[gcloud.SCRIPT].removesuffix('main "$@"\n')
    script = f"""{text}
DRY_RUN='' PRUNE={prune} NEW_ACCOUNTS='' ERRORS={tmp_path}/errors
gcloud() {{ echo "$@" >>{tmp_path}/asked; echo '{have}'; }}
{command(words)}
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    role = "roles/artifactregistry.reader"
    too_much = f"has {role}, which fleet.yaml does not give"
    left = "--prune leaves accounts that this script does not make"
    assert done.stdout.splitlines() == [
        f"shared: {kept} has {role}",
        f"shared: taking {role} from {made}"
        if prune
        else f"shared: {made} {too_much}; --prune takes it away",
        f"shared: {other} {too_much}; {left}: take it away by hand, if nothing else needs it",
    ]
    taken = [line for line in (tmp_path / "asked").read_text().splitlines() if "remove" in line]
    assert [shlex.split(line)[-2] for line in taken] == ([f"--member={made}"] if prune else [])


def test_grants_of_more_than_a_pipe_holds_are_found_again(tmp_path: Path) -> None:
    """A pipe from them breaks when its reader has seen enough; nothing is granted or taken away."""
    functions = resources.files("gcp_sa_credential_provider.render").joinpath("gcloud.sh")
    place = "projects/1/locations/global/workloadIdentityPools/k8s-prod"
    account = "x" * 900
    members = [
        f"principal://iam.googleapis.com/{place}/subject/system:serviceaccount:n{number}:{account}"
        for number in range(200)
    ]
    (tmp_path / "have").write_text("\n".join(members) + "\n")
    call = command(
        ["grant", "roles/reader", "artifacts", "repositories", "images", "--", *members[:20]]
    )
    script = f"""set -euo pipefail
NUMBER=1 POOLS=(k8s-prod) DRY_RUN='' PRUNE='' NEW_ACCOUNTS='' ERRORS={tmp_path}/errors
gcloud() {{ if [ "$3" = get-iam-policy ]; then cat {tmp_path}/have; else exit 9; fi; }}
{functions.read_text(encoding="utf-8")}
{call}
"""
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    said = done.stdout.splitlines()
    assert sum(line.endswith("has roles/reader") for line in said) == 20
    assert sum("--prune takes it away" in line for line in said) == 180
    assert len(said) == 200


def test_decisions_are_comments(tmp_path: Path) -> None:
    """On pools, keys, mapping and condition."""
    plan = plans.plan("shared", tmp_path)
    text = gcloud.files(plan)[gcloud.SCRIPT]
    for topic in {decision.topic for decision in plan.clusters[0].decisions}:
        assert (f"  # {topic}: " in text) == (topic in ("pool", "keys", "mapping", "condition"))


@pytest.mark.parametrize("text", ["", "a b", "it's", "$(id)", "`id`", "a\nb", "-x", "*", '"', "\\"])
def test_words(text: str) -> None:
    """Bash gives back what was quoted."""
    script = command(["printf", "%s|", text, "x" * 90])
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout.decode() == f"{text}|{'x' * 90}|"


def test_verbatim_words_are_expanded() -> None:
    """Only these."""
    script = "HERE=/x; " + command(["printf", "%s|", Verbatim('"$HERE"/y'), "$HERE"])
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=True)
    assert done.stdout == b"/x/y|$HERE|"


@pytest.mark.parametrize(
    ("mapping", "flag"),
    [
        ({"google.subject": "assertion.sub"}, "google.subject=assertion.sub"),
        ({"a": "1", "b": "x == y"}, "a=1,b=x == y"),
        ({"a": "f(x, y)", "b": "2"}, "^;^a=f(x, y);b=2"),
        ({"a": "f(x, y);", "b": "2"}, "^|^a=f(x, y);|b=2"),
    ],
)
def test_pairs(mapping: dict[str, str], flag: str) -> None:
    """A separator that does not occur (gcloud topic escaping)."""
    assert pairs(mapping) == flag

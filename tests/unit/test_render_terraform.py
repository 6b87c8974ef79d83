"""What is rendered for Terraform, parsed again: it says the plan, and the provider takes it."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gcp_sa_credential_provider.fleet.plan import Plan
from gcp_sa_credential_provider.render import gcloud, iam, terraform
from gcp_sa_credential_provider.render.hcl import Block, Call, Expression, document, label, quoted
from unit import plans
from unit.google_side import PROVIDERS, literal, of_plan, of_terraform, resources

SCHEMA = json.loads(Path(__file__).with_name("google_provider.json").read_text())
META = ("for_each", "depends_on", "lifecycle")


@pytest.fixture(params=sorted(plans.FLEETS))
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
    """The plan of each sample fleet."""
    return plans.plan(request.param, tmp_path)


def rendered(plan: Plan) -> dict[str, str]:
    return {**terraform.files(plan), **gcloud.files(plan)}


def check(where: str, body: dict[str, Any], schema: dict[str, Any]) -> None:
    """Every argument and block is the provider's, and nothing required is left out."""
    given = set(body) - set(META)
    arguments, blocks = schema["arguments"], schema["blocks"]
    assert given <= set(arguments) | set(blocks), where
    required = {name for name, needed in arguments.items() if needed}
    required |= {name for name, block in blocks.items() if block["required"]}
    assert required <= given, where
    for name in given & set(blocks):
        for block in body[name]:
            check(f"{where}.{name}", block, blocks[name])


def test_it_says_what_the_plan_says(plan: Plan) -> None:
    """Pools, providers, keys, accounts and grants."""
    assert of_terraform(rendered(plan)) == of_plan(plan)


def test_the_provider_takes_it(plan: Plan) -> None:
    """Types, arguments and blocks, by the published bindings."""
    text = terraform.files(plan)["google/terraform/main.tf"]
    for kind in ("resource", "data"):
        for type_, name, body in resources(text, kind):
            check(f"{type_}.{name}", body, SCHEMA[kind][type_])


def test_attributes_that_are_referred_to_are_there(plan: Plan) -> None:
    """`TYPE.NAME.ATTRIBUTE`, by the published bindings."""
    text = "".join(terraform.files(plan).values())
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    found = set(re.findall(r"(data\.)?(google_\w+)\.[\w-]+\.(\w+)", code))
    assert found
    for data, type_, attribute in found:
        assert attribute in SCHEMA["data" if data else "resource"][type_]["attributes"]


def test_every_name_is_used_once(plan: Plan) -> None:
    """Two resources of one type and name would be refused."""
    text = terraform.files(plan)["google/terraform/main.tf"]
    names = [(type_, name) for type_, name, _ in resources(text)]
    assert len(names) == len(set(names))


def references(text: str) -> set[str]:
    """`TYPE.NAME` of what is referred to, outside comments."""
    code = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return set(re.findall(r"(?:data\.)?google_\w+\.[\w-]+", code))


def test_references_lead_somewhere(plan: Plan) -> None:
    """In all files: to a resource that is there."""
    texts = terraform.files(plan).values()
    known = {
        ("" if kind == "resource" else "data.") + f"{type_}.{name}"
        for text in texts
        for kind in ("resource", "data")
        for type_, name, _ in resources(text, kind)
    }
    found = {reference for text in texts for reference in references(text)}
    assert found
    assert found <= known


def test_what_iam_checks_is_waited_for(tmp_path: Path) -> None:
    """IAM refuses a principal of a pool, or an account, that is not there yet."""
    text = terraform.files(plans.plan("impersonation", tmp_path))["google/terraform/main.tf"]
    needed = {
        (type_, name): body["depends_on"]
        for type_, name, body in resources(text)
        if type_.endswith("_iam_member")
    }
    api = "${google_project_service.api}"
    fresh = f"${{google_service_account.{label('fresh-one')}}}"
    puller = f"${{google_service_account.{label('puller')}}}"
    pool = "${google_iam_workload_identity_pool.k8s-lab}"
    assert set(
        needed["google_artifact_registry_repository_iam_member", "my-project_europe_images"]
    ) == {
        api,
        fresh,
        puller,
    }
    assert needed["google_service_account_iam_member", "fresh-one"] == [api, pool]


def test_the_number_is_checked_before_anything_is_made(tmp_path: Path) -> None:
    """All that is made takes the project from the block that compares its number."""
    text = terraform.files(plans.plan("own", tmp_path))["google/terraform/main.tf"]
    [(_, name, body)] = resources(text, "data")
    [lifecycle] = body["lifecycle"]
    [condition] = lifecycle["postcondition"]
    assert name == "pools"
    assert condition["condition"] == '${self.number == "123456789012"}'
    of_ours = [body["project"] for type_, _, body in resources(text) if "_iam_member" not in type_]
    assert set(of_ours) == {"${data.google_project.pools.project_id}"}


def test_an_account_of_another_project_is_not_made(tmp_path: Path) -> None:
    """It is granted on by its e-mail alone."""
    text = terraform.files(plans.plan("impersonation", tmp_path))["google/terraform/main.tf"]
    accounts = [
        literal(body["service_account_id"]) for _, name, body in resources(text) if "other" in name
    ]
    assert accounts == [f"projects/other-project/serviceAccounts/{plans.FOREIGN}"]


@pytest.mark.parametrize(
    ("email", "project"),
    [
        ("a@my-project.iam.gserviceaccount.com", "my-project"),
        ("a@name.example.com.iam.gserviceaccount.com", "example.com:name"),
        ("123456789012-compute@developer.gserviceaccount.com", "123456789012"),
        ("my-app@appspot.gserviceaccount.com", "my-app"),
        ("somebody@example.com", plans.PROJECT),
    ],
)
def test_projects_of_accounts(tmp_path: Path, email: str, project: str) -> None:
    """The e-mail says it; default accounts are never made here."""
    plan = replace(plans.plan("own", tmp_path), service_accounts=(email,))
    assert iam.account_project(plan, email) == project
    assert dict(iam.created_accounts(plan)) == (
        {email: "a"} if project == plans.PROJECT and email[:2] == "a@" else {}
    )


def test_fetched_keys_are_not_uploaded(tmp_path: Path) -> None:
    """Google fetches EKS's keys, which change every week."""
    text = terraform.files(plans.plan("own", tmp_path))["google/terraform/main.tf"]
    keys = {
        name: "jwks_json" in body["oidc"][0]
        for type_, name, body in resources(text)
        if type_ == PROVIDERS
    }
    assert keys == {"prod-eu": True, "prod-aws": False}


def test_another_universe(tmp_path: Path) -> None:
    """The provider is told; the audience names it."""
    description = plans.fleet("own")
    description["google"]["universeDomain"] = "s3nsapis.fr"
    for repository in description["repositories"]:
        project = repository.get("project", plans.PROJECT)
        repository["imagePrefix"] = f"docker.s3nsregistry.fr/s3ns/{project}/{repository['name']}/"
    files = terraform.files(plans.plan_from(description, tmp_path))
    assert '  universe_domain = "s3nsapis.fr"\n' in files["google/terraform/versions.tf"]
    assert '"//iam.s3nsapis.fr/${google_iam' in files["google/terraform/outputs.tf"]


def test_decisions_are_comments(plan: Plan) -> None:
    """Those on Google's side, and no line of them is code."""
    text = terraform.files(plan)["google/terraform/main.tf"]
    plain = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    for cluster in plan.clusters:
        for decision in cluster.decisions:
            if decision.topic in ("keys", "mapping", "condition"):
                assert " ".join(f"{decision.choice}. {decision.reason}".split()) in plain


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", '""'),
        ('say "x"', r'"say \"x\""'),
        (r"a\b", r'"a\\b"'),
        ("two\nlines\tand\r", r'"two\nlines\tand\r"'),
        ("${var.x}", '"$${var.x}"'),
        ("%{ if x }", '"%%{ if x }"'),
        ("$${x}", r'"\u0024$${x}"'),
        ("100 %, 5 $", '"100 %, 5 $"'),
        ("\x00\x1b\u2028", r'"\U00000000\U0000001b\U00002028"'),
        ("Zürich", '"Zürich"'),
    ],
)
def test_literals(text: str, written: str) -> None:
    """A text stays that text: no template, no end of the literal, no control character."""
    assert quoted(text) == written
    assert literal(written) == text


@pytest.mark.parametrize(
    ("text", "name"),
    [("prod-eu", "prod-eu"), ("a_b", "a_b"), ("1st", "_1st_"), ("Prod", "prod_"), ("a/b", "a_b_")],
)
def test_names_of_resources(text: str, name: str) -> None:
    """Plain names stay; others get a hash, so that no two become one."""
    hashed = "" if name == text else "[0-9a-f]{8}"
    assert re.fullmatch(re.escape(name) + hashed, label(text))


def test_different_texts_have_different_names() -> None:
    """Also where only the replaced letters differ."""
    texts = ["a.b", "a/b", "a_b", "A_b", "a:b", "a b", "_a_b"]
    assert len({label(text) for text in texts}) == len(texts)


def test_layout() -> None:
    """As `tofu fmt` has it: neighbours aligned, what takes lines stands alone."""
    block = Block(
        "resource",
        ("thing", "one"),
        {
            "for_each": Call("toset", ["a"]),
            "id": "x",
            "longer": True,
            "map": {"a.b": "1", "c": Expression("var.c")},
            "none": {},
            "depends_on": [Expression("thing.two")],
        },
        (Block("inner", arguments={"x": ["y", "z"]}), Block("empty")),
        ["# why"],
    )
    assert (
        document(["# head"], [block])
        == """\
# head

# why
resource "thing" "one" {
  for_each = toset([
    "a",
  ])

  id     = "x"
  longer = true

  map = {
    "a.b" = "1"
    "c"   = var.c
  }

  none = {}

  depends_on = [thing.two]

  inner {
    x = [
      "y",
      "z",
    ]
  }

  empty {}
}
"""
    )

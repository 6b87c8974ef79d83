"""render/readme.py: the steps of a fleet, its members and its reasons."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from gcp_sa_credential_provider.fleet.plan import Decision, Plan
from gcp_sa_credential_provider.render import files, readme
from gcp_sa_credential_provider.version import VERSION
from unit import plans


@pytest.fixture(params=plans.FLEETS)
def plan(request: pytest.FixtureRequest, tmp_path: Path) -> Plan:
    """Each fleet in turn."""
    return plans.plan(request.param, tmp_path)


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next of its level."""
    found = re.search(rf"^## {re.escape(heading)}$(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    assert found, heading
    return found[1]


def commands(text: str) -> list[str]:
    """Lines of its blocks of code."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def test_the_steps_stand_in_their_order(plan: Plan) -> None:
    headings = re.findall(r"^## (.*)$", readme.text(plan), re.MULTILINE)
    assert headings == [
        "1. Google",
        "2. Clusters",
        "3. Nodes",
        "4. A pull",
        "Who is granted what",
        *(f"Cluster {cluster.cluster.name}" for cluster in plan.clusters),
        "When fleet.yaml changes",
    ]


def test_every_grant_stands_under_its_resource(plan: Plan) -> None:
    """And nothing else does."""
    told = set()
    for part in section(readme.text(plan), "Who is granted what").split("\n### ")[1:]:
        heading, _, below = part.partition("\n")
        role, where = re.fullmatch(
            r"(\S+) on the (?:repository|service account) `(.*)`", heading
        ).groups()  # type: ignore[union-attr] # a heading of another form is to fail here
        told |= {(role, where, member) for member in re.findall(r"^- `(.*)`$", below, re.MULTILINE)}
    assert told == {
        (
            grant.role,
            f"projects/{there.project}/locations/{there.location}/repositories/{there.name}"
            if (there := grant.repository)
            else grant.account,
            grant.member,
        )
        for grant in plan.grants
    }


def test_every_decision_stands_with_its_reason(plan: Plan) -> None:
    text = readme.text(plan).replace("\\", "")
    for cluster in plan.clusters:
        below = section(text, f"Cluster {cluster.cluster.name}")
        for decision in cluster.decisions:
            assert f"- **{decision.topic}**: {decision.choice}. {decision.reason}" in below
        assert f"- audience: `{cluster.audience}`" in below
        assert f"- condition: `{cluster.condition}`" in below or cluster.condition is None


def test_every_file_it_speaks_of_is_rendered(plan: Plan) -> None:
    """Links, and arguments of commands."""
    text = readme.text(plan)
    made = files.files_of(plan)
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    assert {*links} <= {*made}
    applied = [
        words[-1]
        for line in commands(text)
        if (words := shlex.split(line))[:1] == ["kubectl"] and "apply" in words
    ]
    assert sorted(applied) == [path for path in made if path.endswith("/kubernetes.yaml")]
    assert "google/gcloud.sh" in commands(text)
    assert "terraform -chdir=google/terraform apply" in commands(text)
    assert "google/terraform/main.tf" in made


def test_a_pull_is_tried_as_somebody_who_may(plan: Plan) -> None:
    """Of each cluster, from a repository that it may pull from."""
    runs = [shlex.split(line) for line in commands(readme.text(plan)) if " run " in line]
    assert len(runs) == len(plan.clusters)
    for words, cluster in zip(runs, plan.clusters, strict=True):
        first = cluster.pullers[0]
        assert f"--namespace={first.namespace or 'default'}" in words
        account = first.service_account or "default"
        assert f'--overrides={{"spec": {{"serviceAccountName": "{account}"}}}}' in words
        [image] = [word for word in words if word.startswith("--image=")]
        prefix = image.removeprefix("--image=").removesuffix("IMAGE:TAG")
        assert any(prefix.startswith(match) for match in cluster.match_images)


def test_waiting_times_are_told(plan: Plan) -> None:
    """With where they come from."""
    google = section(readme.text(plan), "1. Google")
    assert "about 70 seconds" in google
    assert "third-party measurements" in google


def test_what_must_be_there_is_told(tmp_path: Path) -> None:
    """Repositories, and accounts of other projects."""
    google = section(readme.text(plans.plan("impersonation", tmp_path)), "1. Google")
    assert f"they must be there: `europe-docker.pkg.dev/{plans.PROJECT}/images`." in google
    assert f"So must these service accounts: `{plans.FOREIGN}`." in google
    assert "service accounts" not in section(readme.text(plans.plan("own", tmp_path)), "1. Google")


def test_nodes(tmp_path: Path) -> None:
    """Each group once, by the chart where that can be."""
    described = plans.fleet("own")
    described["clusters"][0]["nodes"].append(
        {"name": "fixed", "distribution": "talos", "kubernetes": "1.35"}
    )
    nodes = section(readme.text(plans.plan_from(described, tmp_path)), "3. Nodes")
    page = "prod-eu/fixed/README.md"
    assert f"| prod-eu | fixed, talos | 1.35 | no | [{page}]({page}) |" in nodes
    values = "prod-eu/helm-values.yaml"
    page = "prod-eu/workers/README.md"
    assert f"| prod-eu | workers, k3s | 1.34 | [{values}]({values}) | [{page}]({page}) |" in nodes


def test_the_charts_command(plan: Plan) -> None:
    """For each cluster with nodes for it: that cluster's, and from the README's own directory."""
    charts = [shlex.split(line) for line in commands(readme.text(plan)) if line.startswith("helm ")]
    made = {path for path in files.files_of(plan) if path.endswith("/helm-values.yaml")}
    values = [word for words in charts for word in words if word.startswith("--values=")]
    assert sorted(values) == [f"--values={path}" for path in sorted(made)]
    for words in charts:
        assert words[1:4] == ["--kube-context=CONTEXT", "upgrade", "--install"]
        assert "CHECKOUT/deploy/helm/gcp-sa-credential-provider" in words
    assert "CHECKOUT is" in section(readme.text(plan), "3. Nodes")


def test_the_charts_image_is_there_before_the_chart(plan: Plan) -> None:
    """Built, and brought to where the chart's command has nodes look for it."""
    lines = commands(section(readme.text(plan), "3. Nodes"))
    assert lines[0] == "make --directory=CHECKOUT image"
    copy = shlex.split(lines[1])
    assert copy[:3] == ["skopeo", "copy", "--all"]
    archive = f"CHECKOUT/dist/gcp-sa-credential-provider-{VERSION}-image.tar:{VERSION}"
    assert copy[3] == f"oci-archive:{archive}"
    (repository,) = {word for line in lines[2:] for word in shlex.split(line) if "REGISTRY" in word}
    assert copy[4:] == [f"docker://{repository.removeprefix('--set=image.repository=')}:{VERSION}"]
    assert all(line.startswith("helm ") for line in lines[2:])


def test_nodes_that_cannot_be_set_up(tmp_path: Path) -> None:
    """Are told of where all groups stand, not only in a page of their own."""
    described = plans.fleet("own")
    cluster = described["clusters"][0] | {"kubernetes": "1.34"}
    described["clusters"][0] = cluster
    cluster["nodes"] = [
        {"name": "rocket", "distribution": "bottlerocket", "kubernetes": "1.34"},
        {"name": "fixed", "distribution": "talos", "kubernetes": "1.33"},
        {"name": "worker", "distribution": "openshift", "kubernetes": "1.33"},
        {"name": "later", "distribution": "talos", "kubernetes": "1.34"},
    ]
    nodes = section(readme.text(plans.plan_from(described, tmp_path)), "3. Nodes")
    assert [line.partition(":")[0] for line in nodes.splitlines() if line.startswith("- ")] == [
        "- **prod-eu/rocket cannot be set up**",
        "- **prod-eu/fixed cannot be set up**",
        "- **prod-eu/worker cannot be set up**",
    ]


def test_what_goes_from_a_cluster_is_told(plan: Plan) -> None:
    """`kubectl apply` takes nothing away: here is how to find what is left."""
    below = section(readme.text(plan), "When fleet.yaml changes")
    assert "--field-selector=metadata.name=gcp-sa-credential-provider-tokens" in below
    assert "annotation" in below or not any(cluster.annotations for cluster in plan.clusters)


def test_what_goes_from_google_is_told(plan: Plan) -> None:
    """The script takes grants away, and nothing else: here is what deletes the rest."""
    below = section(readme.text(plan), "When fleet.yaml changes")
    place = f"--location=global --project={plans.PROJECT}"
    shared = plan.fleet.google.shared_pool
    delete = (
        f"providers delete PROVIDER --workload-identity-pool={shared} {place}"
        if shared
        else f"delete POOL {place}"
    )
    assert f"gcloud iam workload-identity-pools {delete}" in commands(below)
    assert f"until its {'provider' if shared else 'pool'} is deleted" in below


def test_whose_grants_are_pruned_is_told(tmp_path: Path) -> None:
    """Of accounts too, where there are any: of those that the script makes, not of others."""
    below = {
        name: section(readme.text(plans.plan(name, tmp_path)), "When fleet.yaml changes")
        for name in plans.FLEETS
    }
    made = ", and of the service accounts above that it makes, on the repositories"
    others = f"It tells of those of other service accounts (`{plans.FOREIGN}`)"
    assert {name for name, text in below.items() if made in text} == {"impersonation", "within"}
    assert {name for name, text in below.items() if others in text} == {"impersonation"}


def test_without_nodes(tmp_path: Path) -> None:
    """What is missing is said, and no chart is spoken of."""
    described = plans.fleet("own")
    for cluster in described["clusters"]:
        del cluster["nodes"]
    nodes = section(readme.text(plans.plan_from(described, tmp_path)), "3. Nodes")
    assert "fleet.yaml names no nodes of prod-eu, prod-aws: add `nodes`, and render again." in nodes
    assert "|" not in nodes
    assert "chart" not in nodes


def test_the_gate_of_the_api_server_is_remembered(tmp_path: Path) -> None:
    described = plans.fleet("own")
    described["clusters"][0] |= {"kubernetes": "1.33", "apiServerGate": True}
    clusters = section(readme.text(plans.plan_from(described, tmp_path)), "2. Clusters")
    assert "Cluster prod-eu is at 1.33, and fleet.yaml says that its API server has" in clusters
    assert "prod-aws is at" not in clusters


def test_texts_of_people_stay_texts(tmp_path: Path) -> None:
    """A key's name or an issuer neither breaks out of its line nor becomes markup."""
    made = plans.plan("own", tmp_path)
    hostile = Decision("keys", "left out: kid 'a'\n\n# b <img src=x> [c](d) `e`", "*f*")
    cluster = replace(made.clusters[0], decisions=(hostile,), issuer="https://a/``b`c\n# d")
    text = readme.text(replace(made, clusters=(cluster, *made.clusters[1:])))
    assert "- **keys**: left out: kid 'a'  # b \\<img src=x> \\[c](d) \\`e\\`. \\*f\\*\n" in text
    assert "- issuer: ``` https://a/``b`c # d ```\n" in text

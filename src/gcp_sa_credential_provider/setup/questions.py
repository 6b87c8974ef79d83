"""What must be known, and is not: one question for each thing that nothing has said yet.

Pure, but for the asking, which `ask` does. Nothing is asked that a flag, the cluster or the fleet
as it is says.
"""

import argparse
from dataclasses import dataclass, replace
from typing import Any, get_args

from gcp_sa_credential_provider.cluster.distributions import Detected
from gcp_sa_credential_provider.fleet.model import (
    Cluster,
    Distribution,
    Fleet,
    KeySource,
    Repository,
)
from gcp_sa_credential_provider.setup import keys, words
from gcp_sa_credential_provider.setup.ask import Question
from gcp_sa_credential_provider.setup.source import Source, assumed

DISTRIBUTIONS: tuple[str, ...] = get_args(Distribution)


@dataclass(frozen=True)
class Known:
    """All that is said; None or empty: not said, and not needed either once it was asked for."""

    name: str | None
    project_id: str | None
    project_number: str | None
    keys: KeySource | None
    minor: str | None
    distribution: str | None
    repositories: tuple[Repository, ...]
    pull: tuple[words.Pull, ...]


def known(args: argparse.Namespace, source: Source, previous: Cluster | None) -> Known:
    """What flags, the cluster and its present entry say."""
    seen = source.observed
    same_issuer = previous is not None and previous.issuer == seen.issuer.issuer
    return Known(
        name=args.name,
        project_id=args.project_id,
        project_number=args.project_number,
        keys=args.keys or (previous.keys if previous and same_issuer else None),
        minor=seen.minor or args.kubernetes or (previous.kubernetes if previous else None),
        distribution=args.distribution,
        repositories=tuple(args.repository or ()),
        pull=tuple(args.pull or ()),
    )


def name_question(source: Source) -> Question:
    """What to call the cluster: it decides what is known already, so it comes first."""
    return Question(
        "name",
        "--name CLUSTER",
        "Name of the cluster",
        words.cluster_name,
        default=source.suggested_name,
    )


def others(
    said: Known, source: Source, fleet: Fleet | None, previous: Cluster | None
) -> list[Question]:
    """The open questions, in the order of asking. Raises what `keys.choose` raises."""
    issuer = source.observed.issuer.issuer
    questions: list[Question] = []

    def need(field: str, flag: str, text: str, parse: Any, **more: Any) -> None:
        questions.append(Question(field, flag, text, parse, **more))

    if fleet is None:
        if not said.project_id:
            need("project_id", "--project-id ID", "Google project id", words.project_id)
        if not said.project_number:
            text = "Google project number"
            need("project_number", "--project-number NUMBER", text, words.project_number)
    if keys.choose(issuer, distributions(source), said.keys) is None:
        need(
            "keys",
            "--keys uploaded|fetched",
            f"Keys: can Google fetch {issuer}/.well-known/openid-configuration from the internet,"
            " by a public certificate (fetched), or not (uploaded)",
            _one_of("uploaded", "fetched"),
            default="uploaded",
        )
    if not said.minor:
        need("minor", "--kubernetes MINOR", "Kubernetes minor, as in 1.34", words.minor)
    if not (
        source.observed.groups
        or source.observed.left_out
        or said.distribution
        or (previous and previous.nodes)
    ):
        text = f"Distribution of its nodes ({', '.join(DISTRIBUTIONS)})"
        need("distribution", "--distribution NAME", text, _one_of(*DISTRIBUTIONS))
    if not (said.repositories or (fleet and fleet.repositories)):
        need(
            "repositories",
            "--repository PREFIX",
            "Repository, as its images begin (europe-docker.pkg.dev/PROJECT/NAME)",
            words.repository,
            many=True,
        )
    pulling = fleet.pull if fleet else ()
    if not (said.pull or any(puller.cluster == said.name for puller in pulling)):
        text = "Who may pull (NAMESPACE/SERVICEACCOUNT, NAMESPACE, or * for all of the cluster)"
        need("pull", "--pull WHO", text, words.pull, many=True)
    return questions


def distributions(source: Source) -> set[str]:
    """Of all nodes that were seen, those that are left out included."""
    return {group.distribution for group in source.observed.groups} | {
        "gke" for some in source.observed.left_out if some.reason.startswith("GKE")
    }


def nodes(said: Known, source: Source, args: argparse.Namespace) -> Source:
    """The source with the nodes that an answer tells of."""
    seen = source.observed
    if seen.groups or not said.distribution or not said.minor:
        return source
    detected = Detected(said.distribution, "as its operator says", "terminal")
    groups = assumed(detected, said.minor, args.architecture)
    return replace(source, observed=replace(seen, groups=groups))


def _one_of(*choices: str) -> Any:
    def parse(text: str) -> str:
        if text not in choices:
            raise ValueError(f"{text!r} is none of {', '.join(choices)}")
        return text

    return parse

"""What is wrong with the repositories, each and between them.

Imports the rooms of fleet and google. Findings have places below `repositories`. Where images are:
Artifact Registry, "Repository and image names" and "gcr.io repositories".
"""

from collections.abc import Iterator, Mapping

from gcp_sa_credential_provider.fleet.decide import image_prefix, repository_id
from gcp_sa_credential_provider.fleet.model import Google, Repository
from gcp_sa_credential_provider.fleet.problem import Finding
from gcp_sa_credential_provider.fleet.values import GCR
from gcp_sa_credential_provider.google import names


def findings(google: Google, repositories: Mapping[int, Repository]) -> Iterator[Finding]:
    """Everything, in no order."""
    before: list[Repository] = []
    for index, repository in repositories.items():
        for field, message, fix in (
            *_twice(google, repository, before),
            *_place(google, repository),
        ):
            yield Finding((index, field), message, fix)
        before.append(repository)


def _twice(
    google: Google, repository: Repository, before: list[Repository]
) -> Iterator[tuple[str, str, str]]:
    for earlier in before:
        if earlier.name == repository.name:
            yield (
                "name",
                f"there is another repository {repository.name}",
                "give each a name of its own; the id, if it is another, is `repositoryId`",
            )
            return
        if _resource(google, earlier) == _resource(google, repository):
            yield (
                "name",
                f"it is the repository that {earlier.name} is, by project, location and id",
                "keep one of them",
            )
            return
        if image_prefix(google, earlier) == image_prefix(google, repository):
            yield (
                "imagePrefix",
                f"its images would be those of {earlier.name}",
                "write where this repository's images are",
            )
            return


def _place(google: Google, repository: Repository) -> Iterator[tuple[str, str, str]]:
    name = repository_id(repository)
    if name in GCR and repository.location != GCR[name]:
        yield (
            "location",
            f"{name} is in {GCR[name]}, not in {repository.location}",
            f"write {GCR[name]}",
        )
        return
    if repository.image_prefix is None:
        if google.universe_domain != names.UNIVERSE:
            yield (
                "imagePrefix",
                f"it is missing: registries of {google.universe_domain} have names of their own",
                "add it: registry and path of the images",
            )
        return
    host = repository.image_prefix.partition("/")[0]
    default = image_prefix(google, repository.model_copy(update={"image_prefix": None}))
    is_google = host.endswith("-docker.pkg.dev") or host in GCR
    if is_google and not image_prefix(google, repository).startswith(default):
        yield (
            "imagePrefix",
            f"the images of this repository are below {default}",
            "take it out, or correct the repository's project, location or id",
        )


def _resource(google: Google, repository: Repository) -> tuple[str, str, str]:
    return (
        repository.project or google.project_id,
        repository.location,
        repository_id(repository),
    )

"""All files of a fleet: what every renderer makes, in one directory.

Imports the renderers. Pure: a plan in, texts by path out, the same for the same plan.
"""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from gcp_sa_credential_provider.fleet.plan import Plan
from gcp_sa_credential_provider.render import (
    distributions,
    gcloud,
    helm,
    kubernetes,
    readme,
    terraform,
)


class Clash(ValueError):  # noqa: N818 -- it says what is wrong
    """Two files of a fleet want the same place: a fault of renderers, whose names cannot meet.

    `check` refuses descriptions with two clusters, or two groups of a cluster, of one name.
    """


def files_of(plan: Plan) -> dict[str, str]:
    """Path in the directory (with `/`) to text, sorted. Raises Clash."""
    return merged(_parts(plan))


def _parts(plan: Plan) -> Iterator[Mapping[str, str]]:
    yield {readme.README: readme.text(plan)}
    for renderer in (gcloud, terraform, kubernetes, helm):
        yield renderer.files(plan)
    for cluster in plan.clusters:
        for group in cluster.nodes:
            folder = readme.folder(cluster, group)
            made = distributions.files(cluster, group)
            yield {f"{folder}/{name}": text for name, text in made.items()}


def merged(parts: Iterator[Mapping[str, str]]) -> dict[str, str]:
    """One mapping of all, sorted by path. Raises Clash."""
    files: dict[str, str] = {}
    for part in parts:
        for path, text in part.items():
            if path in files:
                raise Clash(f"{path}: two files want this place")
            files[path] = text
    for path in files:
        for above in PurePosixPath(path).parents:
            if str(above) in files:
                raise Clash(f"{above}: a file and a folder want this place")
    return dict(sorted(files.items()))

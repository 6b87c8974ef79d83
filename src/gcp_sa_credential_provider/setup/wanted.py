"""What a run adds to `repositories` and `pull` of a fleet.

Pure. An entry of `pull` without `repositories` pulls from all of them, those included that are
added later. So what a run adds is for those alone that it names, and nobody gets more unasked.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gcp_sa_credential_provider.cluster.failure import BadInput
from gcp_sa_credential_provider.fleet.accounts import clashes
from gcp_sa_credential_provider.fleet.model import Cluster, Fleet, Google, Puller, Repository
from gcp_sa_credential_provider.setup import words
from gcp_sa_credential_provider.setup.questions import Known


@dataclass(frozen=True)
class Wanted:
    """Additions."""

    repositories: tuple[Repository, ...]
    pull: tuple[Puller, ...]
    more: Mapping[int, tuple[str, ...]]
    """Names for the `repositories` of entries of `pull` that are there, by their places."""
    notes: tuple[str, ...]
    """What the operator may not expect."""


def wanted(name: str, said: Known, fleet: Fleet | None, google: Google) -> Wanted:
    """Those of a run about the cluster of that name."""
    present = fleet.pull if fleet else ()
    before = tuple(one.name for one in fleet.repositories) if fleet else ()
    added, named = _repositories(said.repositories, fleet, google)
    every = {*before, *(one.name for one in added)}
    limit = named if every > {*named} else ()
    asked = {_who(one): one for one in (_puller(name, pull, limit) for pull in said.pull)}
    more: dict[int, tuple[str, ...]] = {}
    pinned: list[Puller] = []
    for index, puller in enumerate(present):
        listed = puller.repositories
        if asked.pop(_who(puller), None):
            missing = tuple(one for one in named if listed is not None and one not in listed)
            if missing:
                more[index] = missing
        elif listed is None and added:
            more[index] = before
            pinned.append(puller)
    notes = tuple(_notes(added, pinned, said)) if fleet else ()
    return Wanted(added, tuple(asked.values()), more, notes)


def check(more: Wanted, cluster: Cluster, fleet: Fleet | None) -> None:
    """Raise BadInput where the entries of an account would differ: it reads for each of them all.

    `cluster` is the entry that is to be.
    """
    present = fleet.pull if fleet else ()
    pull = (*(_with(one, more.more.get(index)) for index, one in enumerate(present)), *more.pull)
    clusters = (*(fleet.clusters if fleet else ()), cluster)
    repositories = (*(fleet.repositories if fleet else ()), *more.repositories)
    for clash in clashes(
        dict(enumerate(pull)),
        {one.name: one.google_service_account for one in clusters},
        [one.name for one in repositories],
    ):
        who = " and ".join(
            f"{_subject(pull[place])} of {pull[place].cluster}" for place in clash.places
        )
        raise BadInput(
            clash.account,
            f"{who} would pull as this account, which reads for both what only one of them is given"
            f" ({', '.join(clash.only_one)})",
            "let one pull as another account (--pull NAMESPACE/SERVICEACCOUNT=ACCOUNT, or"
            " --impersonate ACCOUNT for a cluster), or give both the same repositories: here"
            f" {', '.join(clash.both)} (--repository for each, --pull for both)",
        )


def _with(puller: Puller, more: Sequence[str] | None) -> Puller:
    """The entry with these names behind those that it lists."""
    if more is None:
        return puller
    return puller.model_copy(update={"repositories": (*(puller.repositories or ()), *more)})


def _repositories(
    wanted: Sequence[Repository], fleet: Fleet | None, google: Google
) -> tuple[tuple[Repository, ...], tuple[str, ...]]:
    """Those that the fleet does not have yet, under names that are free; the names of all."""
    every = {_place(one, google): one for one in (fleet.repositories if fleet else ())}
    added = []
    for one in wanted:
        place = _place(one, google)
        if place not in every:
            every[place] = _named(one, [old.name for old in every.values()], google)
            added.append(every[place])
    return tuple(added), tuple(dict.fromkeys(every[_place(one, google)].name for one in wanted))


def _place(one: Repository, google: Google) -> tuple[str, str, str]:
    return one.repository_id or one.name, one.location, one.project or google.project_id


def _named(one: Repository, taken: Sequence[str], google: Google) -> Repository:
    fields = {"name": one.name, "location": one.location}
    if one.name in taken:
        fields |= {
            "name": f"{one.name.replace('.', '-')}-{one.location}",
            "repository_id": one.name,
        }
    if one.project not in (None, google.project_id):
        fields["project"] = one.project
    return Repository.model_validate(fields)


def _puller(cluster: str, pull: words.Pull, repositories: tuple[str, ...]) -> Puller:
    fields = {
        "cluster": cluster,
        "namespace": pull.namespace,
        "service_account": pull.service_account,
        "repositories": repositories or None,
        "google_service_account": pull.google_service_account,
    }
    return Puller.model_validate({name: said for name, said in fields.items() if said is not None})


def _who(puller: Puller) -> Puller:
    return puller.model_copy(update={"repositories": None})


def _notes(added: Sequence[Repository], pinned: Sequence[Puller], said: Known) -> Iterator[str]:
    names = ", ".join(one.name for one in added)
    if added and not said.pull:
        yield f"nobody is given {names}: --pull says who"
    if pinned:
        who = ", ".join(f"{_subject(one)} of {one.cluster}" for one in pinned)
        yield f"{names}: not for {who}, limited to the repositories so far; --pull gives more"


def _subject(puller: Puller) -> str:
    return "/".join(filter(None, (puller.namespace, puller.service_account))) or "*"

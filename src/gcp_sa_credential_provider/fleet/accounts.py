"""Where a Google service account undoes what entries of `pull` limit.

Imports the model. Pure. To Google, all that pull as an account are that account: it is granted what
any of them is given (grants), and so each of them pulls from all of it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gcp_sa_credential_provider.fleet.model import Puller

_Who = tuple[str, str | None, str | None]


@dataclass(frozen=True)
class Clash:
    """Two entries that pull as one account, and are not given the same."""

    account: str
    """E-mail."""
    places: tuple[int, int]
    """Of the account's first entry, and of another."""
    only_one: tuple[str, ...]
    """Repositories that only one of them is given."""
    both: tuple[str, ...]
    """All that the account reads for the two."""


def clashes(
    pull: Mapping[int, Puller], accounts: Mapping[str, str | None], repositories: Sequence[str]
) -> Iterator[Clash]:
    """Each entry that is given something else than the first of its account.

    `accounts` are those of the clusters by name; `repositories` the names of all.
    """
    own = {_who(puller): frozenset(puller.repositories or repositories) for puller in pull.values()}
    first: dict[str, tuple[int, frozenset[str]]] = {}
    for index, puller in pull.items():
        account = puller.google_service_account or accounts.get(puller.cluster)
        if account is None:
            continue
        given = frozenset[str]().union(*(own.get(who, ()) for who in _held_by(puller)))
        other, its = first.setdefault(account, (index, given))
        if its != given:
            yield Clash(
                account,
                (other, index),
                tuple(name for name in repositories if name in its ^ given),
                tuple(name for name in repositories if name in its | given),
            )


def _who(puller: Puller) -> _Who:
    return puller.cluster, puller.namespace, puller.service_account


def _held_by(puller: Puller) -> set[_Who]:
    """By which entries it is given something: its own, its namespace's and its cluster's."""
    cluster, namespace, name = _who(puller)
    return {(cluster, namespace, name), (cluster, namespace, None), (cluster, None, None)}

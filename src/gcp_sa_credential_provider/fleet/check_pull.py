"""What is wrong with who may pull: names that are nowhere, entries that cover one another, limits.

Imports the rooms of fleet and google. Findings have places below `pull`.
"""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gcp_sa_credential_provider.fleet.accounts import clashes
from gcp_sa_credential_provider.fleet.decide import subject_prefix
from gcp_sa_credential_provider.fleet.fence import TooMany, fence_of
from gcp_sa_credential_provider.fleet.model import Google, Puller
from gcp_sa_credential_provider.fleet.problem import Finding, path_of
from gcp_sa_credential_provider.google import mapping
from gcp_sa_credential_provider.google.limits import CONDITION_CHARACTERS, SUBJECT_BYTES

_Who = tuple[str, str | None, str | None]
"""Cluster, namespace and ServiceAccount; None: all."""


@dataclass(frozen=True)
class Names:
    """What entries of `pull` can name, of one kind."""

    every: Sequence[str]
    """Of all entries, whatever is wrong with them."""
    sound: Sequence[str]
    """Of those that nothing is wrong with."""

    def instead_of(self, text: str, where: str) -> str | None:
        """What to write; None where that follows from what is wrong with an entry."""
        near = difflib.get_close_matches(text, self.sound, 1)
        if near:
            return f"write {near[0]}"
        if not self.every or len(self.sound) < len(self.every):
            return None
        return f"write one of {', '.join(self.sound)}, or add it to `{where}`"


def findings(
    google: Google | None,
    pull: Mapping[int, Puller],
    clusters: Names,
    accounts: Mapping[str, str | None],
    repositories: Names,
) -> Iterator[Finding]:
    """Everything, in no order. Without `google` no limit is known to be kept.

    `accounts` are those of the clusters by name.
    """
    first: dict[_Who, int] = {}
    for index, puller in pull.items():
        first.setdefault(_who(puller), index)
    for index, puller in pull.items():
        for finding in (
            *_unknown(puller, clusters, repositories),
            *_incomplete(puller),
            *_overlaps(index, pull, first, repositories.every),
            *(_too_long(google, puller) if google else ()),
        ):
            yield Finding((index, *finding.location), finding.message, finding.fix)
    yield from _too_many(pull)
    yield from _undone(pull, accounts, repositories.every)


def _unknown(puller: Puller, clusters: Names, repositories: Names) -> Iterator[Finding]:
    if puller.cluster not in clusters.every:
        fix = clusters.instead_of(puller.cluster, "clusters")
        if fix is not None:
            yield Finding(("cluster",), f"there is no cluster {puller.cluster}", fix)
    named = puller.repositories or ()
    for index, name in enumerate(named):
        if name in named[:index]:
            yield Finding(("repositories", index), f"{name} stands here twice", "keep one")
        elif name not in repositories.every:
            fix = repositories.instead_of(name, "repositories")
            if fix is not None:
                yield Finding(("repositories", index), f"there is no repository {name}", fix)


def _incomplete(puller: Puller) -> Iterator[Finding]:
    if puller.service_account is not None and puller.namespace is None:
        yield Finding(
            ("serviceAccount",),
            "its namespace is missing: every namespace may have one of this name",
            "add `namespace`, in an entry for each",
        )
    if puller.google_service_account is not None and puller.service_account is None:
        yield Finding(
            ("googleServiceAccount",),
            "it is for one ServiceAccount, by an annotation of that",
            "add `serviceAccount`, or write it into the cluster for all of its pulls",
        )


def _overlaps(
    index: int,
    pull: Mapping[int, Puller],
    first: Mapping[_Who, int],
    repositories: Sequence[str],
) -> Iterator[Finding]:
    """`first` is the index of the first entry for each."""
    puller = pull[index]
    cluster, namespace, account = _who(puller)
    if (other := first[_who(puller)]) != index:
        where = path_of(("pull", other))
        yield Finding(
            (), f"it is for the same as {where}", "keep one, with the repositories of both"
        )
        return
    wider: list[tuple[str, _Who]] = []
    if namespace is not None:
        wider.append(("cluster", (cluster, None, None)))
    if account is not None:
        wider.append(("namespace", (cluster, namespace, None)))
    for what, who in wider:
        if who in first and _covers(pull[first[who]], puller, repositories):
            where = path_of(("pull", first[who]))
            yield Finding(
                (),
                f"it adds nothing to {where}, by which its whole {what} pulls from there",
                f"take it out, or take {where} out to let single ones pull",
            )
            return


def _undone(
    pull: Mapping[int, Puller], accounts: Mapping[str, str | None], repositories: Sequence[str]
) -> Iterator[Finding]:
    """Entries that would seem to limit what their account does not."""
    if any(set(puller.repositories or ()) - set(repositories) for puller in pull.values()):
        # An error of its own, from which this may follow.
        return
    for clash in clashes(pull, accounts, repositories):
        other, index = clash.places
        yield Finding(
            (index, *(("repositories",) if pull[index].repositories else ())),
            f"it pulls as {clash.account}, as {path_of(('pull', other))} does: the account reads"
            f" for both what only one of them is given ({', '.join(clash.only_one)})",
            "let both pull from the same repositories, or one of them as another account"
            " (`googleServiceAccount` of its cluster, or of a single ServiceAccount)",
        )


def _who(puller: Puller) -> _Who:
    return puller.cluster, puller.namespace, puller.service_account


def _covers(wider: Puller, puller: Puller, repositories: Sequence[str]) -> bool:
    """Whether an entry gives all that a narrower one gives; one with an account gives more."""
    return puller.google_service_account is None and (
        set(puller.repositories or repositories) <= set(wider.repositories or repositories)
    )


def _too_long(google: Google, puller: Puller) -> Iterator[Finding]:
    if puller.namespace is None or puller.service_account is None:
        return
    before = subject_prefix(google, puller.cluster)
    subject = before + mapping.subject(puller.namespace, puller.service_account)
    if len(subject) > SUBJECT_BYTES:
        yield Finding(
            ("serviceAccount",),
            f"its subject at Google, {subject}, has {len(subject)} bytes, and {SUBJECT_BYTES} are"
            " taken",
            "use shorter names" + (", or no shared pool" if before else ""),
        )


def _too_many(pull: Mapping[int, Puller]) -> Iterator[Finding]:
    for name in sorted({puller.cluster for puller in pull.values()}):
        try:
            fence_of([puller for puller in pull.values() if puller.cluster == name])
        except TooMany as error:
            yield Finding(
                (),
                f"of {name}, {error} of attribute condition, and Google takes"
                f" {CONDITION_CHARACTERS}",
                "let fewer namespaces pull, or the whole cluster (an entry without namespace)",
            )

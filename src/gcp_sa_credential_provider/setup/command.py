"""`setup` as a whole: the only place that knows its order.

Read what is cheap; decide; ask, or name what is missing; read the long list; show; write. Until the
last step nothing is changed anywhere, and in the cluster nothing ever.
"""

import argparse
import contextlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from gcp_sa_credential_provider.cluster.accounts import ServiceAccount, too_long
from gcp_sa_credential_provider.cluster.failure import BadInput
from gcp_sa_credential_provider.fleet.load import parse
from gcp_sa_credential_provider.fleet.model import Cluster, Fleet, Google, Puller
from gcp_sa_credential_provider.google.keys import KeySet
from gcp_sa_credential_provider.google.mapping import prefix
from gcp_sa_credential_provider.setup import (
    ask,
    describe,
    keys,
    questions,
    report,
    save,
    source,
    wanted,
)
from gcp_sa_credential_provider.setup.fleetfile import Draft, compose
from gcp_sa_credential_provider.setup.progress import shown
from gcp_sa_credential_provider.setup.questions import Known


def run(args: argparse.Namespace) -> int:
    """Do it. Returns the exit code; raises ClusterFailure, BadFleet."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    _check(args)
    text = save.read(args.fleet)
    # The files of keys may be stale, or not there yet: they are what is written here.
    fleet = parse(text, str(args.fleet), None) if text is not None else None
    _check_fleet(args, fleet)
    with contextlib.ExitStack() as stack:
        with shown() as watch:
            read = source.read(args, stack, watch)
        if args.name is None and terminal:
            args.name = ask.ask([questions.name_question(read)], terminal=True)["name"]
        previous = _previous(fleet, args.name)
        said = questions.known(args, read, previous)
        said, read = _all_said(args, said, read, fleet, previous, terminal=terminal)
        with shown() as watch:
            accounts = None if args.no_service_accounts else read.service_accounts(watch)
    return _describe(args, said, read, text, fleet, accounts, terminal=terminal)


def _check(args: argparse.Namespace) -> None:
    """What flags say against each other. Raises BadInput."""
    files = [args.openid_configuration, args.jwks]
    if any(files) and not all(files):
        raise BadInput(
            "command line",
            "one of --openid-configuration and --jwks is missing",
            "give both documents, or none to read the cluster itself",
        )
    if any(files) and (args.kubeconfig or args.context):
        raise BadInput(
            "command line",
            "--kubeconfig and --context name a cluster, and so do --openid-configuration and"
            " --jwks",
            "give one or the other",
        )
    if args.distribution and args.distribution not in questions.DISTRIBUTIONS:
        raise BadInput(
            "--distribution",
            f"{args.distribution!r} is not known",
            f"use one of {', '.join(questions.DISTRIBUTIONS)}",
        )


def _check_fleet(args: argparse.Namespace, fleet: Fleet | None) -> None:
    """Flags about the fleet as a whole only begin one: changing these moves every cluster."""
    if fleet is None:
        return
    google = fleet.google
    for flag, given, present in (
        ("--project-id", args.project_id, google.project_id),
        ("--project-number", args.project_number, google.project_number),
        ("--shared-pool", args.shared_pool, google.shared_pool),
    ):
        if given not in (None, present):
            raise BadInput(
                flag,
                f"is {given}, and {args.fleet} has {present or 'none'}",
                "leave it out; to change it for the whole fleet, edit the file",
            )


def _previous(fleet: Fleet | None, name: str | None) -> Cluster | None:
    clusters = fleet.clusters if fleet else ()
    return next((cluster for cluster in clusters if cluster.name == name), None)


def _all_said(
    args: argparse.Namespace,
    said: Known,
    read: source.Source,
    fleet: Fleet | None,
    previous: Cluster | None,
    *,
    terminal: bool,
) -> tuple[Known, source.Source]:
    """The same with every question answered. Raises BadInput naming all flags that are missing."""
    if terminal:
        print("\n".join(report.seen(read.observed)))
    first = [] if said.name else [questions.name_question(read)]
    describe.check(read.observed, said.minor)
    open_questions = first + questions.others(said, read, fleet, previous)
    said = replace(said, **ask.ask(open_questions, terminal=terminal))
    describe.check(read.observed, said.minor)
    return said, questions.nodes(said, read, args)


def _describe(
    args: argparse.Namespace,
    said: Known,
    read: source.Source,
    text: str | None,
    fleet: Fleet | None,
    accounts: Sequence[ServiceAccount] | None,
    *,
    terminal: bool,
) -> int:
    """Compose, show, write."""
    observed = read.observed
    # All three are there once every question is answered.
    name, minor = str(said.name), str(said.minor)
    choice = keys.choose(observed.issuer.issuer, questions.distributions(read), said.keys)
    if choice is None:
        raise AssertionError("keys were asked for")
    key_set = keys.taken(observed.issuer, choice.source)
    previous = _previous(fleet, name)
    entry = describe.entry(
        name, observed, minor, choice, previous, args.cache_type, args.impersonate
    )
    google = fleet.google if fleet else _google(args, said)
    more = wanted.wanted(name, said, fleet, google)
    wanted.check(more, entry.cluster, fleet)
    draft = Draft(entry, None if fleet else google, more.repositories, more.pull, more.more)
    print("\n".join(report.found(name, observed, minor, choice, key_set)))
    if accounts is not None:
        every = (*(fleet.pull if fleet else ()), *more.pull)
        of_cluster = [puller for puller in every if puller.cluster == name]
        _check_names(accounts, prefix(name) if google.shared_pool else "", of_cluster)
    for line in (*report.advice(observed), *more.notes):
        print(f"  note: {line}")
    changes = _changes(args.fleet, text, compose(text, draft), entry.cluster, key_set)
    return _write(args, changes, terminal=terminal)


def _google(args: argparse.Namespace, said: Known) -> Google:
    google = {"project_id": said.project_id, "project_number": said.project_number}
    if args.shared_pool:
        google["shared_pool"] = args.shared_pool
    return Google.model_validate(google)


def _check_names(
    accounts: Sequence[ServiceAccount], before: str, pullers: Iterable[Puller]
) -> None:
    """Tell of names that are too long for Google. Raises BadInput if one of them is to pull."""
    long = too_long(accounts, before)
    print("\n".join(report.names(accounts, long, before)))
    everybody = set(accounts)
    namespaces = {account.namespace for account in accounts}
    absent = []
    refused = {account for account, _ in long}
    for puller in pullers:
        if puller.namespace is None:
            continue
        if puller.service_account is None:
            if puller.namespace not in namespaces:
                absent.append(puller.namespace)
            continue
        account = ServiceAccount(puller.namespace, puller.service_account)
        if account in refused:
            raise BadInput(
                f"pull {account}",
                "its name is too long for Google",
                report.way_out(before, [pair for pair in long if pair[0] == account]),
            )
        if account not in everybody:
            absent.append(str(account))
    if absent:
        print(f"  note: to pull, but not in the cluster yet: {', '.join(absent)}")


def _changes(
    place: Path, before: str | None, after: str, cluster: Cluster, key_set: KeySet
) -> list[save.Change]:
    """The keys first: fleet.yaml names their file. Raises BadFleet for what does not fit."""
    changes = [save.Change(place, before, after)]
    if cluster.jwks:
        file = place.parent / cluster.jwks
        former = save.read(file)
        shown = keys.may_be_shown(former)
        changes.insert(0, save.Change(file, former, key_set.text, shown))
    parse(after, str(place), None)
    return [change for change in changes if change.needed]


def _write(args: argparse.Namespace, changes: Sequence[save.Change], *, terminal: bool) -> int:
    if not changes:
        print(f"{args.fleet} says all this already")
        return 0
    for change in changes:
        print(change.diff(), end="")
    if args.dry_run:
        print("nothing written (--dry-run)")
        return 0
    present = [str(change.path) for change in changes if change.before is not None]
    if not args.yes and terminal and not ask.confirm("Write this?"):
        print("nothing written")
        return 0
    if not args.yes and not terminal and present:
        raise BadInput(
            " and ".join(present),
            "would change, see above",
            "add --yes to change what is there",
        )
    save.write(changes)
    for change in changes:
        print(f"wrote {change.path}")
    return 0

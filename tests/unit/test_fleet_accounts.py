"""Entries of `pull` that share a Google service account, which reads for all what one is given."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gcp_sa_credential_provider.fleet.accounts import clashes
from gcp_sa_credential_provider.fleet.load import parse
from gcp_sa_credential_provider.fleet.model import Fleet, Puller
from gcp_sa_credential_provider.fleet.plan import Plan
from gcp_sa_credential_provider.google import principals
from unit import plans

ACCOUNTS = [plans.ACCOUNT, plans.FRESH]
NAMES = ["images", "shared"]


def entry(namespace: str, name: str | None = None, **more: Any) -> dict[str, Any]:
    """One of the cluster `one`."""
    account = {"serviceAccount": name} if name else {}
    return {"cluster": "one", "namespace": namespace, **account, **more}


def description(
    accounts: dict[str, str | None], pull: list[dict[str, Any]], **google: str
) -> dict[str, Any]:
    """A fleet with these clusters, by the accounts that they impersonate, and these entries."""
    made = plans.fleet("own")
    made["google"] |= google
    sample = made["clusters"][1]
    made["clusters"] = [
        {**sample, "name": name, "issuer": f"{sample['issuer']}{number}"}
        | ({"googleServiceAccount": account} if account else {})
        for number, (name, account) in enumerate(accounts.items())
    ]
    made["pull"] = pull
    return made


@pytest.mark.parametrize(
    ("account", "pull"),
    [
        (plans.ACCOUNT, [entry("a", repositories=["images"]), entry("b", repositories=["images"])]),
        (plans.ACCOUNT, [entry("a"), entry("b", repositories=NAMES[::-1])]),
        (plans.ACCOUNT, [entry("a"), entry("b", "x")]),
        (
            plans.ACCOUNT,
            [
                entry("a", repositories=["images"]),
                entry("a", "x", repositories=["shared"], googleServiceAccount=plans.FRESH),
            ],
        ),
        (
            None,
            [
                entry("a", repositories=["images"]),
                entry("a", "x", repositories=["shared"], googleServiceAccount=plans.FRESH),
                entry("b", "x", googleServiceAccount=plans.FRESH),
            ],
        ),
        (None, [entry("a", repositories=["images"]), entry("b", repositories=["shared"])]),
    ],
    ids=[
        "the same",
        "all, written or not",
        "all",
        "an account of its own",
        "the same by its namespace",
        "no account",
    ],
)
def test_accounts_that_undo_nothing(account: str | None, pull: list[dict[str, Any]]) -> None:
    """What the account reads is what each of its entries is given."""
    text = json.dumps(description({"one": account}, pull))
    assert len(parse(text, "fleet.yaml", None).pull) == len(pull)


def meant(puller: Puller, fleet: Fleet) -> set[str]:
    """What an entry is given, by itself and by those that hold it."""
    return {
        name
        for one in fleet.pull
        if one.cluster == puller.cluster
        and one.namespace in (None, puller.namespace)
        and one.service_account in (None, puller.service_account)
        for name in one.repositories or NAMES
    }


def undone(plan: Plan) -> bool:
    """Whether an entry reads more than it is given, by the plan's grants."""
    clusters = {one.name: one.google_service_account for one in plan.fleet.clusters}
    for puller in plan.fleet.pull:
        account = puller.google_service_account or clusters[puller.cluster]
        if account is not None:
            member = principals.service_account(account)
            read = {
                one.repository.name
                for one in plan.grants
                if one.repository and one.member == member
            }
            assert read >= meant(puller, plan.fleet)
            if read > meant(puller, plan.fleet):
                return True
    return False


@st.composite
def entries(draw: st.DrawFn) -> dict[str, Any]:
    """An entry of `pull`: a ServiceAccount with or without an account, a namespace, a cluster."""
    made: dict[str, Any] = {"cluster": draw(st.sampled_from(["one", "two"]))}
    if namespace := draw(st.sampled_from(["a", "b", None])):
        made["namespace"] = namespace
        if name := draw(st.sampled_from(["x", "y", None])):
            made["serviceAccount"] = name
            if account := draw(st.sampled_from([None, *ACCOUNTS])):
                made["googleServiceAccount"] = account
    if some := draw(st.sampled_from([None, *([name] for name in NAMES), NAMES])):
        made["repositories"] = some
    return made


def _who(made: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(made.get(field) for field in ("cluster", "namespace", "serviceAccount"))


@given(
    pull=st.lists(entries(), min_size=1, max_size=5, unique_by=_who),
    accounts=st.tuples(*[st.sampled_from([None, *ACCOUNTS])] * 2),
    shared=st.booleans(),
)
@settings(deadline=None, max_examples=200)
def test_it_is_what_the_grants_give(
    *, pull: list[dict[str, Any]], accounts: tuple[str | None, str | None], shared: bool
) -> None:
    """Found if and only if an account is granted more than one of its entries is given."""
    google = {"sharedPool": "clusters"} if shared else {}
    of_cluster = dict(zip(("one", "two"), accounts, strict=True))
    plan = plans.plan_from(description(of_cluster, pull, **google), Path())
    found = list(clashes(dict(enumerate(plan.fleet.pull)), of_cluster, NAMES))
    assert bool(found) == undone(plan)
    for clash in found:
        one, other = (meant(plan.fleet.pull[place], plan.fleet) for place in clash.places)
        assert set(clash.only_one) == one ^ other
        assert set(clash.both) == one | other

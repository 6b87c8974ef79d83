"""ServiceAccounts whose subject Google does not take."""

from gcp_sa_credential_provider.cluster.accounts import ServiceAccount, account_of, too_long

# 127 bytes less `system:serviceaccount:` and a colon.
ROOM = 104


def test_limit_to_the_byte() -> None:
    """127 bytes are taken, 128 are not."""
    fits, exceeds = ServiceAccount("ns", "a" * (ROOM - 2)), ServiceAccount("ns", "a" * (ROOM - 1))
    assert [len(one.subject("")) for one in (fits, exceeds)] == [127, 128]
    assert too_long([exceeds, fits], "") == [(exceeds, 128)]


def test_a_shared_pool_leaves_less() -> None:
    """There every subject begins with the cluster's name."""
    account = ServiceAccount("ns", "a" * (ROOM - 2))
    assert account.subject("east::").startswith("east::system:serviceaccount:ns:a")
    assert too_long([account], "east::") == [(account, 133)]


def test_sorted_by_name() -> None:
    accounts = [ServiceAccount(ns, "a" * 200) for ns in ("b", "a")]
    assert [str(account)[:2] for account, _ in too_long(accounts, "")] == ["a/", "b/"]


def test_account_of_metadata() -> None:
    document = {"metadata": {"namespace": "backend", "name": "default", "uid": "1"}}
    assert account_of(document) == ServiceAccount("backend", "default")

"""What is told on the terminal: the cluster as it was found, what was decided, what to look at.

Pure: data to lines.
"""

from collections.abc import Iterator, Sequence

from gcp_sa_credential_provider.cluster.accounts import ServiceAccount
from gcp_sa_credential_provider.cluster.observe import Observed
from gcp_sa_credential_provider.google.keys import KeySet
from gcp_sa_credential_provider.google.limits import SUBJECT_BYTES
from gcp_sa_credential_provider.setup.keys import KeyChoice

_LISTED = 20
"""Names shown at most."""


def seen(observed: Observed) -> Iterator[str]:
    """What was read, before anything is asked."""
    version = f"Kubernetes {observed.minor}, " if observed.minor else ""
    yield f"found {version}issuer {observed.issuer.issuer}"
    yield from nodes(observed)


def found(
    name: str, observed: Observed, minor: str, keys: KeyChoice, key_set: KeySet
) -> Iterator[str]:
    """The cluster, its nodes, and what becomes of its keys."""
    yield f"cluster {name}: Kubernetes {minor}, issuer {observed.issuer.issuer}"
    yield from nodes(observed)
    yield f"  keys {keys.source}: {keys.reason}"
    for reason in key_set.left_out:
        yield f"  note: Google does not take a key, nor tokens signed by it: {reason}"


def nodes(observed: Observed) -> Iterator[str]:
    """Groups, and what is in none."""
    for group in observed.groups:
        count = f"{group.count} x " if group.count else ""
        runtimes = f" ({', '.join(group.runtimes)})" if group.runtimes else ""
        yield (
            f"  nodes {count}{group.distribution} {group.minor} {group.architecture}{runtimes}:"
            f" {group.detected.evidence}"
        )
    for some in observed.left_out:
        yield f"  left out {some.count} x {some.reason}"


def advice(observed: Observed) -> Iterator[str]:
    """What was assumed of the nodes."""
    for group in observed.groups:
        if group.detected.assumed:
            yield (
                f"the distribution {group.distribution} of {group.count} nodes is an assumption"
                f" ({group.detected.evidence}); --distribution says another"
            )


def names(
    accounts: Sequence[ServiceAccount], long: Sequence[tuple[ServiceAccount, int]], prefix: str
) -> Iterator[str]:
    """How many ServiceAccounts there are, which can never pull, and the way out."""
    yield f"  ServiceAccounts {len(accounts)}, of which {len(long)} cannot pull"
    if not long:
        return
    yield f"  names too long for Google, which takes subjects of {SUBJECT_BYTES} bytes:"
    for account, size in long[:_LISTED]:
        yield f"    {account} ({size} bytes)"
    if len(long) > _LISTED:
        yield f"    and {len(long) - _LISTED} more"
    yield f"    {way_out(prefix, long)}"


def way_out(prefix: str, long: Sequence[tuple[ServiceAccount, int]]) -> str:
    """What to do with names that are too long."""
    room = SUBJECT_BYTES - len(ServiceAccount("", "").subject(prefix).encode())
    shorter = (
        "pods of these that are to pull need a ServiceAccount whose namespace and name have"
        f" together {room} bytes at most"
    )
    own_pool = SUBJECT_BYTES + len(prefix.encode())
    if prefix and any(size <= own_pool for _, size in long):
        return f"{shorter}, or the fleet a pool for each cluster, which needs no {prefix!r} there"
    return shorter

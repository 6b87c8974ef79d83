"""`setup`: ask a cluster and its operator, and write the description of the fleet.

Imports what it needs only when it runs.
"""

import argparse
import sys

from gcp_sa_credential_provider.setup import options


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Read a cluster (issuer, keys, versions, nodes, ServiceAccounts) and write it into the"
        " description of the fleet, with the reason of every choice. Nothing is changed in the"
        " cluster or at Google."
    )
    options.add(parser)


def run(args: argparse.Namespace) -> int:
    """Describe. Exit status: see `options.add`."""
    from gcp_sa_credential_provider.cluster.failure import ClusterFailure
    from gcp_sa_credential_provider.fleet.problem import BadFleet
    from gcp_sa_credential_provider.setup import command

    try:
        return command.run(args)
    except ClusterFailure as failure:
        print(f"gcp-sa-credential-provider setup: {failure}", file=sys.stderr)
        return failure.code
    except BadFleet as bad:
        print(f"gcp-sa-credential-provider setup: {bad}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("gcp-sa-credential-provider setup: interrupted, nothing written", file=sys.stderr)
        return 130

"""Where a cluster is read from: its API server, or two saved documents and flags.

What flags say of the nodes wins over what the nodes say.
"""

import argparse
import contextlib
from dataclasses import dataclass, replace

from gcp_sa_credential_provider.cluster import api as kubernetes
from gcp_sa_credential_provider.cluster import issuer, kubeconfig, observe
from gcp_sa_credential_provider.cluster.accounts import ServiceAccount
from gcp_sa_credential_provider.cluster.distributions import Detected
from gcp_sa_credential_provider.cluster.nodes import Group
from gcp_sa_credential_provider.setup.words import suggested_name


@dataclass(frozen=True)
class Source:
    """A cluster, read as far as its nodes."""

    observed: observe.Observed
    suggested_name: str | None
    api: kubernetes.Api | None
    """None: saved documents."""

    def service_accounts(self, watch: observe.Watch) -> list[ServiceAccount] | None:
        """All of the cluster; None: nobody to ask."""
        return observe.service_accounts(self.api, watch) if self.api else None


def read(args: argparse.Namespace, stack: contextlib.ExitStack, watch: observe.Watch) -> Source:
    """The cluster that the command line names; the connection is held by `stack`.

    Raises ClusterFailure, BadInput.
    """
    if args.openid_configuration:
        saved = issuer.from_files(args.openid_configuration, args.jwks)
        seen = observe.Observed(saved, None)
        return Source(_with_flags(args, seen), None, None)
    path = args.kubeconfig or kubeconfig.default_path()
    api = stack.enter_context(kubernetes.connect(path, args.context, args.request_timeout))
    known = bool(args.distribution and args.kubernetes)
    seen = observe.observe(api, watch, with_nodes=not known)
    return Source(_with_flags(args, seen), suggested_name(api.context), api)


def _with_flags(args: argparse.Namespace, seen: observe.Observed) -> observe.Observed:
    if not args.distribution:
        return seen
    detected = Detected(args.distribution, "as --distribution says", "command line")
    if seen.groups or seen.left_out:
        groups = tuple(replace(group, detected=detected) for group in seen.groups)
        return replace(seen, groups=groups)
    minor = args.kubernetes or seen.minor
    return replace(seen, groups=assumed(detected, minor, args.architecture)) if minor else seen


def assumed(detected: Detected, minor: str, architectures: list[str] | None) -> tuple[Group, ...]:
    """Groups of nodes that nobody has seen."""
    every = dict.fromkeys(architectures or ["amd64"])
    return tuple(Group(detected, minor, architecture, (), 0) for architecture in every)

"""What the command line says, as values; every flag of `setup`.

Imports no library, so that --help is quick and the parser needs no extra installed.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    cluster = parser.add_argument_group(
        "the cluster", "read through a kubeconfig, or from two saved documents"
    )
    cluster.add_argument(
        "--kubeconfig", metavar="FILE", help="default: KUBECONFIG, else ~/.kube/config"
    )
    cluster.add_argument("--context", metavar="NAME", help="default: the current context")
    cluster.add_argument(
        "--request-timeout",
        type=_seconds,
        default=30.0,
        metavar="SECONDS",
        help="to connect, and for each wait for more of an answer (default: 30)",
    )
    cluster.add_argument(
        "--openid-configuration",
        type=Path,
        metavar="FILE",
        help="what `kubectl get --raw /.well-known/openid-configuration` printed",
    )
    cluster.add_argument(
        "--jwks", type=Path, metavar="FILE", help="what `kubectl get --raw /openid/v1/jwks` printed"
    )
    cluster.add_argument(
        "--kubernetes",
        type=_word("minor"),
        metavar="MINOR",
        help="minor of API server and nodes, as in 1.34; with --distribution nodes are not read",
    )
    cluster.add_argument(
        "--distribution",
        metavar="NAME",
        help="of all nodes, whatever they look like: k3s, rke2, kubeadm, cluster-api, kind,"
        " minikube, microk8s, k0s, talos, eks, aks, openshift, kops, flatcar, bottlerocket, or"
        " kubelet for a plain one under systemd",
    )
    cluster.add_argument(
        "--architecture",
        action="append",
        choices=("amd64", "arm64"),
        help="of nodes that are not read; may be repeated (default: amd64)",
    )
    cluster.add_argument(
        "--no-service-accounts",
        action="store_true",
        help="do not list ServiceAccounts, which finds names that are too long for Google",
    )

    fleet = parser.add_argument_group("the fleet", "what only people know")
    fleet.add_argument(
        "--fleet",
        type=Path,
        default=Path("fleet.yaml"),
        metavar="FILE",
        help="the description to write, or to add the cluster to (default: fleet.yaml)",
    )
    fleet.add_argument(
        "--name", type=_word("cluster_name"), metavar="CLUSTER", help="the cluster's name"
    )
    fleet.add_argument(
        "--project-id",
        type=_word("project_id"),
        metavar="ID",
        help="of the Google project that holds the pools, as in my-project",
    )
    fleet.add_argument(
        "--project-number",
        type=_word("project_number"),
        metavar="NUMBER",
        help="of the same; gcloud projects describe ID prints it",
    )
    fleet.add_argument(
        "--shared-pool",
        type=_word("pool"),
        metavar="ID",
        help="one pool for all clusters of a new fleet (default: one for each)",
    )
    fleet.add_argument(
        "--keys",
        choices=("uploaded", "fetched"),
        help="whether Google is given the cluster's keys or fetches them; asked only where the"
        " issuer's name does not tell",
    )
    fleet.add_argument(
        "--cache-type",
        choices=("ServiceAccount", "Token"),
        help="what kubelets cache credentials by (default: ServiceAccount)",
    )
    fleet.add_argument(
        "--impersonate",
        type=_word("account"),
        metavar="ACCOUNT",
        help="e-mail of a Google service account that all pulls of the cluster impersonate",
    )
    fleet.add_argument(
        "--repository",
        type=_word("repository"),
        action="append",
        metavar="PREFIX",
        help="as images begin: europe-docker.pkg.dev/PROJECT/NAME, gcr.io/PROJECT; may be repeated",
    )
    fleet.add_argument(
        "--pull",
        type=_word("pull"),
        action="append",
        metavar="WHO",
        help="NAMESPACE/SERVICEACCOUNT[=ACCOUNT to impersonate], NAMESPACE, or * for the cluster;"
        " may be repeated",
    )

    parser.add_argument("--dry-run", action="store_true", help="show what would be written")
    parser.add_argument(
        "--yes", action="store_true", help="change files that are there, without asking"
    )
    parser.epilog = (
        "What is not given and cannot be read is asked on a terminal; elsewhere it is named, and"
        " nothing is done. exit codes: 0 written, or nothing to change; 1 the cluster cannot be"
        " read or used; 2 wrong usage, or not all is said; 130 interrupted"
    )


def _word(name: str) -> Callable[[str], Any]:
    """A parser of `words`, imported when a value is there to be parsed."""

    def parse(text: str) -> Any:
        from gcp_sa_credential_provider.setup import words

        try:
            return getattr(words, name)(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to 3600")
    return seconds

"""`render`: all files of a fleet, into one directory; or what differs there.

Imports what it needs only when it runs.
"""

import argparse
import io
import sys
from pathlib import Path

_PROGRAM = "gcp-sa-credential-provider render"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = """\
Write everything that a fleet needs into a directory, made for its exact versions:
  README.md                       what to do, in order, with the reasons
  google/gcloud.sh                Google's side as a script, or
  google/terraform/               the same for Terraform and OpenTofu
  google/jwks/CLUSTER.json        the keys that both upload
  CLUSTER/kubernetes.yaml         what is applied to a cluster
  CLUSTER/helm-values.yaml        values of the chart that sets up its nodes, or
  CLUSTER/GROUP/                  a node group's files, and a README of how they get there
Nothing is changed in a cluster, on a node or at Google. The same description gives the same bytes.
"""
    parser.epilog = """\
Only files that render wrote are replaced; those that it no longer makes are removed (DIR/.rendered
lists them). Files of others in DIR are left alone. If anything is wrong, nothing is written.
exit codes: 0 written, or nothing to do; 1 with --check: something differs; 2 wrong usage, a wrong
description, or a directory that cannot be used
"""
    parser.add_argument(
        "--fleet",
        type=Path,
        default=Path("fleet.yaml"),
        metavar="FILE",
        help="the description, as setup writes it (default: fleet.yaml)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("rendered"),
        metavar="DIR",
        help="a new directory, an empty one, or one of a former run (default: rendered)",
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; show what would change as a diff, and exit 1 if anything would",
    )


def run(args: argparse.Namespace) -> int:
    """Render. Exit status: see the epilog."""
    from gcp_sa_credential_provider.fleet.decide import plan_of
    from gcp_sa_credential_provider.fleet.load import BadFleet, load
    from gcp_sa_credential_provider.render.files import files_of
    from gcp_sa_credential_provider.render.readme import obstacles
    from gcp_sa_credential_provider.render.write import BadOut

    try:
        plan = plan_of(load(args.fleet), args.fleet.parent)
        files = files_of(plan)
        if args.check:
            return _check(args.out, files)
        for place, why in obstacles(plan):
            note = f"the nodes {place} cannot be set up: {why}"
            print(f"{_PROGRAM}: note: {note}", file=sys.stderr)
        return _write(args.out, files)
    except BadFleet as bad:
        print(bad, file=sys.stderr)  # file:line:column first, for editors
    except BadOut as bad_out:
        print(f"{_PROGRAM}: {bad_out}", file=sys.stderr)
    return 2


def _check(out: Path, files: dict[str, str]) -> int:
    from gcp_sa_credential_provider.render.write import compare, strangers

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # in a locale that has ASCII only
    difference = compare(out, files)
    sys.stdout.write(difference)
    for path in strangers(out, files):
        note = f"{out}/{path} is not of render, left alone"
        print(f"{_PROGRAM}: note: {note}", file=sys.stderr)
    if not difference:
        return 0
    print(f"{_PROGRAM}: {out} differs. Fix: run it without --check", file=sys.stderr)
    return 1


def _write(out: Path, files: dict[str, str]) -> int:
    from gcp_sa_credential_provider.render.write import write

    changes = write(out, files)
    for path in changes.written:
        print(f"wrote {out / path}")
    for path in changes.removed:
        print(f"removed {out / path}")
    if not (changes.written or changes.removed):
        print(f"{out} says all this already")
    else:
        print(f"next: {out / 'README.md'}")
    return 0

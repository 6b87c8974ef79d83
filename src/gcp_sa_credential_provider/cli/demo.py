"""`demo`: the main job, whole, on the embedded emulator. Imports the demo only when it runs."""

import argparse
import sys
from contextlib import closing


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Show the main job, whole, on this machine alone: a cluster's ServiceAccount token becomes"
        " registry credentials and an image comes down; then four typical mistakes. Exit code 0"
        " only if all went as expected, the mistakes too."
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of text")


def run(args: argparse.Namespace) -> int:
    """Play it. Exit code: 0 all as expected; 1 a step was not, which stderr names."""
    from gcp_sa_credential_provider.demo import render, story

    show = render.as_json if args.json else render.as_text
    with closing(story.tell()) as steps:
        failed = show(steps, sys.stdout)
    if failed is None:
        return 0
    print(f"gcp-sa-credential-provider demo: step {failed.name}: {failed.problem}", file=sys.stderr)
    return 1

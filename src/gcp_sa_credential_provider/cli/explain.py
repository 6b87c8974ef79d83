"""`explain`: what a code means, or what a log, an event or an answer says, and how to fix it.

Imports the catalogue when it runs. Input is never echoed but for the evidence recognised in it,
in which tokens are masked.
"""

import argparse
import difflib
import re
import shutil
import sys
from collections.abc import Iterable

_PROGRAM = "gcp-sa-credential-provider explain"


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Explain error codes, or recognise the errors in a text: lines of the kubelet's log, a"
        " pod's events, an answer of Google or of the registry. A token in the text is not shown."
    )
    parser.epilog = "exit codes: 0 explained, 1 nothing recognised, 2 wrong usage"
    parser.add_argument(
        "words", nargs="*", metavar="CODE | TEXT", help="codes, or a text; - reads stdin"
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--list", action="store_true", help="list all codes")
    what.add_argument(
        "--markdown", action="store_true", help="write the whole catalogue as Markdown"
    )
    parser.set_defaults(parser=parser)


def run(args: argparse.Namespace) -> int:
    """Explain. Exit status: 0 explained; 1 nothing recognised; 2 wrong usage."""
    from gcp_sa_credential_provider.catalogue import render
    from gcp_sa_credential_provider.catalogue.messages import ALL

    width = shutil.get_terminal_size().columns
    words: list[str] = args.words
    if (args.list or args.markdown) == bool(words):
        args.parser.print_usage(sys.stderr)
        print(f"{_PROGRAM}: give codes, a text or -; or --list; or --markdown", file=sys.stderr)
        return 2
    if args.markdown:
        print(render.markdown(), end="")
        return 0
    if args.list:
        print(render.listing(width))
        return 0
    codes = [word.strip("[]:,").upper() for word in words]
    if all(code in ALL for code in codes):
        print("\n\n".join(render.entry(code, width) for code in dict.fromkeys(codes)))
        return 0
    if words == ["-"]:
        return _findings(_stdin(), width)
    if len(words) == 1 and re.fullmatch(r"[A-Z]+(-[A-Z0-9]+)+", codes[0]):
        near = difflib.get_close_matches(codes[0], ALL, 3)
        hint = f"did you mean {', '.join(near)}?" if near else "--list shows all codes"
        print(f"{_PROGRAM}: there is no such code. Fix: {hint}", file=sys.stderr)
        return 1
    return _findings(" ".join(words).splitlines(keepends=True), width)


def _findings(lines: Iterable[str], width: int) -> int:
    from gcp_sa_credential_provider.catalogue import render
    from gcp_sa_credential_provider.catalogue.recognise import findings

    found = findings(lines)
    if not found:
        print(
            f"{_PROGRAM}: nothing in this text is known. Fix: give the kubelet's log of the pod's"
            " node around the pull (journalctl -u kubelet), the pod's events (kubectl describe"
            " pod), or the answer of Google or the registry, whole",
            file=sys.stderr,
        )
        return 1
    if len(found) > 1:
        print(f"{len(found)} findings in the order of the chain; the first is likely the cause.\n")
    print("\n\n".join(render.entry(finding.latest.code, width, finding) for finding in found))
    return 0


def _stdin() -> Iterable[str]:
    """Lines of stdin, whatever bytes they hold; a log may be larger than memory."""
    if sys.stdin is None:  # closed by whoever started this
        return
    for line in sys.stdin.buffer:
        yield line.decode("utf-8", "replace")

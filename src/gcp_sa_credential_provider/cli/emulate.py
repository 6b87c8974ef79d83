"""`emulate`: Google in a box, on loopback, until SIGTERM or SIGINT.

Imports the emulator only when it runs, and nothing else of this package.
"""

import argparse
import sys
from pathlib import Path


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Serve Google's STS, IAM, IAM Credentials and Artifact Registry on 127.0.0.1, over https"
        " with a CA of its own and over plain http, until SIGTERM or SIGINT."
    )
    parser.add_argument(
        "--dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="where ca.pem and endpoints.json are while it runs",
    )
    parser.add_argument(
        "--port",
        type=_port,
        default=0,
        metavar="N",
        help="https port; plain http gets N+1, control N+2 (default: any free ports)",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="pools, providers, service accounts, repositories, faults: YAML or JSON",
    )
    parser.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="keep all resources here; once it holds any, they replace those of --config",
    )
    parser.add_argument(
        "--images",
        type=Path,
        metavar="DIR",
        help="keep pushed images here (default: a temporary directory)",
    )
    parser.add_argument(
        "--audit",
        type=Path,
        metavar="FILE",
        help="append every exchange as a JSON line, in the form of Google's audit logs",
    )


def run(args: argparse.Namespace) -> int:
    """Serve until a signal. Exit status: 0 stopped; 1 cannot serve; 2 wrong configuration."""
    try:
        from gcp_sa_credential_provider.emulator import command
        from gcp_sa_credential_provider.emulator.serve import Files
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library == "gcp_sa_credential_provider":
            raise
        print(
            f"gcp-sa-credential-provider emulate: the module {library} is missing. Fix: in a"
            " checkout of this project: pip install '.[emulator]'",
            file=sys.stderr,
        )
        return 1
    files = Files(args.state, args.images, args.audit)
    return command.main(args.dir, args.port, args.config, files)


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdecimal() else -1
    if not 0 <= port <= 65533:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port from 0 to 65533")
    return port

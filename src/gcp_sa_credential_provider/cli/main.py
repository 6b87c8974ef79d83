"""The operator's tool: one parser, and one small module for each command, imported when named.

A command's module has `add(parser)` and `run(args) -> exit code`. The forms for nodes have not all
commands: the static file has what nodes need, the zipapp what needs no other library.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Protocol, cast

from gcp_sa_credential_provider.version import VERSION

COMMANDS = {
    "demo": "the main job, whole, on the embedded emulator",
    "emulate": "Google in a box: STS, IAM Credentials and a registry on loopback",
    "explain": "what an error code or a text in a log means, and how to fix it",
    "node": "put the plugin onto this node, look after it there, take it off again",
    "render": "write all files of a fleet: for Google, for Kubernetes, for the nodes",
    "setup": "ask a cluster, and write the description of the fleet",
}
_EXTRAS = {"demo": "emulator", "emulate": "emulator", "render": "setup", "setup": "setup"}
_PACKAGES = {"emulate": "emulator", "explain": "catalogue"}
"""What a command is made of, where that has another name."""


class Command(Protocol):
    """A module of this package."""

    def add(self, parser: argparse.ArgumentParser, /) -> None:
        """Give the parser the command's own arguments."""

    def run(self, args: argparse.Namespace, /) -> int:
        """Do it. Returns the exit code."""


_DESCRIPTION = """\
Without arguments this is a kubelet image credential provider: it reads a
CredentialProviderRequest from stdin, exchanges the pod's ServiceAccount token
at Google and writes registry credentials to stdout.
With a command it is the tool of whoever sets that up.
"""

_EPILOG = """\
The plugin's settings are environment variables; the only one required is
GCP_AUDIENCE, the full resource name of the workload identity provider:
  //iam.googleapis.com/projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/PROVIDER
exit codes of the plugin: 0 credentials written, 1 the exchange failed,
2 request, environment or configuration wrong
"""


def parser(named: str | None) -> argparse.ArgumentParser:
    """The whole parser; only the module of the command `named` is imported."""
    top = argparse.ArgumentParser(
        prog="gcp-sa-credential-provider",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    commands = top.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    for name, summary in COMMANDS.items():
        if not _has(name):
            continue
        command = commands.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            allow_abbrev=False,
        )
        if name == named:
            _module(name).add(command)
    return top


def _has(command: str) -> bool:
    """Whether this form of the program has it."""
    package = _PACKAGES.get(command, command)
    return importlib.util.find_spec(f"gcp_sa_credential_provider.{package}") is not None


def _module(name: str) -> Command:
    return cast("Command", importlib.import_module(f"gcp_sa_credential_provider.cli.{name}"))


def main(argv: Sequence[str]) -> int:
    """Run the command that `argv` names. Returns the exit code; usage errors exit 2."""
    named = next((word for word in argv if not word.startswith("-")), None)
    if named in COMMANDS and not _has(named):
        fix = f"install the Python package on your own machine, {_pip(named)}"
        sys.stderr.write(
            f"gcp-sa-credential-provider {named}: this form of the program does not have it."
            f" Fix: {'use the static file' if named == 'node' else fix}\n"
        )
        return 2
    try:
        return _run(argv, named)
    except BrokenPipeError:  # `... | head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError as error:
        sys.stderr.write(
            f"gcp-sa-credential-provider {named}: the Python module {error.name} is not installed."
            f" Fix: {_pip(named)}\n"
        )
        return 2


def _pip(command: str | None) -> str:
    extra = _EXTRAS.get(str(command), "setup")
    return f"in a checkout of this project: pip install '.[{extra}]'"


def _run(argv: Sequence[str], named: str | None) -> int:
    top = parser(named)
    args = top.parse_args(argv)
    if args.command is None:
        top.print_help(sys.stderr)
        return 2
    code: int = _module(args.command).run(args)
    sys.stdout.flush()
    return code

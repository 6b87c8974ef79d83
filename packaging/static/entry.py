"""Where the whole interpreter begins: what only the static file can tell, then the one door."""

import sys

import linked

from gcp_sa_credential_provider.__main__ import main as door
from gcp_sa_credential_provider.version import VERSION


def main() -> None:
    """Run the command line; never returns."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"gcp-sa-credential-provider {VERSION}\n{linked.VERSIONS}")
        sys.exit(0)
    if sys.argv[1:] == ["--licenses"]:
        sys.stdout.write(linked.LICENSES)
        sys.exit(0)
    try:
        door()
    except ModuleNotFoundError as error:  # of a command for an operator's own machine
        sys.stderr.write(
            f"gcp-sa-credential-provider: the module {error.name} is not in the static file. Fix:"
            " run this command on your own machine; in a checkout of this project: pip install"
            " '.[setup,emulator]'\n"
        )
        sys.exit(2)

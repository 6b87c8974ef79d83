"""The one door: the kubelet's exec goes to the plugin, words go to the operator's tool.

| arguments | stdin | what runs |
|---|---|---|
| none | not a terminal | the plugin |
| none | a terminal | help on stderr, exit 2 |
| some | any | the command that they name; an unknown word exits 2 |
"""

import sys

if sys.version_info < (3, 11):
    sys.stderr.write(
        "gcp-sa-credential-provider: [STARTUP-PYTHON] %s is Python %d.%d. Fix: use Python 3.11 or "
        "newer, or the static file" % (sys.executable, *sys.version_info[:2])
    )
    sys.exit(2)

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn


def main() -> "NoReturn":
    """Run and leave the process, without the interpreter's tear-down: nothing is left to flush."""
    if len(sys.argv) > 1 or posix.isatty(0):
        from gcp_sa_credential_provider.cli.main import main as command

        sys.exit(command(sys.argv[1:]))
    posix._exit(_plugin())


def _plugin() -> int:
    try:
        from gcp_sa_credential_provider.plugin.host import this_process
        from gcp_sa_credential_provider.plugin.run import run
    except ImportError as error:
        return _missing(error.name or "?")
    return run(this_process())


def _missing(module: str) -> int:
    """The self-check of the start: a stripped Python lacks a C module.

    In words of its own, since what makes lines (plugin.line) needs some of these modules.
    """
    version = ".".join(map(str, sys.version_info[:3]))
    line = (
        f"gcp-sa-credential-provider: [STARTUP-MODULE] this Python ({version}) lacks the C module "
        f"{module}. Fix: use the static file, or a CPython 3.11 or newer with OpenSSL"
    )
    posix.write(2, line.encode("ascii", "replace"))
    return 2


if __name__ == "__main__":
    main()

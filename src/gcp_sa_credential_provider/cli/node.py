"""`node`: onto this node, off it again, and what keeps it right in between.

Imports the rooms of node/ only when they are needed; in the static file too, so nothing here may
need a third-party package but PyYAML's parser.
"""

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gcp_sa_credential_provider.node.act import Host

_PROGRAM = "gcp-sa-credential-provider node"
_SELF = Path("/proc/self/exe")
_DONE, _FAILED, _REFUSED = 0, 1, 2


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from gcp_sa_credential_provider.node import agent

    parser.epilog = (
        "exit codes: 0 done (also if nothing was to be done); 1 begun, and it failed: it is back as"
        " it was, or what is not is named; 2 refused, nothing was changed"
    )
    commands = parser.add_subparsers(title="commands", dest="node_command", metavar="COMMAND")
    parser.set_defaults(act=None, parser=parser)
    install = _command(commands, "install", "put program, entries and flags there", _install)
    install.add_argument(
        "--config",
        type=Path,
        required=True,
        metavar="FILE",
        help="a CredentialProviderConfig, as `render` writes it; our entries in it are taken",
    )
    install.add_argument(
        "--profile", metavar="NAME", help="what kind of node it is (default: detected)"
    )
    install.add_argument(
        "--program", type=Path, metavar="FILE", help="the static file (default: this one)"
    )
    install.add_argument(
        "--minor", type=_minor, metavar="1.NN", help="of the kubelet, where none runs to be asked"
    )
    status = _command(commands, "status", "what is there, and whether all of it agrees", _status)
    status.add_argument("--json", action="store_true", help="one JSON document")
    _command(commands, "uninstall", "take it off again; what others did stays", _uninstall)
    _command(commands, "rollback", "back behind the last change", _rollback)
    reconcile = _command(
        commands, "reconcile", "fit the entries to the kubelet that is about to start", _reconcile
    )
    which = reconcile.add_mutually_exclusive_group()
    which.add_argument("--minor", type=_minor, metavar="1.NN", help="its minor")
    which.add_argument("--kubelet", metavar="PATH", help="its program (default: its unit's)")
    agent.add(commands)


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    act: "Callable[[argparse.Namespace], int]",
) -> argparse.ArgumentParser:
    command = commands.add_parser(
        name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", allow_abbrev=False
    )
    where = command.add_mutually_exclusive_group()
    where.add_argument(
        "--root", type=Path, metavar="DIR", help="files of a node that does not run; no restart"
    )
    where.add_argument(
        "--host-root", type=Path, metavar="DIR", help="the running host around a pod: /proc/1/root"
    )
    if name != "status":
        command.add_argument("--dry-run", action="store_true", help="show it, change nothing")
    if name not in ("status", "reconcile"):
        command.add_argument("--no-restart", action="store_true", help="leave the kubelet alone")
    command.set_defaults(act=act)
    return command


def _minor(text: str) -> tuple[int, int]:
    from gcp_sa_credential_provider.node.entry import minor_of

    minor = minor_of(text)
    if minor is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no minor such as 1.34")
    return minor


def run(args: argparse.Namespace) -> int:
    """Do it. Exit status: 0 done; 1 begun, and failed; 2 refused."""
    if args.act is None:
        args.parser.print_help(sys.stderr)
        return _REFUSED
    from gcp_sa_credential_provider.node.failure import Failed, Refused

    try:
        code: int = args.act(args)
    except Refused as error:
        return _say_error(args, f"{error}", _REFUSED)
    except Failed as error:
        return _say_error(args, f"{error}", _FAILED)
    except OSError as error:
        text = f"{error.filename}: {error.strerror}. Fix: run this as root; see `node status`"
        return _say_error(args, text, _FAILED)
    except KeyboardInterrupt:
        text = (
            "broken off (Ctrl-C). Fix: see `node status`; run it again, or `node rollback`. If the"
            " kubelet was being restarted, all goes back by itself within 15 minutes"
        )
        return _say_error(args, text, _FAILED)
    return code


def _say_error(args: argparse.Namespace, text: str, code: int) -> int:
    sys.stdout.flush()
    print(f"{_PROGRAM} {args.node_command}: {text}", file=sys.stderr)
    return code


def _say(line: str) -> None:
    try:
        print(line, flush=True)
    except OSError:  # whoever listened is gone, and a change that ends here would be undone
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)


def _host(args: argparse.Namespace) -> "Host":
    from gcp_sa_credential_provider.node.act import Host
    from gcp_sa_credential_provider.node.failure import Refused
    from gcp_sa_credential_provider.node.files import Root

    place: Path = args.root or args.host_root or Path("/")
    if not place.is_dir():
        raise Refused(f"{place}: is no folder. Fix: give a host's root folder")
    return Host(
        root=Root(place),
        live=args.root is None,
        restart=not getattr(args, "no_restart", False),
        dry_run=getattr(args, "dry_run", False),
        say=_say,
    )


def _install(args: argparse.Namespace) -> int:
    from gcp_sa_credential_provider.node import entry, install

    wish = install.Wish(
        entries=entry.taken(_read(args.config, "--config"), str(args.config)),
        program=_program(args.program),
        profile=args.profile,
        minor=args.minor,
    )
    install.run(_host(args), wish)
    return _DONE


def _program(given: Path | None) -> bytes:
    from gcp_sa_credential_provider.node.failure import Refused

    if given is None and sys.executable:  # the static file has no interpreter to name
        raise Refused(
            "this is not the static file, which is what a node needs. Fix: run the static file on"
            " the node, or give it with --program"
        )
    content = _read(given or _SELF, "--program")
    if not content.startswith((b"\x7fELF", b"#!")):
        raise Refused(f"{given}: is no program. Fix: give the static file with --program")
    return content


def _read(path: Path, what: str) -> bytes:
    from gcp_sa_credential_provider.node.failure import Refused

    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}. Fix: give a file with {what}") from None


def _status(args: argparse.Namespace) -> int:
    from gcp_sa_credential_provider.node import status

    found = status.read(_host(args))
    told: Sequence[str] = status.lines(found)
    if args.json:
        told = [json.dumps(dataclasses.asdict(found), indent=2)]
    for line in told:
        _say(line)
    return _FAILED if found.problems else _DONE


def _uninstall(args: argparse.Namespace) -> int:
    from gcp_sa_credential_provider.node import uninstall

    uninstall.run(_host(args))
    return _DONE


def _rollback(args: argparse.Namespace) -> int:
    from gcp_sa_credential_provider.node import rollback

    rollback.run(_host(args))
    return _DONE


def _reconcile(args: argparse.Namespace) -> int:
    from gcp_sa_credential_provider.node import reconcile

    reconcile.run(_host(args), args.minor, args.kubelet)
    return _DONE
